"""A read that takes three times its interval (reliability.md G22): does it run beside itself, does the queue grow?"""

from __future__ import annotations

import argparse
import base64
import json
import os
import time
from collections import deque
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from redis import Redis

from anosim_dashboard import embedded_redis
from bench.accounts import accounts_at
from bench.figures import Report, main
from bench.stack import Stack
from dashboard.sandbox import Sandbox

from .load import SETTINGS, until_known

GOALS = ("G22",)
QUESTION = "Reads of 6 s that are due every 2 s: one at a time in an account, nothing piles up"
ACCOUNTS = 4
PATH = "/OrderBookingsCurrent"  # read every two seconds while a number runs
TAKES = 6.0  # seconds
SMALL = {"orders": 8, "bookings": 12, "sms": 20}  # what is read at the start should be over soon
BEGIN = 12.0  # seconds until it is


def measure(report: Report, options: argparse.Namespace) -> None:
    environment = SETTINGS | {"DATABASE_URL": os.environ.get("DATABASE_URL", "")}
    with ExitStack() as opened:
        shops = [opened.enter_context(Sandbox(seed=220 + number, size=SMALL)) for number in range(ACCOUNTS)]
        stack = opened.enter_context(Stack(shops[0], environment=environment))
        stack.use_django()
        accounts_at(shops)
        until_known()
        for sandbox in shops:
            sandbox.set_faults({"latency": {"path": PATH, "seconds": TAKES}})
        time.sleep(BEGIN)
        seconds = 14.0 if options.quick else 90.0
        began = time.time()
        slow, longer = _waiting(stack, seconds)
        reads = [_reads(sandbox, began) for sandbox in shops]
        beside = max(map(_most_at_once, reads))
        report.add("slow reads at once in an account, most", beside, "reads", 1, n=sum(map(len, reads)))
        report.add("slow reads waiting in the queue, most", slow, "tasks", ACCOUNTS)
        report.add("tasks waiting for a second and longer, most", longer, "tasks", ACCOUNTS)
        rate = 60 * min(map(len, reads)) / seconds
        report.add("slow reads in the account with fewest", rate, "a minute", spread=f"{60 / TAKES:g} are possible")


def _waiting(stack: Stack, seconds: float) -> tuple[int, int]:
    """The most slow reads in the queue, and the most tasks of any kind that waited there for a second or longer (each
    tick hands out at once what is due then); looked at fifty times a second."""
    from dashboard.models import SyncState

    slow_ones = set(SyncState.objects.filter(kind=SyncState.Kind.CURRENT).values_list("pk", flat=True))
    redis = Redis.from_url(embedded_redis.url(stack.data_dir))
    ends, slow, last = time.monotonic() + seconds, 0, deque[tuple[float, int]]()
    longer = 0
    while (now := time.monotonic()) < ends:
        waiting = redis.lrange("celery", 0, -1)
        slow = max(slow, sum(_state_of(message) in slow_ones for message in waiting))
        last.append((now, len(waiting)))
        if now - last[0][0] >= 1.0:
            longer = max(longer, min(depth for _, depth in last))
            while now - last[0][0] >= 1.0:
                last.popleft()
        time.sleep(0.02)
    return slow, longer


def _state_of(message: bytes | str) -> int:
    """The sync row that a task in the queue is to read, 0 for another task."""
    task = json.loads(message)
    arguments = json.loads(base64.b64decode(task["body"]))[0]
    return int(arguments[0]) if task["headers"]["task"].endswith(".read") else 0


def _reads(sandbox: Sandbox, since: float) -> list[tuple[float, float]]:
    """Beginning and end of each slow read, by the provider's log."""
    found = []
    for call in sandbox.calls:
        began = _began(call)
        if call["path"].endswith(PATH) and began >= since:
            found.append((began, began + (call.get("seconds") or TAKES)))
    return found


def _began(call: dict[str, Any]) -> float:
    return datetime.fromisoformat(call["at"]).timestamp()


def _most_at_once(reads: list[tuple[float, float]]) -> int:
    """The answer is noted just before it is sent: the next read cannot begin sooner."""
    moments = sorted([(began, 1) for began, _ in reads] + [(ended, -1) for _, ended in reads])
    now = most = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


if __name__ == "__main__":
    main(QUESTION, measure)
