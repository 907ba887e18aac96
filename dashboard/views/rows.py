"""Rows of lists as plain dictionaries: what a template prints fifty times is prepared here, without models.

The keys are what the fragments `_sms_row.html` and `_booking_rows.html` read. Text of strangers is made visible
here and escaped there.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any
from urllib.parse import quote

from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from ..foreign_text import FOLD_OVER, beginning, visible
from ..languages import current
from ..local_time import Clock, iso
from ..models.bookings import labels_of
from ..wording import (
    code_halves,
    country_name,
    duration_text,
    flag_code,
    flag_of_number,
    left_text,
    number_text,
    rental_type_text,
    service_text,
    state_text,
)

Row = dict[str, Any]
# All that the row of a message is made from, in the order of `_values`.
Facts = tuple[Any, ...]

# Where state and age stand in a rendered row: a character that no text holds here, as `visible` has replaced it.
_HOLE = "\x00"
# How a row says that it is unread; the words for those who do not see stand in it always and show with this.
UNREAD = " data-unread"
# Seconds left under which a countdown turns amber, then red.
SOON, VERY_SOON = 300, 90


def sms_rows(
    messages: Iterable[Any], clock: Clock, accounts: Mapping[int, str], unread: Container[int] = ()
) -> list[Row]:
    """Rows of messages from `SmsQuerySet.for_list`. `accounts`: names to show, none for a single one; `unread`: ids.

    `markup` is the row as it is shown. A message never changes, so all of it but its state and its age is made once
    and shown to every browser that asks; joined here, since a template would take five times as long.
    """
    rows, language = [], current()
    for sms in messages:
        known = _facts(sms, accounts.get(sms.account_id, ""))
        # Few long texts would fill the memory that is meant for many short ones.
        head, body, tail = (_markup if len(sms.text) <= FOLD_OVER else _markup.__wrapped__)(language, *known)
        state = UNREAD if sms.id in unread else ""
        markup = f"{head}{state}{body}{escape(clock.relative(sms.received_at))}{tail}"
        rows.append({"markup": markup, "received_at": sms.received_at})
    return rows


def joined(rows: Iterable[Row]) -> SafeString:
    """Rows of `sms_rows` as they are shown, one after the other."""
    return mark_safe("".join(row["markup"] for row in rows))  # noqa: S308 (each part is)


def thread_rows(messages: Iterable[Any], clock: Clock) -> list[Row]:
    """The same messages for a booking's own page: the values, in place of the markup."""
    return [_values(*_facts(sms, "")) | {"when": clock.relative(sms.received_at)} for sms in messages]


def _facts(sms: Any, account: str) -> Facts:
    return (
        *(sms.id, sms.booking_id, sms.booking__country, sms.number, sms.sender, sms.text, sms.code),
        *(sms.received_at, sms.booking__service, account, sms.blanked_at is not None),
    )


@lru_cache(maxsize=2000)
def _markup(language: str, *facts: Any) -> list[str]:
    """What stands around state and age in the row of such a message, rendered (and escaped) by its template, in the
    current language, which `language` names."""
    markup = render_to_string("dashboard/_sms_row.html", {"row": _values(*facts), "state": _HOLE, "age": _HOLE})
    return markup.split(_HOLE, 2)


def _values(
    pk: int,
    booking_id: int | None,
    country: str | None,
    number: str,
    sender: str,
    text: str,
    code: str,
    received_at: datetime,
    service: str | None,
    account: str,
    is_blanked: bool,
) -> Row:
    text = visible(text)
    code_head, code_tail = code_halves(code)
    return {
        "id": str(pk),
        "url": sms_url(booking_id, number),
        "flag": flag_urls() + (flag_code(country or "") if booking_id else flag_of_number(number)),
        "number": visible(number),
        "number_text": number_text(number),
        "sender": visible(sender),
        # Most services sign with their own name: said once, it is enough.
        "note": " · ".join(
            visible(each) for each in ("" if (service or "").lower() == sender.lower() else service, account) if each
        ),
        "at": iso(received_at),
        "received_at": received_at,
        "text": text,
        "beginning": beginning(text),
        "is_blanked": is_blanked,
        "code": code,
        "code_head": code_head,
        "code_tail": code_tail,
    }


