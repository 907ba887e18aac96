"""A real server for `/live/` in this process, and a listener that reads its events from a plain socket."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httptools
import uvicorn


@dataclass
class Listener:
    """One connection to the stream. Times are seconds; a wait that is over ends with an AssertionError."""

    port: int
    session: str = ""
    method: str = "GET"
    host: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.status = 0
        self.answer: dict[str, str] = {}
        self.raw = b""
        self.ended = False
        self._unread = b""
        self._parser = httptools.HttpResponseParser(self)
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        lines = [f"{self.method} /live/ HTTP/1.1", f"Host: {self.host or f'127.0.0.1:{self.port}'}"]
        lines += [f"Cookie: sessionid={self.session}"] if self.session else []
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        wait_until(self._has_begun, 10)

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def text(self) -> str:
        """The whole body of an answer that ends."""
        self.wait_for_end(5)
        return self.raw.decode()

    def event(self, kind: str, seconds: float = 5.0) -> dict[str, Any]:
        """The data of the next event of this kind; others before it are passed over."""
        end = time.monotonic() + seconds
        while True:
            found = self._next(end - time.monotonic())
            assert found is not None, f"no {kind} within {seconds} s, {self.ended=}"
            if found[0] == kind:
                return found[1]

    def events(self, seconds: float) -> list[tuple[str, dict[str, Any]]]:
        """All events that come within this time."""
        end = time.monotonic() + seconds
        found: list[tuple[str, dict[str, Any]]] = []
        while (one := self._next(end - time.monotonic())) is not None:
            found.append(one)
        return found

    def wait_for_end(self, seconds: float) -> None:
        wait_until(self._has_ended, seconds)

    def _has_begun(self) -> bool:
        self._pull(0.1)
        return self.status != 0

    def _has_ended(self) -> bool:
        self._pull(0.1)
        return self.ended

    def _next(self, seconds: float) -> tuple[str, dict[str, Any]] | None:
        end = time.monotonic() + seconds
        while True:
            block, separator, rest = self._unread.partition(b"\n\n")
            if separator:
                self._unread = rest
                lines = dict(line.split(": ", 1) for line in block.decode().split("\n"))
                if "event" in lines:
                    return lines["event"], json.loads(lines["data"])
            elif self.ended or time.monotonic() >= end:
                return None
            else:
                self._pull(end - time.monotonic())

    def _pull(self, seconds: float) -> None:
        if self.ended or not select.select([self.socket], [], [], max(0.0, seconds))[0]:
            return
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if data:
            self._parser.feed_data(data)
        else:
            self.ended = True

    # --- what httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.raw += body
        self._unread += body

    def on_message_complete(self) -> None:
        self.ended = True


def wait_until(true: Callable[[], Any], seconds: float) -> None:
    """Return as soon as `true()` holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.005)


@contextmanager
def serving() -> Iterator[int]:
    """Serve the project on a free port of this machine, as the `web` process does; gives the port."""
    from anosim_dashboard.asgi import application

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, lifespan="on", log_config=None, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="web")
    thread.start()
    try:
        wait_until(lambda: server.started, 10)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(15)
        listening.close()
        assert not thread.is_alive(), "the server did not stop"
