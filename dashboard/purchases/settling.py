"""Finding out what became of a purchase whose outcome is not known: by reading, never by sending (4.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from anosim_dashboard import shared_clock

from ..anosim import AnosimError
from ..anosim import Order as OrderRecord
from ..encryption import CannotUnseal
from ..live import topics
from ..models import Booking, Order, Purchase, User
from ..sync.clients import spending_client_for
from . import booked, evidence, presence
from .failpoints import reach
from .sending import deadline_of, sought_of, take_look
from .transitions import move

logger = logging.getLogger(__name__)
Status = Purchase.Status
# Seconds between looks; the last one repeats, so that what turns up late is found within a minute.
WAITS = (1, 4, 10, 15, 30, 45)
WAIT_SETTLED = 5  # seconds, once the settle time is over and only looks are missing for a verdict
LOOKS_FOR_ABSENT = 3
LOOKS_FOR_REVIEW = 6  # looks after the settle time that leave a doubt: a person decides
WATCHED_AT_MOST = 300.0  # seconds that "not bought" takes to be watched, however long the settle time
SHARED_DAYS = 30
RENEWAL_SOON = timedelta(hours=1)
TAKEN_BACK = "taken_back"  # in `before` of a purchase that stood unknown in a backup which was restored


def settle(pk: UUID) -> str:
    """Look at the provider's lists and move an unknown purchase if they prove something. Gives its status."""
    purchase = Purchase.objects.select_related("account", "product", "booking", "requested_by").filter(pk=pk).first()
    if purchase is None or purchase.status != Status.UNKNOWN:
        return purchase.status if purchase else "gone"
    if not purchase.account.enabled:
        return "paused"
    reach("settle:before-look")
    if purchase.account.breaker_until is not None:
        # The schedule probes whether the provider is back; a look of our own could only fail with it.
        _put_off(purchase)
        return purchase.status
    try:
        _, look = take_look(spending_client_for(purchase.account), purchase)
    except (AnosimError, CannotUnseal) as error:
        _later(
            purchase, shared_clock.now(), after=purchase.after | {"trouble": getattr(error, "text", str(error))[:300]}
        )
        return purchase.status
    reach("settle:looked")
    verdict = evidence.judge(sought_of(purchase), purchase.before, look, _taken(purchase))
    try:
        _decide(purchase, look, verdict)
    except Exception:
        # Ours to mend, but the row must neither stand still nor be looked at each second.
        _later(purchase, look.at)
        raise
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
    if order is not None and order.account_id != purchase.account_id:
        raise ValueError("The order is of another account.")
    if purchase.status not in Purchase.UNSETTLED:
        return False
    if purchase.status == Status.UNKNOWN and shared_clock.now() < deadline_of(purchase):
        raise ValueError("The call may still be under way. Wait a moment.")
    words = f"{user.get_username()}: {reason}"
    if order is None:
        return move(purchase, Status.ABSENT, words, by=user, inside=also, next_check_at=None)
    mine = order

    def inside() -> None:
        booked.dedicate(purchase, mine)
        if also is not None:
            also()
        topics.touch(purchase.account_id, topics.BOOKINGS, topics.SMS)

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
    after = _after(purchase, look, verdict)
    settled = look.at >= _settled_at(purchase)
    if not verdict.complete:
        words = "More orders came than ANOSIM's list holds, so it cannot be found out: a manager decides."
        move(purchase, Status.NEEDS_REVIEW, words, after=after)
    elif len(verdict.found) > 1:
        move(purchase, Status.NEEDS_REVIEW, "More than one order fits: a manager decides.", after=after)
    elif verdict.found and verdict.whole and not verdict.unclear:
        if TAKEN_BACK in purchase.before:
            words = "An order fits, but it may have been bought after the backup was taken: a manager decides."
            move(purchase, Status.NEEDS_REVIEW, words, after=after)
        elif _is_shared(purchase, look, verdict):
            words = "An order fits, but the same is bought elsewhere with this account: a manager decides."
            move(purchase, Status.NEEDS_REVIEW, words, after=after)
        else:
            _found(purchase, verdict.found[0], look, after)
    elif purchase.refusal and verdict.nothing and (verdict.explained or purchase.empty_looks >= 1):
        move(purchase, Status.REJECTED, purchase.refusal, after=after)
    elif settled and _is_clear(verdict, after) and _is_watched(purchase, after):
        words = "Not bought: it is in no list and the balance shows no trace of it."
        move(purchase, Status.ABSENT, words, after=after)
    elif after["settled_looks"] > LOOKS_FOR_REVIEW and not _is_clear(verdict, after):
        move(purchase, Status.NEEDS_REVIEW, f"{_doubt(verdict)} A manager decides.", after=after)
    else:
        _later(purchase, look.at, after=after, empty_looks=purchase.empty_looks + verdict.nothing)


