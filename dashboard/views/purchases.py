"""Purchases: what the team asked for, how each stands, and taking one back."""

from __future__ import annotations

import re
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from .. import audit
from ..access_rules import Rule, may
from ..live import topics
from ..local_time import Clock, iso
from ..models import Booking, Purchase, User
from ..models.purchases import PurchaseQuerySet
from ..purchases import intents
from .access import accounts_in_view, purchase_for
from .buying import again_of_purchase
from .doubtful import review_count
from .ordering import details_of
from .paging import Sort, count_up_to, page_of
from .panels import Context, Panel
from .parameters import choice_of, text_of, whole_of
from .purchase_words import badge_of, outcome_of, step_words, title_of
from .rows import booking_rows

Status = Purchase.Status
SORTS = (
    Sort("newest", gettext_lazy("Newest first"), "created_at", tie="uuid"),
    Sort("oldest", gettext_lazy("Oldest first"), "created_at", descending=False, tie="uuid"),
    Sort("dearest", gettext_lazy("Dearest first"), "price_usd", tie="uuid"),
)
# What the list can be narrowed to, by what people ask for.
GROUPS: dict[str, tuple[str | Promise, tuple[str, ...]]] = {
    "open": (gettext_lazy("On its way"), (Status.QUEUED, Status.PREPARING, Status.SENDING)),
    "bought": (gettext_lazy("Bought"), (Status.CONFIRMED,)),
    "unknown": (gettext_lazy("Not known yet"), (Status.UNKNOWN, Status.NEEDS_REVIEW)),
    "not-bought": (gettext_lazy("Not bought"), (Status.REJECTED, Status.ABSENT, Status.CANCELLED)),
}
FILTERS = ("q", "status", "who")


@require_safe
def purchases(request: HttpRequest) -> HttpResponse:
    mine = Purchase.objects.of_accounts(accounts_in_view(request)).order_by()
    people = User.objects.filter(pk__in=mine.values("requested_by").distinct()).order_by("username")
    choices = {
        "groups": [(key, label) for key, (label, _) in GROUPS.items()],
        "people": list(people.values_list("pk", "username")),
        "set_filters": [name for name in FILTERS if text_of(request.GET, name)],
        "sort": choice_of(request.GET, "sort", tuple(sort.key for sort in SORTS)),
        "sorts": SORTS,
        "to_review": review_count(request),
    }
    return render(request, "dashboard/purchases.html", {**choices, **PANEL.context(request)})


@require_safe
def purchase(request: HttpRequest, uuid: UUID) -> HttpResponse:
    return render(request, "dashboard/purchase.html", PURCHASE_PANEL.context(request, uuid=uuid))


@require_POST
def withdraw(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Take back a purchase that is still queued: its own, or a manager anybody's. Sent twice it says the same."""
    found = purchase_for(request, uuid)

    def note_it() -> None:
        audit.record(request, "purchase.withdrawn", found, details_of(found))

    if found.status == Status.CANCELLED or intents.withdraw(found, request.user, also=note_it):  # type: ignore[arg-type]
        messages.success(request, _("Taken back. Nothing was sent and nothing was spent."))
    else:
        messages.error(request, _("Too late to take it back: it was on its way already."))
    return HttpResponseRedirect(reverse("purchase", args=[uuid]), status=303)


def _build(request: HttpRequest) -> Context:
    found = _filtered(request)
    page = page_of(found.select_related("account", "product", "requested_by", "booking", "order"), request.GET, SORTS)
    rows = [{"purchase": each, "title": title_of(each), "badge": badge_of(each)} for each in page.rows]
    return {
        "page": page,
        "rows": rows,
        "count": count_up_to(found, 10_000),
        "filtered": any(text_of(request.GET, name) for name in FILTERS),
        "several_accounts": len(accounts_in_view(request)) > 1,
    }


def _purchase(request: HttpRequest, uuid: UUID) -> Purchase:
    """Read once in the life of the request: version and fragment ask for it."""
    known: dict[UUID, Purchase] = request.__dict__.setdefault("_purchases", {})
    if uuid not in known:
        known[uuid] = purchase_for(request, uuid)
    return known[uuid]


def _build_purchase(request: HttpRequest, uuid: UUID) -> Context:
    found = _purchase(request, uuid)
    clock = Clock()
    bookings = Booking.objects.filter(order=found.order_id) if found.order_id else Booking.objects.none()
    steps = list(found.steps.select_related("by"))
    user, account, own = request.user, found.account_id, found.requested_by_id == request.user.pk
    return {
        "purchase": found,
        "title": title_of(found),
        "badge": badge_of(found),
        "outcome": outcome_of(found),
        "rows": booking_rows(bookings.order_by("remote_id").for_list(), clock, {}),
        "steps": [(step, step_words(step)) for step in reversed(steps)],
        "next_check": _next_check(found),
        "may_withdraw": found.status == Status.QUEUED and may(user, Rule.WITHDRAW, account, own=own),
        "again": again_of_purchase(found) if found.kind == Purchase.Kind.ORDER else None,
        "may_decide": may(user, Rule.DECIDE, account),
        "may_act": may(user, Rule.BUY, account),
        "moving": found.is_open,
    }


def _next_check(found: Purchase) -> dict[str, str] | None:
    """A countdown to the next look at the provider's lists."""
    if found.status != Status.UNKNOWN or found.next_check_at is None:
        return None
    return {"starts": iso(found.status_at), "ends": iso(found.next_check_at)}


def _salt(request: HttpRequest, uuid: UUID) -> str:
    """What moves without a nudge: looks at the provider's lists that proved nothing."""
    found = _purchase(request, uuid)
    return f"{found.status} {found.checks} {found.next_check_at}"


PANEL = Panel("purchases", (topics.PURCHASES,), _build)
PURCHASE_PANEL = Panel(
    "purchase", (topics.PURCHASES, topics.BOOKINGS, topics.SMS), _build_purchase, salt=_salt, keeps_query=False
)


def _filtered(request: HttpRequest) -> PurchaseQuerySet:
    found = Purchase.objects.of_accounts(accounts_in_view(request))
    group = GROUPS.get(text_of(request.GET, "status"))
    if group is not None:
        found = found.filter(status__in=group[1])
    if (who := whole_of(request.GET, "who")) is not None:
        found = found.filter(requested_by=who)
    if q := text_of(request.GET, "q"):
        found = found.filter(_matching(request, q))
    return found


def _matching(request: HttpRequest, q: str) -> Q:
    """Purchases with this in the note or product, or with that number; a number may be typed with spaces."""
    condition = Q(note__icontains=q) | Q(product__service__icontains=q) | Q(product__country__icontains=q)
    digits = re.sub(r"[\s+()/-]", "", q)
    if digits.isascii() and digits.isdecimal():
        numbers = Booking.objects.of_accounts(accounts_in_view(request)).filter(number__contains=digits)
        condition |= Q(order__in=numbers.filter(order__isnull=False).values("order_id")) | Q(
            booking__in=numbers.values("pk")
        )
        if len(digits) < 19:
            condition |= Q(order__remote_id=int(digits))
    return condition
