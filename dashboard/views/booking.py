"""One booking: its number and time, its messages, and what the provider says of it."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from ..live import topics
from ..local_time import Clock
from ..models import Booking, Sms, SmsGap
from ..wording import code_halves, country_name, flag_code, number_text, rental_type_text, service_text
from .access import booking_for
from .paging import Sort, page_of
from .panels import Context, Panel
from .rows import badge, countdown, flag_urls, thread_rows

SORTS = (Sort("newest", "Newest first", "received_at"),)
# Gaps that are told, the newest.
GAPS = 3


@require_safe
def booking(request: HttpRequest, pk: int) -> HttpResponse:
    """The page of a booking. Raises Http404 for a stranger's. `after` and `before` page the messages."""
    hero = HERO.context(request, pk=pk)
    return render(request, "dashboard/booking.html", {"hero": hero, "thread": THREAD.context(request, pk=pk)})


def _booking(request: HttpRequest, pk: int) -> Booking:
    """Read once in the life of the request: version, hero and thread ask for it."""
    known: dict[int, Booking] = request.__dict__.setdefault("_bookings", {})
    if pk not in known:
        known[pk] = booking_for(request.user, pk)
    return known[pk]


def _build_hero(request: HttpRequest, pk: int) -> Context:
    found = _booking(request, pk)
    clock = Clock()
    running = found.runs_until > clock.at
    newest = found.newest_sms
    mood, state = badge(found.state, running, found.sms_count, bool(newest and newest.code))
    head, tail = code_halves(newest.code if newest else "")
    return {
        "booking": found,
        "number_text": number_text(found.number),
        "flag": flag_urls() + flag_code(found.country),
        "country": country_name(found.country),
        "service": service_text(found.service, found.rental_type),
        "kind": rental_type_text(found.rental_type),
        "running": running,
        "mood": mood,
        "state": state,
        "left": countdown(found.starts_at, found.ends_at, clock) if running else None,
        "newest": newest,
        "code_head": head,
        "code_tail": tail,
    }


def _build_thread(request: HttpRequest, pk: int) -> Context:
    found = _booking(request, pk)
    clock = Clock()
    page = page_of(Sms.objects.filter(booking=found).for_list(), request.GET, SORTS)
    rows = thread_rows(page.rows, clock)
    for row in rows:
        row["clock"] = clock.clock(row["received_at"])
    return {
        "booking": found,
        "page": page,
        "rows": rows,
        "running": found.runs_until > clock.at,
        "path": reverse("booking", args=[found.pk]),
        "relatives": _relatives(found),
        "gaps": _gaps(found),
    }


def _relatives(found: Booking) -> dict[str, Any]:
    """The booking that this one extends, and those that extend it. One query, a second one if it extends."""
    mine = Booking.objects.filter(account=found.account_id).only("remote_id")
    # Sorted here: asked to sort, SQLite would walk the account's bookings in that order.
    later = sorted(mine.filter(extends=found.remote_id), key=lambda each: each.remote_id)
    earlier = mine.filter(remote_id=found.extends).first() if found.extends is not None else None
    return {"extends": earlier, "extended_by": later}


def _gaps(found: Booking) -> list[SmsGap]:
    """Spans in which messages of this booking may be missing: still being filled, or lost for good. One query."""
    gaps = SmsGap.objects.filter(account=found.account_id)
    if found.starts_at is not None:
        gaps = gaps.filter(to_at__gte=found.starts_at)
    gaps = gaps.filter(Q(from_at=None) | Q(from_at__lte=found.runs_until))
    # Two parts, since each has its index.
    either = gaps.open().union(gaps.filter(lost=True), all=True)
    return sorted(set(either), key=lambda gap: gap.found_at, reverse=True)[:GAPS]


def _salt(request: HttpRequest, pk: int) -> str:
    """Whether it runs: that ends by time alone."""
    return str(_booking(request, pk).runs_until > Clock().at)


HERO = Panel("booking-hero", (topics.BOOKINGS,), _build_hero, salt=_salt, keeps_query=False)
THREAD = Panel("booking", (topics.BOOKINGS, topics.SMS, topics.SYNC), _build_thread, salt=_salt)
