"""From the first start to a database that equals the provider's, through faults, wild shapes and a call limit.

Then twenty messages a second in bursts for a minute, over the bookings that run: equal again, nothing doubled.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from datetime import datetime
from typing import Any

from dashboard.sandbox import Sandbox

from . import truth
from .figures import Report, main
from .stack import Stack

QUESTION = "Convergence: 60 orders, 140 bookings, 300 SMS; 10 % faults; 5 calls a second; wild shapes"
# A tenth of the reads in all: mostly the quick ones, a few that hang or trickle.
FAULTS = {
    "mixed": {"rate": 0.08, "only": "reads"},
    "timeout-before": {"rate": 0.008, "only": "reads"},
    "trickle": {"rate": 0.007, "only": "reads"},
    "timeout-after": {"rate": 0.006, "only": "reads"},
}
SIZE = {"orders": 60, "bookings": 140, "sms": 300}


def measure(report: Report, options: argparse.Namespace) -> None:
    wild = {"all": options.wild}
    with Sandbox(seed=options.seed, size=SIZE, faults=FAULTS, wild=wild, limit=5) as sandbox, Stack(sandbox) as stack:
        ready = time.monotonic()
        stack.use_django()
        _first_start(report, sandbox, ready, options.longest)
        _calls(report, sandbox, "first start")
        _bursts(report, sandbox, options)
        _calls(report, sandbox, "whole run")
        errors = [line for line in stack.log().splitlines() if " ERROR " in line or "Traceback" in line]
        report.add("errors in the log", len(errors), "lines", 0, spread="; ".join(errors[:2])[:200])


def _first_start(report: Report, sandbox: Sandbox, ready: float, longest: float) -> None:
    # From the first call on, which is a moment before `Ready:`.
    reached: dict[str, float] = {}
    while time.monotonic() - ready < longest and len(reached) < 3:
        differ = truth.sms_differences(sandbox)
        state = {
            "messages": not differ["lost"] and not differ["doubled"],
            "orders, bookings, prices": not truth.other_differences(sandbox),
            "balance": truth.balance_is(sandbox),
        }
        for name, equal in state.items():
            if equal:
                reached.setdefault(name, time.monotonic() - ready)
        time.sleep(0.3)
    for name in ("orders, bookings, prices", "messages", "balance"):
        report.add(f"equal after the first start: {name}", reached.get(name, longest), "s", 90)
    for line in truth.other_differences(sandbox)[:5]:
        report.remark(line)


def _bursts(report: Report, sandbox: Sandbox, options: argparse.Namespace) -> None:
    for title, count, every in (("20 a second", 20, 1.0), ("100 at once every 5 s", 100, 5.0)):
        before = len(sandbox.world.sms)
        _send(sandbox, title, count, every, 20 if options.quick else options.seconds)
        sent, ended = len(sandbox.world.sms) - before, time.monotonic()
        differ: dict[str, Any] = {"lost": 1}
        while time.monotonic() - ended < 60 and (differ["lost"] or differ["doubled"]):
            differ = truth.sms_differences(sandbox)
            if time.monotonic() - ended > 20:
                report.add(f"{title}: lost after 20 s", differ["lost"], "SMS", 0, n=sent)
                break
            time.sleep(0.3)
        report.add(f"{title}: equal after the last", time.monotonic() - ended, "s", 20, n=sent)
        report.add(f"{title}: lost", differ["lost"], "SMS", 0, n=sent)
        report.add(f"{title}: lost of what was shown", differ["lost_of_shown"], "SMS", 0, n=sent)
        report.add(f"{title}: doubled", differ["doubled"], "SMS", 0, n=sent)
    report.remark(_gaps())


def _send(sandbox: Sandbox, title: str, count: int, every: float, seconds: float) -> None:
    """`count` messages at once, each `every` seconds, over the running bookings in turn; some are equal pairs."""
    world, began, number = sandbox.world, time.monotonic(), 0
    for burst in range(1, round(seconds / every) + 1):
        running = [row.id for row in world.running() if row.extends is None]
        while number < burst * count:
            times = 2 if number % 20 == 18 else 1
            text = f"{title} no. {number}: code {482913 + number}"
            world.receive_sms(running[number % len(running)], text, times=times)
            number += times
        time.sleep(max(0.0, began + burst * every - time.monotonic()))


def _gaps() -> str:
    from dashboard.models import SmsGap

    found = SmsGap.objects.all()
    return f"gaps noted: {found.count()}, still open {found.open().count()}, lost {found.filter(lost=True).count()}"


def _calls(report: Report, sandbox: Sandbox, title: str) -> None:
    """What came in, so that a slow run can be explained: calls in each ten seconds, and the faults that they met."""
    calls = sandbox.calls
    began = datetime.fromisoformat(calls[0]["at"])
    tens = Counter(int((datetime.fromisoformat(call["at"]) - began).total_seconds() // 10) for call in calls)
    faults = Counter(call["fault"] for call in calls if call["fault"])
    throttled = sum(call["status"] == 429 for call in calls)
    report.remark(f"{title}: {len(calls)} calls, {throttled} answered 429, faults {dict(faults)}")
    report.remark(f"{title}: calls in each ten seconds {[tens[place] for place in range(max(tens) + 1)]}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wild", type=float, default=0.3, help="rate of every wild shape (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="length of each row of bursts (%(default)s)")
    parser.add_argument("--longest", type=float, default=180, help="seconds after which to give up (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
