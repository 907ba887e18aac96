"""Picking up what a lost queue or a dead worker left: the rows are the queue, Redis is only the bell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from ..models import BookingChange, Purchase
from . import presence
from .failpoints import reach
from .sending import NOT_KNOWN, deadline_of
from .transitions import move

Status = Purchase.Status
PREPARE_SECONDS = 40  # longer than any look takes: a purchase that prepares so long has lost its worker
BELL_SECONDS = 3  # a queued purchase that nobody took by then lost its bell


def due() -> Iterator[tuple[str, UUID]]:
    """Give ("send" or "settle", id) of what is to be done now, and set right what a dead worker left behind."""
    now = timezone.now()
    open_ones = Purchase.objects.filter(status__in=("queued", "preparing", "sending", "unknown"))
    for purchase in open_ones.select_related("account").order_by("created_at"):
        gone = presence.is_gone(purchase.sender)
        too_long = purchase.status_at < now - timedelta(seconds=PREPARE_SECONDS)
        if purchase.status == Status.PREPARING and (gone or too_long):
            move(purchase, Status.QUEUED, "Its worker went away before anything was sent.")
        elif purchase.status == Status.SENDING and (gone or now > deadline_of(purchase)):
            _lost_while_sending(purchase)
        if purchase.status == Status.QUEUED and _waits_long_enough(purchase):
            yield "send", purchase.pk
        elif purchase.status == Status.UNKNOWN and (purchase.next_check_at is None or purchase.next_check_at <= now):
            yield "settle", purchase.pk


def due_changes() -> list[int]:
    """Ids of booking changes whose bell was lost, or whose worker died (setting a value twice is harmless)."""
    now = timezone.now()
    stale = Q(status="queued", status_at__lt=now - timedelta(seconds=BELL_SECONDS)) | Q(
        status="sending", status_at__lt=now - timedelta(seconds=120)
    )
    return list(BookingChange.objects.filter(stale).values_list("pk", flat=True))


def _waits_long_enough(purchase: Purchase) -> bool:
    now = timezone.now()
    if purchase.next_check_at is not None:
        return purchase.next_check_at <= now
    return purchase.status_at <= now - timedelta(seconds=BELL_SECONDS)


def _lost_while_sending(purchase: Purchase) -> None:
    reach("sweep:before-unknown")
    words = f"{NOT_KNOWN} Its worker went away while it was being sent."
    move(purchase, Status.UNKNOWN, words, next_check_at=timezone.now(), checks=0)
    reach("sweep:after-unknown")
