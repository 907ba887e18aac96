"""HTTP/1.1 on plain sockets: small in memory, and able to break off in every way that a real network can."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

LONGEST_HEAD = 65_536
LONGEST_BODY = 1_000_000
JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(slots=True)
class Request:
    """One request; names of headers and of query parameters are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    target: str


@dataclass(slots=True)
class Reply:
    """One answer. `shown` is called when the answer really goes out whole."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    shown: Callable[[], None] | None = None


class Closed(Exception):
    """The connection is over: no more request can come, or none may be answered."""


class Connection:
    """One client's connection; serves request after request until one side has had enough."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self.stopping = stopping
        self._buffer = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_request(self) -> Request:
        """The next request; raises Closed if the client has gone or sends no HTTP."""
        head = self._read_until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise Closed
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if words[2] == "HTTP/1.0":
            headers.setdefault("connection", "close")
        try:
            parts = urlsplit(words[1])
            query = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
        except ValueError as error:
            raise Closed from error
        return Request(words[0].upper(), unquote(parts.path), query, headers, self._read_body(headers), words[1])

    def _read_body(self, headers: dict[str, str]) -> bytes:
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > LONGEST_BODY:
            raise Closed
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < int(length):
            self._fill()
        body, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return body

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if len(self._buffer) > LONGEST_HEAD:
                raise Closed
            self._fill()
        head, self._buffer = self._buffer.split(mark, 1)
        return head

    def _fill(self) -> None:
        try:
            chunk = self.sock.recv(65_536)
        except OSError as error:
            raise Closed from error
        if not chunk:
            raise Closed
        self._buffer += chunk

    def send(self, data: bytes) -> None:
        """Send all of it; raises Closed if the client does not take it."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Closed from error

    def send_reply(self, reply: Reply, *, date: str, close: bool = False, length: int | None = None) -> None:
        """Send an answer; `length` may lie about the size of the body.

        Raises Closed after the last answer.
        """
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Date: {date}",
            "Server: sandbox",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body) if length is None else length}",
            f"Connection: {'close' if close else 'keep-alive'}",
            *(f"{name}: {value}" for name, value in reply.headers.items()),
        ]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body)
        if close:
            raise Closed

    def wait(self, seconds: float) -> bool:
        """Keep the client waiting; False as soon as it has gone or the server stops."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stopping.is_set():
            self.sock.settimeout(min(left, 0.2))
            try:
                if not self.sock.recv(1, socket.MSG_PEEK):
                    return False
                # The client speaks although it is not its turn: nothing to see in that, so only sleep.
                self.stopping.wait(min(left, 0.2))
            except TimeoutError:
                continue
            except OSError:
                return False
            finally:
                with suppress(OSError):
                    self.sock.settimeout(None)
        return not self.stopping.is_set()

    def reset(self) -> None:
        """Break the connection off with RST, without a goodbye."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise Closed

    def close(self) -> None:
        """Say goodbye, also to a thread that is reading from this connection just now."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


Handler = Callable[[Request, Connection], None]


class Listener:
    """Accepts connections, serves each in a daemon thread; can go down and come back on the same port."""

    def __init__(self, host: str, port: int, handler: Handler) -> None:
        self.host = host
        self.port = port
        self._handler = handler
        self._sock: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._connections: set[Connection] = set()
        self._threads: set[threading.Thread] = set()
        self._switch = threading.Lock()

    @property
    def is_up(self) -> bool:
        """True while new connections are accepted."""
        return self._sock is not None

    def open(self) -> None:
        """Listen; port 0 is replaced by a free one. Raises OSError if the port is taken."""
        with self._switch:
            if self._sock is not None:
                return
            self._stopping = threading.Event()
            self._sock = socket.create_server((self.host, self.port), backlog=256)
            self.port = self._sock.getsockname()[1]
            self._thread = threading.Thread(target=self._accept, args=(self._sock, self._stopping), daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Refuse new connections, break off the open ones; returns when no thread of ours runs any more."""
        with self._switch:
            if self._sock is None:
                return
            self._stopping.set()
            # accept() does not notice that its socket is closed: knock once to wake it.
            with suppress(OSError), socket.create_connection(self._sock.getsockname()[:2], timeout=1):
                pass
            if self._thread is not None:
                self._thread.join(2)
            self._sock.close()
            self._sock = None
            for connection in list(self._connections):
                connection.close()
            for thread in list(self._threads):
                thread.join(2)

    def _accept(self, sock: socket.socket, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                client, _ = sock.accept()
            except OSError:
                # Out of file descriptors, or a client that left before it was accepted.
                stopping.wait(0.05)
                continue
            if stopping.is_set():
                client.close()
                return
            connection = Connection(client, stopping)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._connections.add(connection)
            self._threads.add(thread)
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            while True:
                self._handler(connection.read_request(), connection)
        except Closed:
            pass
        finally:
            connection.close()
            self._connections.discard(connection)
            self._threads.discard(threading.current_thread())
