"""Finding out what became of a purchase whose outcome is not known: by reading, never by sending (4.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from ..anosim import AnosimError
from ..anosim import Order as OrderRecord
from ..encryption import CannotUnseal
from ..models import Order, Purchase, User
from ..sync.clients import spending_client_for
from . import booked, evidence
from .failpoints import reach
from .sending import deadline_of, sought_of, take_look
from .transitions import move

logger = logging.getLogger(__name__)
Status = Purchase.Status
# Seconds between looks (Kill Bill's shape); the last one repeats.
WAITS = (1, 4, 10, 30, 60, 180, 600, 3600, 86_400)
LOOKS_FOR_ABSENT = 3
REVIEW_AFTER = 8  # looks after the settle time that explain nothing: a person decides
SHARED_DAYS = 30


def settle(pk: UUID) -> str:
    """Look at the provider's lists and move an unknown purchase if they prove something. Gives its status."""
    purchase = Purchase.objects.select_related("account", "product", "booking", "requested_by").filter(pk=pk).first()
    if purchase is None or purchase.status != Status.UNKNOWN:
        return purchase.status if purchase else "gone"
    try:
        _, look = take_look(spending_client_for(purchase.account), purchase)
    except (AnosimError, CannotUnseal):
        _later(purchase, Purchase.objects.filter(pk=pk))
        return purchase.status
    reach("settle:looked")
    verdict = evidence.judge(sought_of(purchase), purchase.before, look, _taken(purchase))
    _decide(purchase, look, verdict)
    reach("settle:after-commit")
    return purchase.status


def decide_by_hand(
    purchase: Purchase, user: User, reason: str, order: Order | None, also: Callable[[], object] | None = None
) -> bool:
    """A manager's word on a purchase that needs review: it is this order, or it was not bought. With a reason.

    False if it was decided meanwhile. Committed with what `also` writes. Raises ValueError without a reason,
    IntegrityError if the order answers another purchase.
    """
    reason = reason.strip()
    if not reason:
        raise ValueError("A decision needs a reason.")
    words = f"{user.get_username()}: {reason}"
    if order is None:
        return move(purchase, Status.ABSENT, words, by=user, inside=also, next_check_at=None)
    mine = order

    def inside() -> None:
        booked.dedicate(purchase, mine)
        if also is not None:
            also()

    return move(
        purchase,
        Status.CONFIRMED,
        words,
        by=user,
        inside=inside,
        order=order,
        charged_usd=order.price_usd,
        next_check_at=None,
    )


def _decide(purchase: Purchase, look: evidence.Look, verdict: evidence.Verdict) -> None:
    now = timezone.now()
    settled_at = deadline_of(purchase) + timedelta(seconds=settings.PURCHASE_SETTLE_SECONDS)
    after = look.as_json() | {"fits": [order.id for order in verdict.found], "explained": verdict.explained}
    reach("settle:before-commit")
    if len(verdict.found) == 1 and not _is_shared(purchase, verdict):
        _found(purchase, verdict.found[0], after)
        return
    if verdict.found:
        words = "More than one order fits, or somebody else buys the same with this account: a manager decides."
        move(purchase, Status.NEEDS_REVIEW, words, after=after)
        return
    if not verdict.complete:
        words = "More orders came than ANOSIM's list holds, so it cannot be found out: a manager decides."
        move(purchase, Status.NEEDS_REVIEW, words, after=after)
        return
    if purchase.refusal and (verdict.explained or purchase.empty_looks >= 1):
        move(purchase, Status.REJECTED, purchase.refusal, after=after)
        return
    looks = purchase.empty_looks + 1
    if now >= settled_at and looks > LOOKS_FOR_ABSENT and verdict.explained and not verdict.moved_end:
        move(purchase, Status.ABSENT, "Not bought: it is in no list and the balance is unchanged.", after=after)
        return
    if now >= settled_at and looks > LOOKS_FOR_ABSENT + REVIEW_AFTER:
        words = "It is in no list, but the balance does not add up: a manager decides."
        move(purchase, Status.NEEDS_REVIEW, words, after=after)
        return
    mine = Purchase.objects.filter(pk=purchase.pk, status=Status.UNKNOWN, attempt=purchase.attempt)
    _later(purchase, mine, after=after, empty_looks=looks)


def _found(purchase: Purchase, order: OrderRecord, after: dict[str, object]) -> None:
    filing = booked.Filing(purchase, order, timezone.now())
    try:
        move(
            purchase,
            Status.CONFIRMED,
            f"{filing.words()} Found in ANOSIM's list of orders.",
            inside=filing.save,
            charged_usd=order.price,
            after=after,
        )
    except IntegrityError:
        move(purchase, Status.NEEDS_REVIEW, f"Order {order.id} already answers another purchase.", after=after)


def _later(purchase: Purchase, mine: object, **values: object) -> None:
    """Look again after the next wait; once the settle time is over, soon, so that the verdict does not lag."""
    checks = purchase.checks + 1
    wait = WAITS[min(checks, len(WAITS)) - 1]
    settled_at = deadline_of(purchase) + timedelta(seconds=settings.PURCHASE_SETTLE_SECONDS)
    now = timezone.now()
    next_at = now + timedelta(seconds=wait)
    if now < settled_at < next_at:
        next_at = settled_at
    elif now >= settled_at and purchase.empty_looks <= LOOKS_FOR_ABSENT:
        next_at = min(next_at, now + timedelta(seconds=5))
    mine.update(checks=checks, next_check_at=next_at, **values)  # type: ignore[attr-defined]


def _taken(purchase: Purchase) -> set[int]:
    """Remote ids of the orders that answer other purchases of the account."""
    linked = Purchase.objects.filter(account=purchase.account).exclude(order=None).exclude(pk=purchase.pk)
    return set(linked.values_list("order__remote_id", flat=True))


def _is_shared(purchase: Purchase, verdict: evidence.Verdict) -> bool:
    """Whether somebody buys the same product with this account elsewhere: then an equal order proves nothing.

    Known by an order of the last 30 days, placed after we began to read, that answers no purchase of ours. An
    extension or a reuse names its booking or number and cannot be confused.
    """
    if purchase.kind != Purchase.Kind.ORDER:
        return False
    product, now = purchase.product, timezone.now()
    since = max(now - timedelta(days=SHARED_DAYS), purchase.account.created_at)
    elsewhere = Order.objects.filter(
        account=purchase.account,
        ordered_at__gte=since,
        purchases=None,
        bookings__country=product.country,
        bookings__service=product.service,
        bookings__rental_type=product.rental_type,
    ).exclude(remote_id__in=[order.id for order in verdict.found])
    if not elsewhere.exists():
        return False
    # Orders of purchases that are themselves not settled yet are ours, not somebody else's.
    ours = Purchase.objects.filter(account=purchase.account, product=product).unsettled().exclude(pk=purchase.pk)
    return elsewhere.distinct().count() > ours.count()
