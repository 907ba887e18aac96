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
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .languages import current

MONTHS_DE = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
]
# As browsers shorten them: app.js writes the same words.
SHORT_DE = ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."]
WEEKDAYS_DE = ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"]


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
            return _("yesterday") + f" {local:%H:%M}"
        if local.year == self.today.year:
            return f"{short_day(local)} {local:%H:%M}"
        return f"{short_day(local)} {local.year}"

    def ago(self, moment: datetime) -> str:
        """ "12 s ago", "2 min ago", "at 14:31", else as `relative`."""
        words = self.relative(moment)
        if words.endswith((" s", " min")):
            return _("%(age)s ago") % {"age": words}
        return _("at %(time)s") % {"time": words} if len(words) == 5 else words

    def clock(self, moment: datetime) -> str:
        """ "14:31:07" today, "yesterday 14:31", "21 Nov 14:31", "21 Nov 2025 14:31"."""
        local = moment.astimezone(self.zone)
        days = (self.today - local.date()).days
        if days == 0:
            return f"{local:%H:%M:%S}"
        if days == 1:
            return _("yesterday") + f" {local:%H:%M}"
        year = "" if local.year == self.today.year else f" {local.year}"
        return f"{short_day(local)}{year} {local:%H:%M}"

    def exact(self, moment: datetime) -> str:
        """ "14:31:07", under the head of its day."""
        return f"{moment.astimezone(self.zone):%H:%M:%S}"

    def full(self, moment: datetime) -> str:
        """ "23 Nov 2026, 14:31"."""
        local = moment.astimezone(self.zone)
        return f"{short_day(local)} {local:%Y, %H:%M}"

    def day_name(self, day: date) -> str:
        """Head of a day's rows: "Today", "Yesterday", "Saturday, 21 November" (with the year if not this)."""
        days = (self.today - day).days
        if days in (0, 1):
            return (_("Today"), _("Yesterday"))[days]
        year = "" if day.year == self.today.year else f" {day.year}"
        if current() == "de":
            return f"{WEEKDAYS_DE[day.weekday()]}, {day.day}. {MONTHS_DE[day.month - 1]}{year}"
        return f"{day:%A}, {day.day} {day:%B}{year}"


def short_day(day: date) -> str:
    """ "21 Nov", in German "21. Nov."."""
    return f"{day.day}. {SHORT_DE[day.month - 1]}" if current() == "de" else f"{day.day} {day:%b}"


def pace_words(seconds: float) -> str:
    """An age or a pace: "2 s", "4 min", "3 h", "2 d"."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min"
    if seconds < 86_400:
        return f"{int(seconds) // 3600} h"
    days = int(seconds) // 86_400
    return ngettext("%(days)s d", "%(days)s d", days) % {"days": days}


def iso(moment: datetime) -> str:
    """For `datetime=` and data attributes: UTC, whole seconds, "2026-11-23T14:31:07Z"."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
