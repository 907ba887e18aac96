"""Doubtful purchases: the evidence side by side, and a manager's word on what became of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import IntegrityError
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from .. import audit
from ..access_rules import Rule
from ..foreign_text import visible
from ..live import topics
from ..models import Booking, Order, Purchase
from ..purchases import settling
from ..sign_in.fresh import confirm_then_go_on, fresh
from .access import accounts_in_view, purchase_for
from .panels import Context, Panel
from .parameters import text_of, whole_of
from .purchase_words import badge_of, title_of

Status = Purchase.Status
MOST = 30  # purchases on the page; nobody looks through more at once
MOST_ROWS = 8  # of the provider's list that are known before and after; the new ones are all shown
MOST_CANDIDATES = 300
EARLIER = timedelta(days=1)
REASON_LENGTH = 300


@dataclass(frozen=True)
class SeenOrder:
    """A row of the provider's list as a look kept it. All text of it is the provider's."""

    remote_id: str
    at: datetime | None
    price: Decimal | None
    numbers: str
    what: str
    new: bool = False
    fits: bool = False


@dataclass(frozen=True)
class Seen:
    """One look: when, the balance, how many orders the list had, and the newest of them."""

    at: datetime | None
    balance: Decimal | None
    total: int
    orders: list[SeenOrder]
    ends_at: datetime | None = None


@dataclass
class Case:
    purchase: Purchase
    title: str
    badge: tuple[str, str]
    before: Seen
    after: Seen
    candidates: list[Order] = field(default_factory=list)
    # What a form that was not accepted held.
    error: str = ""
    error_field: str = ""
    reason: str = ""
    chosen: int | None = None

    @property
    def moved(self) -> Decimal | None:
        """By how much the balance went down between the looks, in USD."""
        if self.before.balance is None or self.after.balance is None:
            return None
        return self.before.balance - self.after.balance

    @property
    def decidable(self) -> bool:
        return self.purchase.status == Status.NEEDS_REVIEW


@require_safe
def doubtful(request: HttpRequest) -> HttpResponse:
    """For managers and admins; to others the page does not exist."""
    return render(request, "dashboard/doubtful.html", PANEL.context(request))


@require_POST
def decide(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """A manager's decision, with a reason. Sent twice, or by two managers: the first one counts."""
    found = purchase_for(request, uuid)
    if not fresh(request):
        return confirm_then_go_on(request)
    target = reverse("purchase", args=[uuid])
    if found.status != Status.NEEDS_REVIEW:
        messages.info(request, _("It stands already: %(state)s.") % {"state": badge_of(found)[1]})
        return HttpResponseRedirect(target, status=303)
    reason = text_of(request.POST, "reason", REASON_LENGTH)
    is_order = text_of(request.POST, "decision") == "order"
    chosen = whole_of(request.POST, "order") if is_order else None
    order = _candidates([found]).filter(account=found.account, pk=chosen).first() if chosen is not None else None
    if text_of(request.POST, "decision") not in ("order", "absent"):
        return _not_accepted(request, found, "Say which of the two it is.", "decision", reason, chosen)
    if is_order and order is None:
        return _not_accepted(request, found, "Choose the order that it is.", "order", reason, chosen)
    if not reason:
        return _not_accepted(request, found, "A decision needs a reason.", "reason", reason, chosen)

    def note_it() -> None:
        details = {"purchase": str(found.pk), "decision": "order" if order else "absent", "reason": reason}
        audit.record(request, "purchase.decided", found, details | ({"order": order.remote_id} if order else {}))

    try:
        decided = settling.decide_by_hand(found, request.user, reason, order, also=note_it)  # type: ignore[arg-type]
    except IntegrityError:
        return _not_accepted(request, found, "That order answers another purchase now.", "order", reason, None)
    if decided:
        messages.success(request, _("Decided: it was bought.") if order else _("Decided: it was not bought."))
    else:
        messages.info(request, _("Somebody decided it a moment ago."))
    return HttpResponseRedirect(target, status=303)


def review_count(request: HttpRequest) -> int:
    """How many purchases wait for this person's decision. At most one query a request."""
    known: int | None = getattr(request, "_review_count", None)
    if known is None:
        mine = accounts_in_view(request, Rule.DECIDE)
        waiting = Purchase.objects.of_accounts(mine).filter(status=Status.NEEDS_REVIEW)
        known = waiting.count() if mine else 0
        request._review_count = known  # type: ignore[attr-defined]
    return known


