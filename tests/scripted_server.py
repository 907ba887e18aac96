"""A provider that answers what a test tells it, byte by byte, over a real socket, and remembers what it saw.

Faults that no HTTP server library can be talked into (headers that trickle, a reset within a body) are plain
functions here that write to the connection.
"""

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it stood on the wire; `connection` counts the connections from 1."""

    method: str
    target: str
    headers: dict[str, str]
    connection: int
    raw: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


class Line:
    """One connection, as a fault sees it."""

    def __init__(self, sock: socket.socket, stop: threading.Event) -> None:
        self._sock = sock
        self._stop = stop

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def wait(self, seconds: float) -> bool:
        """False once the test is over."""
        return not self._stop.wait(seconds)

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


# Bytes are sent as they are and the connection stays open; after a function it is closed.
Reply = bytes | Callable[[Line], None]


def reply(body: object = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A well-formed answer; a body that is neither bytes nor text is sent as JSON."""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    fields = {"Content-Length": str(len(content))} | {name.replace("_", "-"): text for name, text in headers.items()}
    head = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + content


def sample(name: str) -> bytes:
    """A recorded answer of tests/samples/."""
    return (SAMPLES / name).read_bytes()


class ScriptedServer:
    """Gives its replies in turn, the last one again and again; `at["/Path"] = reply` is for one path."""

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.replies: list[Reply] = list(replies)
        self.at: dict[str, Reply] = {}
        self.seen: list[Seen] = []
        self.on_connect: Callable[[Line], None] | None = None
        self._tls = tls
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://{'localhost' if self._tls else '127.0.0.1'}:{self.port}/api/v1"

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.seen]

    def close(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            self._connections.append(sock)
            self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        line = Line(sock, self._stop)
        with contextlib.suppress(OSError), sock:
            if self.on_connect is not None:
                self.on_connect(line)
            if self._tls is None:
                self._answer(sock, line, number)
            else:
                with self._tls.wrap_socket(sock, server_side=True) as secure:
                    self._answer(secure, Line(secure, self._stop), number)

    def _answer(self, sock: socket.socket, line: Line, number: int) -> None:
        for head in _requests(sock):
            action = self._note(head, number)
            if not isinstance(action, bytes):
                action(line)
                return
            sock.sendall(action)
            if b"\r\nconnection: close" in head.lower():
                return

    def _note(self, head: bytes, number: int) -> Reply:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (each.split(": ", 1) for each in lines if each)
        request = Seen(method, target, {name.lower(): text for name, text in pairs}, number, head)
        with self._lock:
            self.seen.append(request)
            if request.path.removeprefix("/api/v1") in self.at:
                return self.at[request.path.removeprefix("/api/v1")]
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def _requests(sock: socket.socket) -> Iterator[bytes]:
    """The heads of the requests on one connection; the client never sends a body."""
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            data = sock.recv(65_536)
            if not data:
                return
            buffer += data
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        yield head


def hang_up(line: Line) -> None:
    """Closes without a byte."""


def reset(line: Line) -> None:
    line.reset()


def silence(line: Line) -> None:
    line.wait(60)


def cut_off(line: Line) -> None:
    """Half of what was promised, then the end."""
    line.send(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n[{"id": 1, "number": "+4')


def cut_off_chunk(line: Line) -> None:
    line.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n[{"id": 1,')


def reset_in_body(line: Line) -> None:
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n[")
    line.wait(0.05)
    line.reset()


def trickle_body(line: Line) -> None:
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n[")
    while line.wait(0.05):
        line.send(b" ")


def trickle_chunks(line: Line) -> None:
    line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while line.wait(0.05):
        line.send(b"1\r\n \r\n")


def trickle_headers(line: Line) -> None:
    line.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while line.wait(0.05):
        line.send(b"a")


def trickle_status(line: Line) -> None:
    for letter in b"HTTP/1.1 200 " + b"O" * 10_000:
        if not line.wait(0.05):
            return
        line.send(bytes([letter]))


def go_on_for_ever(line: Line) -> None:
    """Interim answers without end: each one is complete, the final one never comes."""
    while line.wait(0.02):
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def large_body(line: Line) -> None:
    """200 MB without saying so before."""
    line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"[" * 1_000_000
    for _ in range(200):
        line.send(b"f4240\r\n" + piece + b"\r\n")
    line.send(b"0\r\n\r\n")
