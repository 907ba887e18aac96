"""SIM cards: what is booked right now, and what was."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Min, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from .. import wording
from ..live import topics
from ..models import SimCard, SyncState
from .access import accounts_in_view
from .listing import form_state, name_accounts, set_filters
from .paging import Sort, count_up_to, page_of
from .panels import Context, Panel
from .parameters import choice_of, text_of

SORTS = (
    Sort("number", gettext_lazy("Number"), "number", descending=False),
    Sort("ends", gettext_lazy("Ends soonest"), "ends_at", descending=False, nullable=True),
    Sort("-ends", gettext_lazy("Ends last"), "ends_at", nullable=True),
    Sort("newest", gettext_lazy("Booked last"), "starts_at", nullable=True),
)
SHOW = ("in-use", "all")
FILTERS = ("q", "country", "type", "service")


@require_safe
def sim_cards(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/sim_cards.html", {**_choices(request), **PANEL.context(request)})


def _build(request: HttpRequest) -> Context:
    cards = _filtered(request)
    page = page_of(cards, request.GET, SORTS)
    states = SyncState.objects.of_accounts(accounts_in_view(request)).filter(kind=SyncState.Kind.SIM_CARDS)
    return {
        "page": page,
        "count": count_up_to(cards.exclude(**{page.sort.field: None}) if page.sort.nullable else cards, 10_000),
        "read_at": states.aggregate(at=Min("last_success_at"))["at"],
        "show": choice_of(request.GET, "show", SHOW),
        "filtered": bool(set_filters(request, FILTERS)),
        "several_accounts": name_accounts(request, page.rows),
    }


PANEL = Panel("sim-cards", (topics.SIM_CARDS,), _build)


def _filtered(request: HttpRequest) -> Any:
    cards = SimCard.objects.of_accounts(accounts_in_view(request))
    if choice_of(request.GET, "show", SHOW) == "in-use":
        cards = cards.filter(in_use=True)
    for field, name in (("country", "country"), ("rental_type", "type"), ("service", "service")):
        if wanted := text_of(request.GET, name, 200):
            cards = cards.filter(**{field: wanted})
    if q := text_of(request.GET, "q"):
        digits = re.sub(r"[\s+()/-]", "", q)
        match = Q(service__icontains=q) | Q(country__icontains=q.replace(" ", ""))
        if digits.isascii() and digits.isdecimal():
            match |= Q(number__contains=digits)
        cards = cards.filter(match)
    return cards


def _choices(request: HttpRequest) -> dict[str, Any]:
    cards = SimCard.objects.of_accounts(accounts_in_view(request)).order_by()
    rows = set(cards.values_list("country", "rental_type", "service").distinct()[:2000])
    return {
        "countries": sorted({country for country, _, _ in rows if country}, key=wording.country_name),
        "types": sorted({kind for _, kind, _ in rows if kind}),
        "services": sorted({service for _, _, service in rows if service}, key=str.casefold),
        **form_state(request, FILTERS, SORTS),
        "show": choice_of(request.GET, "show", SHOW),
    }
