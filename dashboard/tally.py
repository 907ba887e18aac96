"""What /metrics counts over all processes and hosts: calls to the provider, messages stored.

Kept in Redis, where it may be lost: Prometheus knows counters that begin anew. A process collects for a moment before
it tells, so that counting costs a call next to nothing; with a Redis that does not answer it goes on collecting.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from anosim_dashboard import redis_server

TELL_EVERY = 2.0  # seconds
AFTER_TROUBLE = 30.0
# Upper ends of the buckets of the two histograms, in seconds.
BUCKETS = {"call": (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30), "delay": (1, 2, 5, 10, 30, 60, 300)}
# Older messages were not on their way: nobody read the list when they came.
LATE = timedelta(minutes=10)
OUTCOMES = ("ok", "throttled", "refused", "failed", "unreachable")

_lock = threading.Lock()
_collected: Counter[tuple[int, str]] = Counter()
_tell_at = 0.0


def called(account_id: int, how: str, seconds: float) -> None:
    """A call to the provider is over: `how` is the status of the answer, or the name of what went wrong."""
    counts: Counter[str] = Counter({f"calls:{_outcome(how)}": 1})
    _observe(counts, "call", seconds)
    _collect(account_id, counts)


def stored(account_id: int, received: Iterable[datetime]) -> None:
    """Messages were stored that the provider received at these times."""
    now = timezone.now()
    counts: Counter[str] = Counter()
    for at in received:
        counts["sms"] += 1
        if now - at < LATE:
            _observe(counts, "delay", max(0.0, (now - at).total_seconds()))
    if counts:
        _collect(account_id, counts)


def totals(account_ids: Iterable[int]) -> dict[int, dict[str, float]]:
    """Of each account what was told; nothing where Redis does not answer."""
    ids = list(account_ids)
    try:
        with redis_server.client().pipeline(transaction=False) as batch:
            for account_id in ids:
                batch.hgetall(_key(account_id))
            answers = batch.execute()
    except (RedisError, OSError):
        return {}
    return {
        account_id: {name: float(value) for name, value in answer.items()}
        for account_id, answer in zip(ids, answers, strict=True)
    }


def tell(redis: Redis | None = None) -> None:
    """Add what this process has collected to what is in Redis."""
    global _tell_at
    with _lock:
        counts = dict(_collected)
        _collected.clear()
        _tell_at = time.monotonic() + TELL_EVERY
    try:
        with (redis or redis_server.client()).pipeline(transaction=True) as batch:
            for (account_id, name), value in counts.items():
                batch.hincrbyfloat(_key(account_id), name, value)
            batch.execute()
    except (RedisError, OSError):
        with _lock:
            _collected.update(counts)
            _tell_at = time.monotonic() + AFTER_TROUBLE


def _collect(account_id: int, counts: Counter[str]) -> None:
    with _lock:
        _collected.update({(account_id, name): value for name, value in counts.items()})
        due = time.monotonic() >= _tell_at
    if due:
        tell()


def _observe(counts: Counter[str], name: str, seconds: float) -> None:
    """A histogram as Prometheus has it: each bucket counts what took at most so long."""
    for end in BUCKETS[name]:
        if seconds <= end:
            counts[f"{name}:{end}"] += 1
    counts[f"{name}:+Inf"] += 1
    counts[f"{name}:sum"] += seconds  # type: ignore[assignment]  # a float among whole numbers


def _outcome(how: str) -> str:
    if not how.isdecimal():
        return "unreachable" if how == "NotSent" else "failed"
    if how == "429":
        return "throttled"
    return {"2": "ok", "4": "refused"}.get(how[0], "failed")


def _key(account_id: int) -> str:
    return f"tally:{account_id}"
