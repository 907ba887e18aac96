"""What the provider's own log of calls says: how many in a second, and whether one was doubled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from dashboard.sandbox import Sandbox


@dataclass(frozen=True)
class Call:
    path: str
    began: float  # seconds since the epoch
    seconds: float


def calls_of(sandbox: Sandbox, start: datetime, end: datetime) -> list[Call]:
    """The calls that came in a span, oldest first."""
    found = []
    for row in sandbox.calls:
        at = datetime.fromisoformat(row["at"])
        if start <= at <= end:
            path = row["path"].rpartition("/api/v1")[2]
            found.append(Call(f"{row['method']} {path}", at.timestamp(), row.get("seconds") or 0.0))
    return found


def most_within(calls: Sequence[Call], seconds: float) -> int:
    """The most calls that began within any span of so many seconds."""
    most = first = 0
    for last, call in enumerate(calls):
        while call.began - calls[first].began >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def overlapping(calls: Sequence[Call]) -> int:
    """How often a call began while the same one was being answered."""
    return sum(later.began < earlier.began + earlier.seconds for earlier, later in _pairs(calls))


def nearer_than(calls: Sequence[Call], paces: dict[str, float]) -> int:
    """How often a call came again sooner than half of its pace."""
    return sum(
        later.began - earlier.began < paces[later.path] / 2 for earlier, later in _pairs(calls) if later.path in paces
    )


def _pairs(calls: Sequence[Call]) -> list[tuple[Call, Call]]:
    same: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        same[call.path].append(call)
    return [pair for each in same.values() for pair in pairwise(each)]