def _after(purchase: Purchase, look: evidence.Look, verdict: evidence.Verdict) -> dict[str, Any]:
    """The look as it is kept, with what earlier looks left for the verdict: the order that an answer named, how
    often we looked after the settle time, and since when (by a clock that no hand moves) nothing was found."""
    kept = purchase.after
    after = look.as_json() | {
        "fits": [order.id for order in verdict.found],
        "similar": [order.id for order in (*verdict.unclear, *verdict.similar)],
        "explained": verdict.explained,
        "settled_looks": kept.get("settled_looks", 0) + (look.at >= _settled_at(purchase)),
    }
    if "answered" in kept:
        after["answered"] = kept["answered"]
    if verdict.nothing:
        # Each host by its own clock: several look in turn, and none may set back what another has begun to watch.
        after["watched"] = {presence.boot(): presence.boot_seconds()} | kept.get("watched", {})
    return after


def _is_clear(verdict: evidence.Verdict, after: dict[str, Any]) -> bool:
    """Whether all that was read says "not bought": no order like it, an explained balance, no answer that named one."""
    return verdict.nothing and verdict.explained and "answered" not in after


def _is_watched(purchase: Purchase, after: dict[str, Any]) -> bool:
    """Whether that was read often enough, over a time that really went by whatever the clock on the wall says."""
    watched = presence.boot_seconds() - after["watched"][presence.boot()]
    enough = watched >= min(float(settings.PURCHASE_SETTLE_SECONDS), WATCHED_AT_MOST)
    return enough and purchase.empty_looks >= LOOKS_FOR_ABSENT


def _doubt(verdict: evidence.Verdict) -> str:
    """Why the lists do not say whether it was bought, as a sentence."""
    if verdict.moved_end:
        return "The booking ends later than before, but no order for it is listed."
    if verdict.found or verdict.unclear or verdict.similar:
        return "An order looks like it, but not quite."
    if not verdict.explained:
        return "It is in no list, but the balance does not add up."
    return "It is in no list that could be read, and yet it may have been bought."


def _settled_at(purchase: Purchase) -> datetime:
    return deadline_of(purchase) + timedelta(seconds=settings.PURCHASE_SETTLE_SECONDS)


def _found(purchase: Purchase, order: OrderRecord, look: evidence.Look, after: dict[str, Any]) -> None:
    filing = booked.Filing(purchase, order, look.at)
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
        # Linked since we read which orders are taken; the next look leaves it out.
        _later(purchase, look.at, after=after)


def _later(purchase: Purchase, looked_at: datetime, **values: Any) -> None:
    """Look again after the next wait; once the settle time is over, soon, so that the verdict does not lag."""
    checks = purchase.checks + 1
    settled_at = _settled_at(purchase)
    next_at = shared_clock.now() + timedelta(seconds=WAITS[min(checks, len(WAITS)) - 1])
    if looked_at < settled_at < next_at:
        next_at = settled_at
    elif looked_at >= settled_at and "explained" in values.get("after", {}):
        next_at = min(next_at, shared_clock.now() + timedelta(seconds=WAIT_SETTLED))
    mine = Purchase.objects.filter(pk=purchase.pk, status=Status.UNKNOWN, attempt=purchase.attempt)
    mine.update(checks=min(checks, 30_000), next_check_at=next_at, **values)
    reach("settle:later")


def _put_off(purchase: Purchase) -> None:
    """Look a moment later, without counting it as a look."""
    mine = Purchase.objects.filter(pk=purchase.pk, status=Status.UNKNOWN, attempt=purchase.attempt)
    mine.update(next_check_at=shared_clock.now() + timedelta(seconds=WAIT_SETTLED))


def _taken(purchase: Purchase) -> set[int]:
    """Remote ids of the orders that answer other purchases of the account."""
    linked = Purchase.objects.filter(account=purchase.account).exclude(order=None).exclude(pk=purchase.pk)
    return set(linked.values_list("order__remote_id", flat=True))


def _is_shared(purchase: Purchase, look: evidence.Look, verdict: evidence.Verdict) -> bool:
    """Whether the same is bought with this account elsewhere, too: then an equal order proves nothing.

    Known by an order of the last 30 days, placed after we began to read, that answers no purchase of ours; for an
    extension also by a renewal that the provider may have made by itself.
    """
    product, booking = purchase.product, purchase.booking
    since = max(shared_clock.now() - timedelta(days=SHARED_DAYS), purchase.account.created_at)
    elsewhere = Order.objects.filter(account=purchase.account, ordered_at__gte=since, purchases=None).exclude(
        remote_id__in=[order.id for order in verdict.found]
    )
    if purchase.kind == Purchase.Kind.ORDER or booking is None:
        alike = elsewhere.filter(
            bookings__country=product.country,
            bookings__service=product.service,
            bookings__rental_type=product.rental_type,
            bookings__duration_minutes=product.duration_minutes,
            bookings__extends=None,
        )
        return alike.exists()
    if purchase.kind == Purchase.Kind.EXTEND:
        return (
            _renewal_was_due(purchase, booking, look) or elsewhere.filter(bookings__extends=booking.remote_id).exists()
        )
    reused = elsewhere.filter(bookings__number=booking.number, bookings__extends=None)
    return reused.exclude(bookings=booking).exists()


def _renewal_was_due(purchase: Purchase, booking: Booking, look: evidence.Look) -> bool:
    """Whether the provider may have renewed the booking by itself since we looked before sending."""
    if booking.auto_renewal is False:
        return False
    ended = purchase.before.get("ends_at")
    return not ended or datetime.fromisoformat(ended) <= look.at + RENEWAL_SOON
