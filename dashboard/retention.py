"""How long the text of an SMS is kept: a daily task blanks what is older than the account's own span (issue 5).

The row, its sender and its fingerprint stay, so that the next read of the provider's lists knows the message and does
not bring its text back. What is first read when it is too old already is stored without text (sync/save_sms.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from anosim_dashboard import shared_clock

from . import audit
from .live import topics
from .models import Account, Sms

EVERY = timedelta(days=1)
# A worker that dies in the middle gives the account back after this.
LEASE = timedelta(minutes=10)
CHUNK = 500  # rows in one transaction: SQLite's one writer waits some 25 ms for it


def due() -> list[int]:
    """Claim the accounts whose texts are to be looked at now; ids. Two beats or ticks claim an account once."""
    now = shared_clock.now()
    wanted = Account.objects.exclude(sms_kept_days=None).filter(Q(retention_due_at=None) | Q(retention_due_at__lte=now))
    claimed = []
    for pk, due_at in wanted.values_list("pk", "retention_due_at"):
        if Account.objects.filter(pk=pk, retention_due_at=due_at).update(retention_due_at=now + LEASE):
            claimed.append(pk)
    return claimed


def blank_old_texts(account_id: int) -> int:
    """Blank what is older than the account keeps texts, oldest first; the number of messages.

    Interrupted at any point it has done what it did, and the next run does the rest.
    """
    account = Account.objects.filter(pk=account_id).first()
    now = shared_clock.now()
    if account is None or (end := account.text_ends_at(now)) is None:
        return 0
    count, last = 0, None
    while chunk := _next_chunk(account_id, end, last):
        last = chunk[-1]
        with transaction.atomic():
            blanked = Sms.objects.filter(pk__in=[pk for _, pk in chunk]).blank(now)
            if not count:
                # Once for a run, with the first of it: so nothing is blanked that is not on record.
                told = {"received_before": end.isoformat(timespec="minutes"), "kept_days": account.sms_kept_days}
                audit.by_machine("sms.blanked", account, told)
            count += blanked
            topics.touch(account_id, topics.SMS, topics.BOOKINGS)
    Account.objects.filter(pk=account_id).update(retention_due_at=now + EVERY)
    return count


def _next_chunk(account_id: int, end: datetime, last: tuple[datetime, int] | None) -> list[tuple[datetime, int]]:
    """Time and id of the next messages that still have a text, in the order of the index `sms_inbox`."""
    rows = Sms.objects.of_accounts([account_id]).filter(received_at__lt=end).exclude(text="", code="")
    if last is not None:
        rows = rows.filter(received_at__gte=last[0]).filter(Q(received_at__gt=last[0]) | Q(pk__gt=last[1]))
    return list(rows.order_by("received_at", "pk").values_list("received_at", "pk")[:CHUNK])
