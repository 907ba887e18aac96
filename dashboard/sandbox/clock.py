"""The provider's clock: real time plus a shift that a test may move."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Clock:
    """Aware UTC times; `start` (aware) makes the clock begin there instead of now."""

    def __init__(self, start: datetime | None = None) -> None:
        self.shift = timedelta(0) if start is None else start - datetime.now(UTC)

    def now(self) -> datetime:
        """The provider's time, aware UTC."""
        return datetime.fromtimestamp(time.time(), UTC) + self.shift

    def advance(self, seconds: float) -> None:
        """Move the clock; what falls due in between happens at once. Negative seconds move it back."""
        self.shift += timedelta(seconds=seconds)


def http_date(at: datetime) -> str:
    """`at` (aware) as HTTP writes it, always in English: `Tue, 21 May 2024 23:22:04 GMT`."""
    at = at.astimezone(UTC)
    day, month = DAYS[at.weekday()], MONTHS[at.month - 1]
    return f"{day}, {at.day:02d} {month} {at.year} {at:%H:%M:%S} GMT"
