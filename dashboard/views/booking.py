"""One booking: its number and time, its messages, and what the provider says of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from ..access_rules import Rule, may
from ..live import topics
from ..local_time import Clock, iso
from ..models import Booking, BookingChange, Purchase, Sms, SmsGap
from ..wording import code_halves, country_name, flag_code, number_text, rental_type_text, service_text
from .access import booking_for
from .booking_actions import Action, actions_of, renewal_words
from .booking_history import bought_by, changes_of, extensions_of, history_of, purchases_of
from .buying import Again, again_of_bookings
from .conversation import ending_of, talk_of
from .paging import Sort, growing_page
from .panels import Context, Panel
from .rows import badge, countdown, flag_urls

SORTS = (Sort("newest", gettext_lazy("Newest first"), "received_at"),)
# Gaps that are told, the newest.
GAPS = 3
# So long the head of the page says how a change ended; the history keeps it.
TOLD_FOR = timedelta(minutes=10)


@require_safe
def booking(request: HttpRequest, pk: int) -> HttpResponse:
    """The page of a booking. Raises Http404 for a stranger's. `back`, `after` and `before` page the messages."""
    hero = HERO.context(request, pk=pk)
    return render(request, "dashboard/booking.html", {"hero": hero, "thread": THREAD.context(request, pk=pk)})


def _booking(request: HttpRequest, pk: int) -> Booking:
    """Read once in the life of the request: version, hero and thread ask for it."""
    known: dict[int, Booking] = request.__dict__.setdefault("_bookings", {})
    if pk not in known:
        known[pk] = booking_for(request, pk)
    return known[pk]


def _deeds(request: HttpRequest, pk: int) -> tuple[list[BookingChange], list[Purchase]]:
    """Changes and purchases of the booking, newest first. Two queries in the life of the request."""
    known: dict[int, tuple[list[BookingChange], list[Purchase]]] = request.__dict__.setdefault("_deeds", {})
    if pk not in known:
        found = _booking(request, pk)
        known[pk] = changes_of(found), purchases_of(found)
    return known[pk]


def _actions(request: HttpRequest, pk: int) -> list[Action]:
    """What the person may do with it; nothing for who only reads."""
    found = _booking(request, pk)
    if not may(request.user, Rule.ACT, found.account_id):
        return []
    changes, purchases = _deeds(request, pk)
    bought = bought_by(found, purchases)
    own = request.user.pk in (found.assignee_id, bought and bought.requested_by_id)
    renews = may(request.user, Rule.RENEW, found.account_id, own=own)
    return actions_of(found, changes[0] if changes else None, renews=renews)


def _again(request: HttpRequest, pk: int) -> Again | None:
    """Where another one like it is ordered, for who may. One query in the life of the request."""
    known: dict[int, Again | None] = request.__dict__.setdefault("_again", {})
    if pk not in known:
        found = _booking(request, pk)
        acts = may(request.user, Rule.BUY, found.account_id)
        known[pk] = again_of_bookings(found.account_id, [found]) if acts else None
    return known[pk]


def _build_hero(request: HttpRequest, pk: int) -> Context:
    found = _booking(request, pk)
    clock = Clock()
    running = found.runs_until > clock.at
    newest = found.newest_sms
    mood, state = badge(found.state, running, found.sms_count, bool(newest and newest.code))
    head, tail = code_halves(newest.code if newest else "")
    changes, purchases = _deeds(request, pk)
    change = changes[0] if changes else None
    actions = _actions(request, pk)
    return {
        "booking": found,
        "bought_by": bought_by(found, purchases),
        "change": change if change and (change.is_open or clock.at - change.status_at < TOLD_FOR) else None,
        "open_purchases": [each for each in purchases if each.booking_id == found.pk and each.is_open],
        "actions": actions,
        "refused": [action for action in actions if action.reason],
        "again": _again(request, pk),
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
    page = growing_page(Sms.objects.filter(booking=found).for_list(), request.GET, SORTS)
    changes, purchases = _deeds(request, pk)
    running, acts = found.runs_until > clock.at, may(request.user, Rule.ACT, found.account_id)
    actions = _actions(request, pk)
    history = history_of(found, changes, purchases)
    for each in history:
        each |= {"iso": iso(each["at"]), "clock": clock.clock(each["at"])}
    return {
        "booking": found,
        "page": page,
        "days": talk_of(page.rows, clock),
        "ending": ending_of(found, changes, purchases, actions, None if running else _again(request, pk), clock),
        "running": running,
        "path": reverse("booking", args=[found.pk]),
        "relatives": _relatives(found),
        "bought_by": bought_by(found, purchases),
        "extensions": extensions_of(found, purchases),
        "renewal": renewal_words(found),
        "history": history,
        "may_act": acts,
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


def _hero_salt(request: HttpRequest, pk: int) -> str:
    """Also whether the result of the latest change is still told."""
    changes, _ = _deeds(request, pk)
    told = bool(changes) and Clock().at - changes[0].status_at < TOLD_FOR
    return f"{_salt(request, pk)} {told}"


def _salt(request: HttpRequest, pk: int) -> str:
    """Whether it runs: that ends by time alone."""
    return str(_booking(request, pk).runs_until > Clock().at)


HERO = Panel(
    "booking-hero", (topics.BOOKINGS, topics.PURCHASES, topics.CATALOG), _build_hero, salt=_hero_salt, keeps_query=False
)
# The heads of its days move at midnight, and an end offers another number.
THREAD = Panel(
    "booking",
    (topics.BOOKINGS, topics.SMS, topics.PURCHASES, topics.SYNC, topics.CATALOG),
    _build_thread,
    salt=lambda request, pk: f"{_salt(request, pk)} {Clock().today}",
)
