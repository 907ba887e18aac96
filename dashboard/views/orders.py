"""Orders: what was bought, with its bookings."""

from __future__ import annotations

import re

from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from ..access_rules import Rule, may
from ..live import topics
from ..local_time import Clock
from ..models import Booking, Order, Purchase
from ..models.orders import OrderQuerySet
from .access import accounts_in_view, order_for
from .buying import again_of_order
from .listing import form_state, name_accounts, set_filters
from .paging import Sort, count_up_to, page_of
from .panels import Context, Panel
from .parameters import days_of, money_of, text_of
from .rows import booking_rows

SORTS = (
    # The provider's ids grow with time, and unlike the date an order always has one.
    Sort("newest", gettext_lazy("Newest first"), "remote_id"),
    Sort("oldest", gettext_lazy("Oldest first"), "remote_id", descending=False),
    Sort("dearest", gettext_lazy("Dearest first"), "price_usd", nullable=True),
)
FILTERS = ("q", "from", "to", "price_from", "price_to")


@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    state = form_state(request, FILTERS, SORTS)
    return render(request, "dashboard/orders.html", {**state, **PANEL.context(request)})


@require_safe
def order(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "dashboard/order.html", ORDER_PANEL.context(request, pk=pk))


def _build(request: HttpRequest) -> Context:
    found = _filtered(request)
    # Two more queries for the bookings and purchases of the whole page, whatever its length.
    bookings = Booking.objects.only("order_id", "number", "country", "service", "rental_type", "extends")
    ours = Purchase.objects.only("order_id", "note", "requested_by__username").select_related("requested_by")
    rows = found.prefetch_related(Prefetch("bookings", bookings.order_by("remote_id")), Prefetch("purchases", ours))
    page = page_of(rows, request.GET, SORTS)
    return {
        "page": page,
        "count": count_up_to(found.exclude(price_usd=None) if page.sort.nullable else found, 10_000),
        "filtered": bool(set_filters(request, FILTERS)),
        "several_accounts": name_accounts(request, page.rows),
    }


def _build_order(request: HttpRequest, pk: int) -> Context:
    found = order_for(request, pk)
    bookings = Booking.objects.filter(order=found).order_by("remote_id")
    rows = list(bookings.for_list())
    buys = may(request.user, Rule.BUY, found.account_id)
    purchase = Purchase.objects.filter(order=found).select_related("product", "requested_by").first()
    return {
        "order": found,
        "rows": booking_rows(rows, Clock(), {}),
        # An order that answers no purchase of ours was made elsewhere.
        "purchase": purchase,
        "again": again_of_order(purchase, found.account_id, rows) if buys else None,
    }


PANEL = Panel("orders", (topics.ORDERS, topics.BOOKINGS, topics.PURCHASES), _build)
ORDER_PANEL = Panel("order", (topics.ORDERS, topics.BOOKINGS, topics.SMS, topics.PURCHASES), _build_order)


def _filtered(request: HttpRequest) -> OrderQuerySet:
    found = Order.objects.of_accounts(accounts_in_view(request))
    start, end = days_of(request)
    if start is not None:
        found = found.filter(ordered_at__gte=start)
    if end is not None:
        found = found.filter(ordered_at__lt=end)
    if (price_from := money_of(request.GET, "price_from")) is not None:
        found = found.filter(price_usd__gte=price_from)
    if (price_to := money_of(request.GET, "price_to")) is not None:
        found = found.filter(price_usd__lte=price_to)
    if q := text_of(request.GET, "q"):
        found = found.filter(_matching(request, q))
    return found


def _matching(request: HttpRequest, q: str) -> Q:
    """Orders of this id or note, or with a booking of that service, note or number, typed with spaces or without."""
    digits = re.sub(r"[\s+()/-]", "", q)
    booking = Q(service__icontains=q) | Q(note__icontains=q)
    ours = Purchase.objects.of_accounts(accounts_in_view(request)).filter(note__icontains=q, order__isnull=False)
    condition = Q(pk__in=ours.values("order_id"))
    if digits.isascii() and digits.isdecimal():
        booking |= Q(number__contains=digits)
        if len(digits) < 19:
            condition |= Q(remote_id=int(digits))
    ids = Booking.objects.of_accounts(accounts_in_view(request)).filter(booking, order__isnull=False).values("order_id")
    return condition | Q(pk__in=ids)
