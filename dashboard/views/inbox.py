"""The inbox: every message of every number, newest first, searched and filtered by the URL."""

from __future__ import annotations

import re

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ..live import topics
from ..local_time import Clock
from ..models import Booking, Sms
from ..models.sms import SmsQuerySet
from ..wording import full_number
from .access import accounts_in_view
from .export_terms import terms_of
from .paging import Sort, first_rows, page_of
from .panels import Context, Panel
from .parameters import choice_of, days_of, text_of
from .rows import by_day, sms_rows
from .shell import accounts_of

SORTS = (
    Sort("newest", "Newest first", "received_at"),
    Sort("oldest", "Oldest first", "received_at", descending=False),
)
# What narrows the list; `sort` does not.
FILTERS = ("q", "code", "account", "service", "sender", "number", "from", "to")
# Services offered as a filter are those of so many newest bookings.
SERVICES_OF = 200


@require_safe
def inbox(request: HttpRequest) -> HttpResponse:
    """The page of the list. Parameters: those of FILTERS, `sort`, `after` and `before`."""
    return render(request, "dashboard/inbox.html", {**_form(request), **PANEL.context(request)})


def found(request: HttpRequest) -> SmsQuerySet:
    """The messages that the URL asks for. What cannot be read in it does not narrow them."""
    rows = Sms.objects.of_accounts(accounts_in_view(request))
    if request.GET.get("code") == "1":
        rows = rows.exclude(code="")
    if service := text_of(request.GET, "service", 500):
        rows = rows.filter(booking__service=service)
    if sender := text_of(request.GET, "sender"):
        rows = rows.filter(sender__icontains=sender)
    if number := text_of(request.GET, "number"):
        rows = rows.filter(of_number(number))
    start, end = days_of(request)
    if start is not None:
        rows = rows.filter(received_at__gte=start)
    if end is not None:
        rows = rows.filter(received_at__lt=end)
    if q := text_of(request.GET, "q"):
        rows = rows.matching(q)
    return rows


def of_number(typed: str) -> Q:
    """A number in any grouping: the whole of it by the index, a part of it anywhere. Nothing without a digit."""
    if whole := full_number(typed):
        return Q(number=whole)
    digits = re.sub(r"[^0-9]", "", typed)
    return Q(number__contains=digits) if digits else Q(number__icontains=typed)


def services_of(accounts: tuple[int, ...]) -> list[str]:
    """Services of the newest bookings, by name: what a list can be filtered by. One query."""
    rows = Booking.objects.of_accounts(accounts).values_list("service", flat=True)
    return sorted(set(first_rows(rows, ("-remote_id",), SERVICES_OF)) - {""}, key=str.casefold)


def _build(request: HttpRequest) -> Context:
    clock = Clock()
    page = page_of(found(request).for_list(), request.GET, SORTS)
    accounts = accounts_of(request)
    names = {account.pk: account.name for account in accounts} if len(accounts) > 1 else {}
    return {
        "page": page,
        "days": by_day(sms_rows(page.rows, clock, names), clock),
        "filtered": any(text_of(request.GET, name) for name in FILTERS),
    }


def _form(request: HttpRequest) -> Context:
    """The state of the filters as the form shows it."""
    query = request.GET
    values = {name: text_of(query, name, 500) for name in FILTERS}
    services = services_of(accounts_in_view(request))
    if values["service"] and values["service"] not in services:
        services.append(values["service"])
    return {
        "filters": values,
        "set_filters": [name for name in FILTERS if values[name]],
        "in_sheet": sum(bool(values[name]) for name in FILTERS if name not in ("q", "code")),
        "services": services,
        "accounts": accounts_of(request),
        "sort": choice_of(query, "sort", tuple(sort.key for sort in SORTS)),
        "sorts": SORTS,
        "export": terms_of(request),
    }


# The heads of the days move at midnight, without any message.
PANEL = Panel("inbox", (topics.SMS,), _build, salt=lambda request: str(Clock().today))
