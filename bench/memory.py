"""What each process of the embedded stack holds, over a large archive: just started, after minutes of work, and with
fifty open streams.
"""

from __future__ import annotations

import argparse
import itertools
import time

from dashboard.sandbox import Sandbox

from .figures import Report, main
from .freshness import stack_over
from .stack import Stack
from .streams import Streams

QUESTION = "Memory: each process of the embedded stack, over a large archive"
LIMIT_MB = 260
PAGES = (
    *("/", "/inbox/", "/inbox/?q=code", "/bookings/", "/orders/", "/catalog/", "/purchases/", "/sim-cards/"),
    *("/activity/", "/status/", "/settings/", "/admin/", "/panels/inbox/", "/healthz"),
)


def measure(report: Report, options: argparse.Namespace) -> None:
    stored = min(options.stored, 100_000) if options.quick else options.stored
    seconds = 60.0 if options.quick else options.seconds
    with Sandbox(seed=3) as sandbox, stack_over(sandbox, stored) as stack:
        report.remark(f"{stored:,} SMS of an archive are stored; PSS, MB of a million bytes")
        time.sleep(10)
        _tell(report, "just started", stack)
        stack.use_django()
        _work(sandbox, stack, seconds)
        _tell(report, f"after {seconds:.0f} s of work", stack, LIMIT_MB)
        streams = Streams(stack, options.count)
        _work(sandbox, stack, seconds / 2)
        _tell(report, f"with {options.count} streams", stack, LIMIT_MB)
        streams.close()


def _work(sandbox: Sandbox, stack: Stack, seconds: float) -> None:
    """Three pages and a message a second."""
    pages = itertools.cycle(PAGES)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running = [row.id for row in sandbox.world.running() if row.extends is None]
        sandbox.world.receive_sms(sandbox.world.rng.choice(running), f"Your code is {len(sandbox.world.sms):06d}")
        for page in itertools.islice(pages, 3):
            answer = stack.get(page)
            assert answer.status in (200, 204), f"{page}: {answer.status}"
        time.sleep(1)


def _tell(report: Report, title: str, stack: Stack, limit: float | None = None) -> None:
    parts = stack.pss()
    for name, value in sorted(parts.items()):
        report.add(f"{title}: {name}", value, "MB")
    report.add(f"{title}: all", sum(parts.values()), "MB", limit)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stored", type=int, default=1_000_000, help="messages in the archive (%(default)s)")
    parser.add_argument("--seconds", type=float, default=240, help="of work (%(default)s)")
    parser.add_argument("--count", type=int, default=50, help="open streams (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
