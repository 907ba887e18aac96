"""Fifty open browsers, each with a stream that fetches a panel when nudged: what they cost the provider, and us."""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from dashboard.sandbox import Sandbox

from .figures import Report, main
from .stack import Answer, Stack

QUESTION = "Fifty open browsers: calls to the provider, time of the panels, memory"
PANEL = "/panels/newest/"


class Streams:
    """Open streams; each nudge about messages fetches the panel, as an open page does."""

    def __init__(self, stack: Stack, count: int) -> None:
        self.answers: list[Answer] = []
        self.nudges = 0
        self._stack = stack
        self._pool = ThreadPoolExecutor(8)
        self._sockets = [self._open() for _ in range(count)]
        self._threads = [threading.Thread(target=self._listen, args=(each,), daemon=True) for each in self._sockets]
        for thread in self._threads:
            thread.start()

    def _open(self) -> socket.socket:
        stream = socket.create_connection(("127.0.0.1", self._stack.port), timeout=60)
        head = f"GET /live/ HTTP/1.1\r\nHost: 127.0.0.1:{self._stack.port}\r\nCookie: sessionid={self._stack.session}"
        stream.sendall(f"{head}\r\n\r\n".encode())
        return stream

    def _listen(self, stream: socket.socket) -> None:
        rest = b""
        while data := _received(stream):
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if b"event: nudge" in event:
                    self.nudges += 1
                    if b'"sms"' in event:
                        self._pool.submit(self._fetch)

    def _fetch(self) -> None:
        self.answers.append(self._stack.get(PANEL, timeout=30))

    @property
    def still_open(self) -> int:
        return sum(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        for stream in self._sockets:
            with contextlib.suppress(OSError):  # one that has ended is no longer connected
                stream.shutdown(socket.SHUT_RDWR)
            stream.close()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _received(stream: socket.socket) -> bytes:
    try:
        return stream.recv(65536)
    except OSError:
        return b""


def measure(report: Report, options: argparse.Namespace) -> None:
    seconds = 20 if options.quick else options.seconds
    with Sandbox(seed=5) as sandbox, Stack(sandbox) as stack:
        stack.use_django()
        time.sleep(60 if not options.quick else 50)  # the backfill of the first start is over
        rates = {"before": _rate(sandbox, seconds)}
        streams = Streams(stack, options.count)
        time.sleep(2)
        rates[f"with {options.count} streams"] = with_them = _rate(sandbox, seconds)
        spread = ", ".join(f"{name} {value:.1f}" for name, value in sorted(stack.pss().items()))
        memory = sum(stack.pss().values())
        nudges, answers, lost = streams.nudges, list(streams.answers), options.count - streams.still_open
        streams.close()
        time.sleep(2)
        rates["after"] = _rate(sandbox, seconds)
    for name, rate in rates.items():
        report.add(f"calls a minute, {name}", rate, "calls")
    # Reads are paced in seconds, so a window can hold one call more or less of each kind.
    quiet = max(rates["before"], rates["after"])
    report.add("calls a minute that the streams add", max(0.0, with_them - quiet), "calls", 60 / seconds * 3)
    report.add("streams that ended by themselves", lost, "streams", 0)
    report.add(f"memory with {options.count} streams (PSS)", memory, "MB", spread=spread)
    report.remark(f"{nudges} nudges, {len(answers)} panels fetched")
    if answers:
        report.add_series("panel while all fetch it at once", [answer.seconds * 1000 for answer in answers], "ms")
        report.add("panels not answered with 200", sum(a.status != 200 for a in answers), "panels", 0)


def _rate(sandbox: Sandbox, seconds: float) -> float:
    """Calls a minute, while a message comes every five seconds."""
    first = len(sandbox.calls)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running = [row.id for row in sandbox.world.running() if row.extends is None]
        sandbox.world.receive_sms(sandbox.world.rng.choice(running), f"Your code is {len(sandbox.world.sms):06d}")
        time.sleep(min(5.0, max(0.0, end - time.monotonic())))
    return (len(sandbox.calls) - first) / seconds * 60


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=50, help="open streams (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="length of each of three windows (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
