"""Parameters of a URL by which lists are filtered. What cannot be read is not set: never an error."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

from django.http import HttpRequest, QueryDict
from django.utils import timezone


def text_of(query: QueryDict, name: str, limit: int = 100) -> str:
    """The parameter without spaces around it and without NUL, which PostgreSQL refuses; cut at `limit`."""
    return query.get(name, "").replace("\x00", "").strip()[:limit]


def whole_of(query: QueryDict, name: str) -> int | None:
    """A whole number from 0 up to what a column holds, in plain digits."""
    text = text_of(query, name)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def money_of(query: QueryDict, name: str) -> Decimal | None:
    """USD, from 0 to below a thousand million."""
    try:
        amount = Decimal(text_of(query, name, 20).replace(",", "."))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 10**9 else None


def choice_of(query: QueryDict, name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, or the first of them."""
    text = text_of(query, name)
    return text if text in choices else choices[0]


def days_of(request: HttpRequest) -> tuple[datetime | None, datetime | None]:
    """Parameters `from` and `to`, days of the person's calendar, as [first instant, instant after the end)."""
    first, last = _day(request.GET, "from"), _day(request.GET, "to")
    zone = timezone.get_current_timezone()
    start = datetime.combine(first, time.min, zone) if first else None
    end = datetime.combine(last + timedelta(days=1), time.min, zone) if last else None
    return start, end


def _day(query: QueryDict, name: str) -> date | None:
    try:
        day = date.fromisoformat(text_of(query, name))
    except ValueError:
        return None
    # Far away days overflow when a zone is applied.
    return day if 1970 <= day.year < 9999 else None
