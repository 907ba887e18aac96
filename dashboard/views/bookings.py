"""Bookings: the list of rented numbers, and one of them with its messages."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Min, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from ..access_rules import Rule, accounts_with, may
from ..live import topics
from ..local_time import Clock
from ..models import Booking, Country
from ..models.bookings import BookingQuerySet, labels_of
from ..models.search import holding
from ..search_form import wanted
from ..wording import country_name
from .access import accounts_in_view
from .inbox import of_number
from .paging import Sort, first_rows, page_of
from .panels import Context, Panel
from .parameters import choice_of, text_of
from .rows import booking_rows
from .shell import in_view_of, names_of

# The provider's ids grow with time, and unlike the start a booking always has one.
NEWEST = Sort("newest", gettext_lazy("Newest first"), "remote_id")
OLDEST = Sort("oldest", gettext_lazy("Oldest first"), "remote_id", descending=False)
ENDING = Sort("ending", gettext_lazy("Ending soonest"), "runs_until", descending=False)
ENDED = Sort("ended", gettext_lazy("Ended last"), "runs_until")
# What the list shows, each with the orders that make sense for it, the first by default.
SHOW = {
    "all": (gettext_lazy("All"), (NEWEST, OLDEST)),
    "running": (gettext_lazy("Running"), (ENDING, NEWEST, OLDEST)),
    "waiting": (gettext_lazy("Waiting for SMS"), (ENDING, NEWEST, OLDEST)),
    "ended": (gettext_lazy("Ended"), (ENDED, NEWEST, OLDEST)),
}
TYPES = ("Activation", "RentalService", "RentalFull")
FILTERS = ("q", "type", "country", "service", "label", "whose")
WHOSE = {"": gettext_lazy("Everybody's"), "mine": gettext_lazy("Mine")}
# Services and labels offered as filters are those of so many newest bookings.
OFFERED_OF = 500


@require_safe
def bookings(request: HttpRequest) -> HttpResponse:
    """The page of the list. Parameters: `show`, those of FILTERS, `sort`, `after` and `before`."""
    return render(request, "dashboard/bookings.html", {**_form(request), **PANEL.context(request)})


def found(request: HttpRequest, clock: Clock) -> BookingQuerySet:
    """The bookings that the URL asks for. What cannot be read in it does not narrow them."""
    rows = Booking.objects.of_accounts(accounts_in_view(request))
    show = _show(request)
    if show == "running":
        rows = rows.running(clock.at)
    elif show == "waiting":
        rows = rows.waiting(clock.at)
    elif show == "ended":
        rows = rows.ended(clock.at)
    for field, name in (("rental_type", "type"), ("country", "country"), ("service", "service")):
        if wanted := text_of(request.GET, name, 500):
            rows = rows.filter(**{field: wanted})
    if label := text_of(request.GET, "label", 200):
        rows = rows.labelled(label)
    if text_of(request.GET, "whose") == "mine":
        rows = rows.of_person(request.user.pk or 0)
    if q := text_of(request.GET, "q"):
        rows = rows.filter(_matching(q))
    return rows


def _show(request: HttpRequest) -> str:
    return choice_of(request.GET, "show", tuple(SHOW))


def _matching(q: str) -> Q:
    """Part of a service, note or label, a number in any grouping, or the provider's id of the booking."""
    digits = re.sub(r"[\s+()/.-]", "", q)
    words = Q(labels__icontains=q)
    if pieces := wanted(q):
        words |= holding("note_search", pieces)
    if not (digits.isascii() and digits.isdecimal()):
        return words | Q(service__icontains=q)
    if q.startswith("+"):
        return of_number(q)
    found = words | of_number(q)
    return found | Q(remote_id=int(digits)) if len(digits) < 19 else found


def _build(request: HttpRequest) -> Context:
    clock = Clock()
    page = page_of(found(request, clock).for_list(), request.GET, SHOW[_show(request)][1])
    return {
        "page": page,
        "rows": booking_rows(page.rows, clock, names_of(request), accounts_with(request.user, Rule.ACT)),
        "show": _show(request),
        "filtered": any(text_of(request.GET, name) for name in FILTERS),
    }


def _form(request: HttpRequest) -> Context:
    """The state of the filters as the form shows it."""
    values = {name: text_of(request.GET, name, 500) for name in FILTERS}
    in_view = accounts_in_view(request)
    sorts = SHOW[_show(request)][1]
    services, labels = _offered(in_view)
    countries = Country.objects.of_accounts(in_view).values_list("name", flat=True)
    return {
        "filters": values,
        "set_filters": [name for name in FILTERS if values[name]],
        "in_sheet": sum(bool(values[name]) for name in FILTERS if name != "q"),
        "shows": [(key, label) for key, (label, _) in SHOW.items()],
        "types": _with(values["type"], TYPES),
        "countries": sorted(_with(values["country"], countries), key=country_name),
        "services": _with(values["service"], services),
        "labels": _with(values["label"], labels),
        "whose": list(WHOSE.items()),
        "managed": [account for account in in_view_of(request) if may(request.user, Rule.RENEW_ALL, account.pk)],
        "sort": choice_of(request.GET, "sort", tuple(sort.key for sort in sorts)),
        "sorts": sorts,
    }


def _offered(accounts: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """Services and labels of the newest bookings, each by name. One query."""
    rows = Booking.objects.of_accounts(accounts).values_list("service", "labels")
    newest = set(first_rows(rows, ("-remote_id",), OFFERED_OF))
    labels = {label for _, text in newest for label in labels_of(text)}
    return sorted({name for name, _ in newest}, key=str.casefold), sorted(labels, key=str.casefold)


def _with(chosen: str, offered: Any) -> list[str]:
    """What is offered, and what is chosen though it is not among it."""
    names = list(dict.fromkeys(name for name in offered if name))
    return names if not chosen or chosen in names else [*names, chosen]


def next_end(request: HttpRequest) -> str:
    """When the next of the running bookings ends: time alone moves it out of the lists of what runs."""
    running = Booking.objects.of_accounts(accounts_in_view(request)).running()
    return str(running.aggregate(end=Min("runs_until"))["end"])


PANEL = Panel("bookings", (topics.BOOKINGS,), _build, salt=next_end)
