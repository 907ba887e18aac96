"""Waiting for a machine that is not busy with something else: a time on the clock means little on a busy one."""

from __future__ import annotations

import time
from pathlib import Path


def busy_share(seconds: float = 0.4) -> float:
    """Share of all processors' time that was used in the next so many seconds, 0 to 1; 0 where /proc has no answer."""
    try:
        before = _ticks()
        time.sleep(seconds)
        after = _ticks()
    except OSError:
        return 0.0
    total = sum(after) - sum(before)
    idle = after[3] + after[4] - before[3] - before[4]
    return 1 - idle / total if total else 0.0


def wait_for_calm(at_most_busy: float = 0.25, patience: float = 30.0) -> bool:
    """Wait until the machine is mostly idle, or until patience is over; whether it is."""
    end = time.monotonic() + patience
    while (busy := busy_share()) > at_most_busy and time.monotonic() < end:
        time.sleep(0.2)
    return busy <= at_most_busy


def _ticks() -> list[int]:
    return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