def sms_url(booking_id: int | None, number: str) -> str:
    """Where a message is read: the page of its booking, without one the messages of its number."""
    if booking_id:
        return f"{reverse('bookings')}{booking_id}/"
    return f"{reverse('inbox')}?q={quote('+' + number.removeprefix('+'))}"


def flag_urls() -> str:
    """What an ISO code is added to for the address of its flag in the sprite."""
    return static("dashboard/flags.svg") + "#"


def by_day(rows: list[Row], clock: Clock) -> list[tuple[str, list[Row]]]:
    """The rows under the head of their day, in their order."""
    days = groupby(rows, key=lambda row: row["received_at"].astimezone(clock.zone).date())
    return [(clock.day_name(day), list(of_day)) for day, of_day in days]


def booking_rows(
    bookings: Iterable[Any], clock: Clock, accounts: Mapping[int, str], acted_on: Container[int] = ()
) -> list[Row]:
    """Rows of bookings as `BookingQuerySet.for_list` gives them; with a menu in the accounts `acted_on`."""
    base = reverse("bookings")
    no_number, can = _("No number yet"), _("What can be done with %(number)s")
    flags = flag_urls()
    rows = []
    for booking in bookings:
        code = booking.newest_sms__code or ""
        head, tail = code_halves(code)
        running = booking.runs_until > clock.at
        mood, state = badge(booking.state, running, booking.sms_count, bool(code))
        number = number_text(booking.number) or no_number
        kind = kind_text(booking.rental_type, booking.duration_minutes)
        notes = (kind, country_name(booking.country), accounts.get(booking.account_id))
        rows.append(
            {
                "id": str(booking.id),
                "url": f"{base}{booking.id}/",
                "flag": flags + flag_code(booking.country),
                "number": booking.number,
                "number_text": number,
                "service": service_text(booking.service, booking.rental_type),
                "kind": " · ".join(note for note in notes if note),
                "mood": mood,
                "state": state,
                "running": running,
                "code": code,
                "code_head": head,
                "code_tail": tail,
                "sms_count": booking.sms_count,
                "labels": labels_of(booking.labels) if booking.labels else (),
                "assignee": booking.assignee__username or "",
                "looked_after": _("%(name)s looks after it") % {"name": booking.assignee__username}
                if booking.assignee__username
                else "",
                "menu": can % {"number": number} if booking.account_id in acted_on else "",
                "end": iso(booking.runs_until),
                "ended": clock.ago(booking.runs_until),
                "left": countdown(booking.starts_at, booking.ends_at, clock) if running else None,
            }
        )
    return rows


def kind_text(rental_type: str, minutes: int | None) -> str:
    """ "Activation", "Full SIM, 30 days": the length is said where it is not always the same."""
    return _kind_text(current(), rental_type, minutes)


@lru_cache(maxsize=500)
def _kind_text(language: str, rental_type: str, minutes: int | None) -> str:
    kind = rental_type_text(rental_type) or _("Rental")
    if rental_type.lower() == "activation" or minutes is None:
        return kind
    return f"{kind}, {duration_text(minutes)}"


def badge(state: str, running: bool, sms_count: int, has_code: bool) -> tuple[str, str]:
    """Kind and words of a booking's badge. A state that we do not know is shown as it came."""
    if not running:
        return "", state_text(state) or _("Ended")
    if sms_count:
        return "ok", _("Code in") if has_code else _("SMS in")
    if state.lower() in ("active", ""):
        return "wait", _("Waiting for SMS")
    return "wait", state_text(state)


def countdown(starts_at: datetime | None, ends_at: datetime | None, clock: Clock) -> Row | None:
    """The first state of a countdown, that app.js moves on; None where the provider named no end."""
    if ends_at is None:
        return None
    left = ends_at - clock.at
    seconds = left.total_seconds()
    starts_at = starts_at or clock.at
    whole = (ends_at - starts_at).total_seconds()
    share = 100 * seconds / whole if whole > 0 else 0
    return {
        "starts": iso(starts_at),
        "ends": iso(ends_at),
        "share": max(0, min(100, round(share))),
        "text": left_text(left),
        "mood": "over" if seconds <= 0 else "end" if seconds <= VERY_SOON else "warn" if seconds <= SOON else "",
        "title": clock.full(ends_at),
    }
