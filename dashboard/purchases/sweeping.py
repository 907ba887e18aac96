"""Picking up what a lost queue or a dead worker left: the rows are the queue, Redis is only the bell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from anosim_dashboard import shared_clock

from ..models import BookingChange, Purchase
from . import changing, presence
from .failpoints import reach
from .sending import NOT_KNOWN, WAIT_AT_MOST, deadline_of
from .transitions import move

Status = Purchase.Status
PREPARE_SECONDS = 60  # longer than any look takes: a purchase that prepares so long has lost its worker
BELL_SECONDS = 3  # a queued purchase that nobody took by then lost its bell
# What was handed out is handed out again after so long, should the message be lost or its worker die.
SEND_LEASE = timedelta(seconds=5)
SETTLE_LEASE = timedelta(seconds=30)
CLOCK_WENT_BACK = timedelta(seconds=30)  # a row that moved so far in the future was written by another clock


def due() -> Iterator[tuple[str, UUID]]:
    """Give ("send" or "settle", id) of what is to be done now, and set right what a dead worker left behind.

    One purchase of an account at a time: the others could only wait for it.
    """
    now = shared_clock.now()
    waiting: list[Purchase] = []
    blocked: set[tuple[int, str]] = set()
    rows = Purchase.objects.filter(status__in=Purchase.OPEN)
    for purchase in rows.select_related("account").defer("before", "after").order_by("created_at", "pk"):
        _set_right(purchase, now)
        if purchase.status == Status.QUEUED:
            waiting.append(purchase)
        elif purchase.status in Purchase.IN_FLIGHT:
            blocked.add((purchase.account_id, ""))
        elif purchase.status in Purchase.UNSETTLED:
            blocked.add((purchase.account_id, purchase.target))
            asleep = purchase.status == Status.NEEDS_REVIEW or not purchase.account.enabled
            if not asleep and _is_due(purchase, now) and _claim(purchase, now + SETTLE_LEASE):
                yield "settle", purchase.pk
    for purchase in waiting:
        if (purchase.account_id, purchase.target) in blocked and now - purchase.created_at > WAIT_AT_MOST:
            # Who asked for it must not be surprised by it when the doubt is settled, hours or days later.
            move(purchase, Status.CANCELLED, "Nothing was sent: what became of an earlier one like it is not known.")
            continue
        free = blocked.isdisjoint({(purchase.account_id, ""), (purchase.account_id, purchase.target)})
        if free and _is_due(purchase, now) and _claim(purchase, now + SEND_LEASE):
            blocked.add((purchase.account_id, ""))
            yield "send", purchase.pk


def following(pk: UUID) -> UUID | None:
    """The purchase that waits for the end of this one: to be sent next, without waiting for the sweeper."""
    done = Purchase.objects.only("account_id", "status").filter(pk=pk).first()
    if done is None or done.status in ("queued", *Purchase.IN_FLIGHT):
        return None
    mine = Purchase.objects.filter(account=done.account_id)
    if mine.in_flight().exists():
        return None
    waiting = mine.filter(status=Status.QUEUED).exclude(target__in=mine.unsettled().values("target"))
    return waiting.filter(next_check_at=None).order_by("created_at", "pk").values_list("pk", flat=True).first()


def due_changes() -> list[int]:
    """Ids of booking changes whose bell was lost, or whose worker died (setting a value twice is harmless)."""
    now = shared_clock.now()
    stale = Q(status="queued", status_at__lt=now - timedelta(seconds=BELL_SECONDS)) | Q(
        status="sending", status_at__lt=now - changing.LEASE
    )
    return list(BookingChange.objects.filter(stale).values_list("pk", flat=True))


def _set_right(purchase: Purchase, now: datetime) -> None:
    """What a worker left that died: nothing was sent of what it prepared; of what it sent, the lists will tell."""
    if purchase.status == Status.PREPARING:
        too_long = purchase.status_at < now - timedelta(seconds=PREPARE_SECONDS)
        if too_long and now - purchase.created_at > WAIT_AT_MOST:
            move(purchase, Status.REJECTED, "Nothing was sent: it could not be prepared in time.")
        elif too_long or presence.is_gone(purchase.sender):
            move(purchase, Status.QUEUED, "Its worker went away before anything was sent.", next_check_at=None)
    elif purchase.status == Status.SENDING and (now > deadline_of(purchase) or presence.is_gone(purchase.sender)):
        words = f"{NOT_KNOWN} Its worker went away while it was being sent."
        move(purchase, Status.UNKNOWN, words, next_check_at=now, checks=0)


def _is_due(purchase: Purchase, now: datetime) -> bool:
    if purchase.status_at > now + CLOCK_WENT_BACK:
        return True
    if purchase.next_check_at is not None:
        return purchase.next_check_at <= now
    return purchase.status == Status.UNKNOWN or purchase.status_at <= now - timedelta(seconds=BELL_SECONDS)


def _claim(purchase: Purchase, until: datetime) -> bool:
    """Take the row for one message: ticks that come before it is done, here or on another host, hand out none."""
    mine = Purchase.objects.filter(pk=purchase.pk, status=purchase.status, attempt=purchase.attempt)
    claimed = mine.filter(next_check_at=purchase.next_check_at).update(next_check_at=until) == 1
    reach("sweep:claimed")
    return claimed
