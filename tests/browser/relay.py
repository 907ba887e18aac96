"""A plain TCP relay before the dashboard that remembers what browsers sent."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """`with Relay(port) as relay:` listens at `relay.port` and passes everything on to `port` of this machine.

    Outside the block nothing is passed on and all connections are cut; `at` is the port of an earlier one.
    """

    def __init__(self, target: int, at: int = 0) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", at))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._sent: list[bytearray] = []  # of each connection
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in (self._listener, *self._open):
            each.close()

    def count(self, beginning: bytes) -> int:
        """How many requests began so, over all connections."""
        return sum(sent.count(beginning) for sent in self._sent)

    def _accept(self) -> None:
        while True:
            try:
                browser, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._open += [browser, server]
            self._sent.append(bytearray())
            for source, target, kept in ((browser, server, self._sent[-1]), (server, browser, None)):
                self._threads.append(threading.Thread(target=_pump, args=(source, target, kept)))
                self._threads[-1].start()


def _pump(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if kept is not None:
                kept += data
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
