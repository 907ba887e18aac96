"""The only way a purchase moves: compare-and-set on status and attempt, with its step, in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from anosim_dashboard import shared_clock

from .. import audit
from ..live import topics
from ..models import Account, Purchase, PurchaseStep, User
from .failpoints import reach

Status = Purchase.Status

# From where to where. Nothing leads back from sending but to queued, when the connection was provably not made.
ALLOWED: dict[str, frozenset[str]] = {
    Status.QUEUED: frozenset({Status.PREPARING, Status.CANCELLED}),
    Status.PREPARING: frozenset({Status.QUEUED, Status.SENDING, Status.REJECTED, Status.CANCELLED}),
    Status.SENDING: frozenset({Status.CONFIRMED, Status.UNKNOWN, Status.QUEUED}),
    Status.UNKNOWN: frozenset({Status.CONFIRMED, Status.ABSENT, Status.REJECTED, Status.NEEDS_REVIEW}),
    Status.NEEDS_REVIEW: frozenset({Status.CONFIRMED, Status.ABSENT}),
}


def move(
    purchase: Purchase,
    new: str,
    words: str = "",
    *,
    by: User | None = None,
    inside: Callable[[], Any] | None = None,
    only_if: dict[str, Any] | None = None,
    **values: Any,
) -> bool:
    """Move the purchase from the status and attempt that the object has to `new`; false if it has moved meanwhile.

    `values` are columns set with it, `only_if` further conditions of the compare-and-set, `inside` runs in the same
    transaction after it. The move is durable when this returns; if it did not come about, the object has the status
    and attempt that the row has now. Raises ValueError for a move that is not allowed, IntegrityError where a
    constraint forbids it (another one in flight), RuntimeError inside another transaction.

    `only_if` must not reach over a join: Django would then put all conditions into a sub-select, which PostgreSQL
    does not ask again after it has waited for the row, and the compare-and-set would be none.
    """
    old = purchase.status
    if new not in ALLOWED.get(old, frozenset()):
        raise ValueError(f"A purchase does not go from {old} to {new}.")
    values |= {"status": new, "status_at": shared_clock.now(), "words": words[:400]}
    mine = Purchase.objects.filter(pk=purchase.pk, status=old, attempt=purchase.attempt, **(only_if or {}))
    with transaction.atomic(durable=True):
        # Everybody takes the account first (as intents.queue and sync.runs do), so nobody waits in a ring.
        Account.objects.select_for_update(of=("self",)).only("pk").get(pk=purchase.account_id)
        if mine.update(**values) != 1:
            purchase.refresh_from_db(fields=["status", "attempt"])
            return False
        _note(purchase, old, values, by, inside)
        reach(f"{old}>{new}:before-commit")
    reach(f"{old}>{new}:after-commit")
    for name, value in values.items():
        setattr(purchase, name, value)
    return True


def _note(
    purchase: Purchase, old: str, values: dict[str, Any], by: User | None, inside: Callable[[], Any] | None
) -> None:
    """Write the step of a move that came about, put it on record, and tell the open pages."""
    new, words, attempt = values["status"], values["words"], values.get("attempt", purchase.attempt)
    PurchaseStep.objects.create(
        purchase=purchase, at=values["status_at"], old=old, new=new, attempt=attempt, words=words, by=by
    )
    if by is None:
        # What a person did is noted by `inside`, which knows from where. Before `inside`, which may touch topics: the
        # end of the audit comes before them everywhere, so nobody waits in a ring.
        audit.by_machine(f"purchase.{new}", purchase, _told(old, attempt, words, values))
    if inside is not None:
        inside()
    topics.touch(purchase.account_id, topics.PURCHASES)


def _told(old: str, attempt: int, words: str, values: dict[str, Any]) -> dict[str, Any]:
    """What the record keeps of a move: the step, and what it cost."""
    charged = values.get("charged_usd")
    cost = {} if charged is None else {"charged_usd": str(charged)}
    return {"from": old, "attempt": attempt, "words": words} | cost
