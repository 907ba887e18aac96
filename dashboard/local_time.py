"""Times as people read them, in the person's zone; app.js writes the same words and keeps them moving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponse
from django.utils import timezone


class LocalTimeMiddleware:
    """Makes the signed-in person's time zone the current one; without a choice of theirs it is TIME_ZONE."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self.get_response(request)
        finally:
            timezone.deactivate()

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        # A view for everybody must not read the session: /healthz answers without the user's table.
        if not getattr(view, "login_required", True):
            return
        name = getattr(request.user, "time_zone", "")
        if name and (zone := zone_named(name)):
            timezone.activate(zone)


def zone_named(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@dataclass(frozen=True)
class Clock:
    """One moment and zone for everything on a page. `at` is UTC or any aware time."""

    at: datetime = field(default_factory=timezone.now)
    zone: tzinfo = field(default_factory=timezone.get_current_timezone)

    @cached_property
    def today(self) -> date:
        return self.at.astimezone(self.zone).date()

    def day_start(self, day: date | None = None) -> datetime:
        """The first moment of the day (default: today) in the zone."""
        return datetime.combine(day or self.today, time.min, self.zone)

    def month_start(self) -> datetime:
        return self.day_start(self.today.replace(day=1))

    def relative(self, moment: datetime) -> str:
        """ "12 s", "2 min", "14:31", "yesterday 19:00", "21 Nov 14:31", "21 Nov 2025"."""
        age = (self.at - moment).total_seconds()
        if age < 60:
            return f"{max(0, int(age))} s"
        if age < 3600:
            return f"{int(age) // 60} min"
        local = moment.astimezone(self.zone)
        days = (self.today - local.date()).days
        if days == 0:
            return f"{local:%H:%M}"
        if days == 1:
            return f"yesterday {local:%H:%M}"
        if local.year == self.today.year:
            return f"{local.day} {local:%b %H:%M}"
        return f"{local.day} {local:%b %Y}"

    def ago(self, moment: datetime) -> str:
        """ "12 s ago", "2 min ago", "at 14:31", else as `relative`."""
        words = self.relative(moment)
        if words.endswith((" s", " min")):
            return f"{words} ago"
        return f"at {words}" if len(words) == 5 else words

    def clock(self, moment: datetime) -> str:
        """ "14:31:07" today, "yesterday 14:31", "21 Nov 14:31", "21 Nov 2025 14:31"."""
        local = moment.astimezone(self.zone)
        days = (self.today - local.date()).days
        if days == 0:
            return f"{local:%H:%M:%S}"
        if days == 1:
            return f"yesterday {local:%H:%M}"
        year = "" if local.year == self.today.year else " %Y"
        return f"{local.day} {local.strftime(f'%b{year} %H:%M')}"

    def exact(self, moment: datetime) -> str:
        """ "14:31:07", under the head of its day."""
        return f"{moment.astimezone(self.zone):%H:%M:%S}"

    def full(self, moment: datetime) -> str:
        """ "23 Nov 2026, 14:31"."""
        local = moment.astimezone(self.zone)
        return f"{local.day} {local:%b %Y, %H:%M}"

    def day_name(self, day: date) -> str:
        """Head of a day's rows: "Today", "Yesterday", "Saturday, 21 November" (with the year if not this)."""
        days = (self.today - day).days
        if days in (0, 1):
            return ("Today", "Yesterday")[days]
        year = "" if day.year == self.today.year else f" {day.year}"
        return f"{day:%A}, {day.day} {day:%B}{year}"


def pace_words(seconds: float) -> str:
    """An age or a pace: "2 s", "4 min", "3 h", "2 d"."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min"
    if seconds < 86_400:
        return f"{int(seconds) // 3600} h"
    return f"{int(seconds) // 86_400} d"


def iso(moment: datetime) -> str:
    """For `datetime=` and data attributes: UTC, whole seconds, "2026-11-23T14:31:07Z"."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
