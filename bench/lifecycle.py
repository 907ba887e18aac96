"""First and second start to `Ready:`, and the end after SIGTERM: calm, and with open streams and a hanging call."""

from __future__ import annotations

import argparse
import socket
import time

from dashboard.sandbox import Sandbox

from .calm import wait_for_calm
from .figures import Report, main
from .stack import Stack, alive

QUESTION = "Life: second start within 5 s, nothing of ours alive 10 s after SIGTERM"


def measure(report: Report, options: argparse.Namespace) -> None:
    starts: list[float] = []
    stops: list[float] = []
    work: list[float] = []
    with Sandbox(seed=11) as sandbox:
        stack = Stack(sandbox)
        with stack:
            report.add("first start with an empty data folder", stack.ready_after, "s")
            for _ in range(3 if options.quick else 6):
                ours = stack.pids()
                stops.append(stack.stop())
                assert not any(alive(pid) for pid in ours.values())
                wait_for_calm()
                starts.append(stack.start())
                work.append(stack.processor_seconds())
                time.sleep(2)
            report.add_series("second start", starts, "s", p95=5)
            report.add_series("second start: processor time of all processes", work, "s")
            report.add_series("stop, calm", stops, "s", p95=10)
            stack.use_django()
            report.add("stop with 5 streams and a hanging call", _hanging(sandbox, stack), "s", 10)
            left = [line for line in stack.log().splitlines() if "killed" in line]
            report.remark(f"killed for not stopping: {left}")


def _hanging(sandbox: Sandbox, stack: Stack) -> float:
    """Five readers listen to streams while every call to the provider hangs."""
    streams = []
    for _ in range(5):
        stream = socket.create_connection(("127.0.0.1", stack.port), timeout=5)
        head = f"GET /live/ HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\nCookie: sessionid={stack.session}\r\n\r\n"
        stream.sendall(head.encode())
        assert b" 200 " in stream.recv(4096)
        streams.append(stream)
    sandbox.set_faults({"timeout-before": {"rate": 1.0, "seconds": 120}})
    time.sleep(5)
    took = stack.stop()
    for stream in streams:
        stream.close()
    return took


if __name__ == "__main__":
    main(QUESTION, measure)
