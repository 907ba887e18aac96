"""The inbox: every message of every number, newest first, searched and filtered by the URL."""

from __future__ import annotations

import re

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from ..live import topics
from ..local_time import Clock
from ..models import Booking
from ..models.sms import SmsQuerySet
from ..reading import unread_of
from ..wording import full_number, number_text
from .access import ACCOUNT, ALL_ACCOUNTS, accounts_in_view, say_account
from .export_terms import terms_of
from .inbox_scope import booking_of, in_scope
from .paging import CURSORS, Page, Sort, first_rows, page_of, without
from .panels import Context, Panel
from .parameters import choice_of, days_of, text_of, whole_of
from .rows import by_day, joined, sms_rows
from .shell import names_of
from .unread import read_version, states_of

SORTS = (
    Sort("newest", gettext_lazy("Newest first"), "received_at"),
    Sort("oldest", gettext_lazy("Oldest first"), "received_at", descending=False),
)
# What narrows the list; `sort` does not. First what stands behind the button Filters, and what its chips say.
IN_SHEET = {
    "booking": gettext_lazy("Booking"),
    "number": gettext_lazy("Number"),
    "service": gettext_lazy("Service"),
    "sender": gettext_lazy("Sender"),
    "from": gettext_lazy("From"),
    "to": gettext_lazy("To"),
}
TOGGLES = {"unread": gettext_lazy("Unread"), "mine": gettext_lazy("Mine"), "code": gettext_lazy("With code")}
FILTERS = ("q", *TOGGLES, *IN_SHEET)
# Services offered as a filter are those of so many newest bookings.
SERVICES_OF = 200


@require_safe
def inbox(request: HttpRequest) -> HttpResponse:
    """The page of the list. Parameters: those of FILTERS, `sort`, and the places of paging."""
    return render(request, "dashboard/inbox.html", {**_form(request), **PANEL.context(request)})


def found(request: HttpRequest, unread: bool = False) -> SmsQuerySet:
    """The messages that the URL asks for, all or the `unread` ones. What cannot be read in it does not narrow them."""
    rows = in_scope(request, unread or text_of(request.GET, "unread") == "1")
    if request.GET.get("code") == "1":
        rows = rows.exclude(code="")
    if service := text_of(request.GET, "service", 500):
        rows = rows.filter(booking__service=service)
    if sender := text_of(request.GET, "sender"):
        rows = rows.filter(sender__icontains=sender).holding(sender)
    if number := text_of(request.GET, "number"):
        rows = rows.filter(of_number(number))
        if not full_number(number):
            rows = rows.holding(number)
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
    # Before the rows: what comes between the two is not marked as read unseen.
    newest = max((state.newest for state in states_of(request).values()), default=0)
    page = page_of(found(request).for_list(), request.GET, SORTS)
    unread = unread_of(request.user.pk or 0, states_of(request), page.rows)
    messages = sms_rows(page.rows, clock, names_of(request), unread)
    query = without(request.GET, *CURSORS)
    say_account(request, query)
    return {
        "page": page,
        "days": [(day, joined(rows)) for day, rows in by_day(messages, clock)],
        "filtered": any(text_of(request.GET, name) for name in FILTERS),
        "sentences": _sentences(request, page),
        "nothing": _nothing(request),
        "newest": newest,
        "query": query.urlencode(),
    }


def _nothing(request: HttpRequest) -> dict[str, str]:
    """What an empty list says under filters."""
    only = [name for name in FILTERS if text_of(request.GET, name)]
    if only == ["unread"]:
        return {"title": _("All read"), "text": _("What arrives next stands here.")}
    if only == ["mine"]:
        return {"title": _("No SMS of yours"), "text": _("Yours are the numbers that you bought or look after.")}
    return {"title": _("No SMS matches"), "text": _("Try fewer words or another time.")}


def _sentences(request: HttpRequest, page: Page) -> list[str]:
    """What of the URL could not be understood, and what was made of it."""
    query = request.GET
    said = []
    start, end = days_of(request)
    for name, day in (("from", start), ("to", end)):
        if text_of(query, name) and day is None:
            said.append(_("The date under “%(name)s” cannot be read, so it was left out.") % {"name": IN_SHEET[name]})
    if start and end and start >= end:
        said.append(_("The time ends before it begins: no SMS can match."))
    if text_of(query, "booking"):
        if whole_of(query, "booking") is None:
            said.append(_("The booking cannot be read, so it was left out."))
        elif booking_of(request) is None:
            said.append(_("There is no such booking in your accounts."))
    account = text_of(query, ACCOUNT)
    if account not in {"", ALL_ACCOUNTS, *map(str, states_of(request))}:
        said.append(_("That account is not among yours, so it was left out."))
    if query.get("after") and page.is_first:
        said.append(_("That place in the list cannot be found: this is its beginning."))
    return said


def _form(request: HttpRequest) -> Context:
    """The state of the filters as the form shows it."""
    query = request.GET
    values = {name: text_of(query, name, 500) for name in FILTERS}
    services = services_of(accounts_in_view(request))
    if values["service"] and values["service"] not in services:
        services.append(values["service"])
    chips = _chips(request, values)
    return {
        "filters": values,
        "set_filters": [name for name in FILTERS if values[name]],
        "toggles": list(TOGGLES.items()),
        "toggled": [name for name in TOGGLES if values[name] == "1"],
        "in_sheet": len(chips),
        "chips": chips,
        "services": services,
        "sort": choice_of(query, "sort", tuple(sort.key for sort in SORTS)),
        "sorts": SORTS,
        "export": terms_of(request),
    }


def _chips(request: HttpRequest, values: dict[str, str]) -> list[dict[str, str]]:
    """The set filters of the sheet: what each says, and the URL without it."""
    chips = []
    for name, label in IN_SHEET.items():
        if text := values[name]:
            if name == "booking" and (booking := booking_of(request)):
                text = number_text(booking.number) or booking.service
            url = "?" + without(request.GET, name, *CURSORS).urlencode()
            chips.append({"name": name, "label": str(label), "text": text, "url": url})
    return chips


# The heads of the days move at midnight, without any message.
PANEL = Panel("inbox", (topics.SMS,), _build, salt=lambda request: f"{Clock().today} {read_version(request)}")