def _not_accepted(
    request: HttpRequest, purchase: Purchase, error: str, error_field: str, reason: str, chosen: int | None
) -> HttpResponse:
    """The page again, with what was typed and what is missing."""
    context = PANEL.context(request)
    for case in context["cases"]:
        if case.purchase.pk == purchase.pk:
            case.error, case.error_field, case.reason, case.chosen = error, error_field, reason, chosen
    return render(request, "dashboard/doubtful.html", context, status=422)


def _build(request: HttpRequest) -> Context:
    accounts = accounts_in_view(request)
    found = Purchase.objects.of_accounts(accounts).unsettled().order_by("created_at", "uuid")
    purchases = list(found.select_related("account", "product", "requested_by", "booking")[: MOST + 1])
    cases = [_case(purchase) for purchase in purchases[:MOST]]
    _add_candidates(cases)
    return {
        "cases": [case for case in cases if case.decidable],
        "watched": [case for case in cases if not case.decidable],
        "more": len(purchases) > MOST,
        "reason_length": REASON_LENGTH,
        "several_accounts": len(accounts) > 1,
    }


def _candidates(purchases: list[Purchase]) -> Any:
    """Stored orders that answer no purchase, of these accounts, from the day before the first of them was sent."""
    since = min(purchase.sent_at or purchase.created_at for purchase in purchases) - EARLIER
    orders = Order.objects.of_accounts({purchase.account_id for purchase in purchases})
    return orders.filter(Q(ordered_at__gte=since) | Q(ordered_at=None), purchases=None)


def _add_candidates(cases: list[Case]) -> None:
    """Of each account, those not in the provider's list before it was sent. Two queries for all cases."""
    open_cases = [case for case in cases if case.decidable]
    if not open_cases:
        return
    bookings = Booking.objects.only("order_id", "number", "service", "country", "rental_type").order_by("remote_id")
    orders = _candidates([case.purchase for case in open_cases]).prefetch_related(Prefetch("bookings", bookings))
    for order in orders.order_by("-remote_id")[:MOST_CANDIDATES]:
        for case in open_cases:
            before = case.purchase.before.get("orders", {})
            if order.account_id == case.purchase.account_id and str(order.remote_id) not in before:
                case.candidates.append(order)


def _case(purchase: Purchase) -> Case:
    before, after = purchase.before, purchase.after
    old = set(before.get("orders", {})) if before else None
    fits = {str(pk) for pk in after.get("fits", [])}
    return Case(purchase, title_of(purchase), badge_of(purchase), _seen(before, None, set()), _seen(after, old, fits))


def _seen(look: dict[str, Any], old: set[str] | None, fits: set[str]) -> Seen:
    """What a look kept, for people: the newest rows, and every one that is not in `old`."""
    rows = [
        _seen_order(pk, row, old is not None and pk not in old, pk in fits)
        for pk, row in look.get("orders", {}).items()
    ]
    rows.sort(key=lambda row: (row.new, int(row.remote_id)), reverse=True)
    new = sum(row.new for row in rows)
    return Seen(
        _moment(look.get("at")),
        _amount(look.get("balance")),
        int(look.get("total") or 0),
        rows[: new + MOST_ROWS],
        _moment(look.get("ends_at")),
    )


def _seen_order(pk: str, row: dict[str, Any], new: bool, fits: bool) -> SeenOrder:
    numbers = ", ".join(visible(str(number)) for number in row.get("numbers", []))
    what = "; ".join(visible(str(each)) for each in row.get("what", []))
    return SeenOrder(pk, _moment(row.get("at")), _amount(row.get("price")), numbers, what, new, fits)


def _moment(text: Any) -> datetime | None:
    return parse_datetime(text) if isinstance(text, str) and text else None


def _amount(text: Any) -> Decimal | None:
    try:
        return Decimal(text) if isinstance(text, str) and text else None
    except InvalidOperation:
        return None


PANEL = Panel("doubtful", (topics.PURCHASES, topics.ORDERS), _build, keeps_query=False)
