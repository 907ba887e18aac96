"""100,000 messages in bursts that the list holds, while worker, Redis and web are killed fifty times (reliability.md
G12): is any lost or doubled? The truth is what the providers received: number, sender, text, second.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from contextlib import ExitStack

from bench import truth
from bench.accounts import open_accounts, rent
from bench.figures import Report, main
from bench.stack import Stack, age_of
from dashboard.sandbox import Sandbox

from .traffic import Traffic, wait_until

GOALS = ("G12",)
QUESTION = "100,000 SMS in bursts <= 95 with 50 kills of worker, Redis and web: 0 lost, 0 doubled"
ACCOUNTS = 8
SETTINGS = {"ANOSIM_MAX_CALLS_PER_SECOND": "50", "LOG_LEVEL": "WARNING"}
WILD = {"reordered": 0.5, "dates": 0.3, "no-zone": 0.3, "extra-fields": 0.2, "raw-utf8": 0.5}
VICTIMS = ("worker", "redis", "web")
KILL_EVERY = 7.0  # seconds; each of the three has lived for three times that when it is killed again
GROWN_UP = 3.0
HEALS_WITHIN = 30.0
SLOWEST = 100.0  # SMS a second that are not taken for a standstill once all is killed


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", type=int, default=0, help="how many messages (100,000; with --quick 3,000)")
    parser.add_argument("--kills", type=int, default=0, help="how many kills (50; with --quick 3)")
    parser.add_argument("--seed", type=int, default=1)


def measure(report: Report, options: argparse.Namespace) -> None:
    count = options.n or (3_000 if options.quick else 100_000)
    kills = options.kills or (3 if options.quick else 50)
    size = {"orders": 6, "bookings": 8, "sms": 30}
    with ExitStack() as opened:
        sandboxes = []
        for number in range(2 if options.quick else ACCOUNTS):
            sandbox = Sandbox(seed=options.seed * 100 + number, size=size, wild=WILD, balance="5000.00")
            sandboxes.append(opened.enter_context(sandbox))
            rent(sandbox, 20)
        environment = SETTINGS | {"DATABASE_URL": os.environ.get("DATABASE_URL", "")}
        stack = opened.enter_context(Stack(sandboxes[0], environment=environment))
        stack.use_django()
        open_accounts(sandboxes)
        began = time.monotonic()
        twins = _flow(report, stack, sandboxes, count, kills)
        sent = sum(len(sandbox.world.sms) for sandbox in sandboxes) - size["sms"] * len(sandboxes)
        report.add("sent", sent, "SMS", spread=f"in {time.monotonic() - began:.0f} s, {twins} of them true twins")
        _judge(report, sandboxes, sent)


def _flow(report: Report, stack: Stack, sandboxes: list[Sandbox], count: int, kills: int) -> int:
    """Send and kill; both end together, since the traffic is held back until enough is killed. Gives the twins."""
    done, share = Counter[str](), count // len(sandboxes)
    quota = lambda sent: sent <= share * (sum(done.values()) + 1) / (kills + 1)  # noqa: E731
    flows = [Traffic(sandbox, share, quota) for sandbox in sandboxes]
    back: list[float] = []
    try:
        for number in range(kills):
            time.sleep(KILL_EVERY)
            name = VICTIMS[number % len(VICTIMS)]
            took = _kill(stack, name)
            back.append(took)
            done[name] += 1
            if number % 10 == 9:
                print(f"  {sum(flow.sent for flow in flows)} SMS, {number + 1} kills", flush=True)
        ends = time.monotonic() + 30 + count / SLOWEST
        finished = all(flow.wait(max(0.0, ends - time.monotonic())) for flow in flows)
    finally:
        for flow in flows:
            flow.stop()
    report.add("not sent in time", 0 if finished else 1, "runs", 0)
    report.add("kills", sum(done.values()), "kills", n=kills, spread=str(dict(done)))
    report.add("killed process runs again after", max(back), "s", HEALS_WITHIN, n=len(back))
    return sum(flow.twins for flow in flows)


def _kill(stack: Stack, name: str) -> float:
    """SIGKILL once the process has lived for a moment; seconds until it is there again."""
    while not (pid := stack.pids().get(name)) or age_of(pid) < GROWN_UP:
        time.sleep(0.05)
    killed_at = stack.kill(name)
    while stack.pids().get(name) in (None, pid):
        time.sleep(0.05)
    return time.monotonic() - killed_at


def _judge(report: Report, sandboxes: list[Sandbox], sent: int) -> None:
    from dashboard.models import SmsGap

    def equal() -> bool:
        found = truth.sms_differences(*sandboxes)
        return not found["lost"] and not found["doubled"]

    report.add("all there after the last", wait_until(equal, 90), "s", 60)
    found = truth.sms_differences(*sandboxes)
    report.add("lost", found["lost"], "SMS", 0, n=sent)
    report.add("lost of what an answer showed", found["lost_of_shown"], "SMS", 0, n=sent)
    report.add("doubled", found["doubled"], "SMS", 0, n=sent)
    gaps = SmsGap.objects.all()
    report.remark(
        f"gaps noted and filled: {gaps.filter(lost=False).exclude(closed_at=None).count()}, "
        f"open: {gaps.open().count()}, told as lost: {gaps.filter(lost=True).count()}"
    )


if __name__ == "__main__":
    main(QUESTION, measure, add_options)
