"""When what is read: due times are rows, the tick only asks which are due (design.md 4)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Value
from django.db.models.functions import Least

from anosim_dashboard import shared_clock

from ..models import Account, Booking, Heartbeat, Order, SyncState

Kind = SyncState.Kind

# A tick comes each second; a row due within this is taken now rather than a second late.
AHEAD = timedelta(milliseconds=400)
# A claimed message waits at most so long in the queue, and a reader that died gives its row back after its lease.
QUEUE_SECONDS = 10
CLAIM = timedelta(seconds=QUEUE_SECONDS + 2)
LEASE = timedelta(seconds=15)

# Seconds between reads while a number can receive SMS, and while nothing runs.
_PACES: dict[str, tuple[int, int]] = {
    Kind.SMS: (2, 30),
    Kind.CURRENT: (2, 20),
    Kind.BALANCE: (30, 60),
    Kind.ORDERS: (20, 60),
    Kind.BOOKINGS: (20, 60),
    Kind.SIM_CARDS: (30, 60),
    Kind.PRODUCTS: (900, 900),
    Kind.COUNTRIES: (21_600, 21_600),
    # No call while none is wanted: this only finds what a reader wanted that died before it could call for haste.
    Kind.BOOKING_SMS: (60, 60),
}
LATE_SMS = timedelta(minutes=10)  # SMS of a booking that has just ended still trickle in
LONGEST_BACKOFF = 20.0  # seconds; short, since the breaker and not the back-off guards a provider that is down
BREAKER_AFTER = 5  # failures in a row, over all kinds
# Seconds until the next probe of a provider that is down: a short fault is over soon, a long one must cost few calls
# (reliability.md G24: a twentieth of the usual ones), and be noticed within a minute of its end.
BREAKER_SECONDS = 8.0
BREAKER_GROWTH = 1.5
BREAKER_LONGEST = 45.0
# What a probe reads, in turns: where one of the two fails by itself, the other finds that the provider is back.
PROBES = (Kind.SMS, Kind.BALANCE)
BAD_KEY_SECONDS = (15, 900)  # until a refused key is tried again: once soon, then seldom


def ensure_states() -> None:
    """Make the rows that accounts lack, due now. One query where none is missing."""
    wanted = set(Kind.values)
    have: dict[int, set[str]] = {pk: set() for pk in Account.objects.values_list("pk", flat=True)}
    for account_id, kind in SyncState.objects.values_list("account_id", "kind"):
        have.setdefault(account_id, set()).add(kind)
    missing = [
        SyncState(account_id=account_id, kind=kind, pace_seconds=_PACES[kind][1])
        for account_id, kinds in have.items()
        for kind in sorted(wanted - kinds)
    ]
    if missing:
        SyncState.objects.bulk_create(missing, ignore_conflicts=True)


def claim_due(now: datetime | None = None) -> Iterator[tuple[int, int]]:
    """Claim what is due and give (id, run) of each; two beats or ticks claim a row once."""
    now = now or shared_clock.now()
    for state in SyncState.objects.due(now + AHEAD):
        if not _may_read(state.account, state.kind, now):
            continue
        run = SyncState.objects.claim(state, now + CLAIM)
        if run is not None:
            yield state.pk, run


def claim_again(state_id: int) -> int | None:
    """Claim a row that its own run left due at once, without waiting for the next tick; the number of the new run."""
    now = shared_clock.now()
    state = SyncState.objects.due(now).filter(pk=state_id, reading=False).first()
    if state is None or not _may_read(state.account, state.kind, now):
        return None
    return SyncState.objects.claim(state, now + CLAIM)


def _may_read(account: Account, kind: str, now: datetime) -> bool:
    """An open breaker lets nothing through; once its time is over, one cheap read probes whether it may close."""
    if account.breaker_until is None:
        return True
    return kind == probe_of(account) and account.breaker_until <= now + AHEAD


def probe_of(account: Account) -> str:
    """The kind that is read next while the breaker is open."""
    return PROBES[account.breaker_failures % len(PROBES)]


def pace(account_id: int, kind: str, now: datetime | None = None) -> int:
    """Seconds until the next read of a kind that goes well."""
    busy, quiet = _PACES[kind]
    if busy == quiet:
        return busy
    now = now or shared_clock.now()
    bookings = Booking.objects.filter(account_id=account_id)
    if bookings.running(now).exists():
        return busy
    if kind == Kind.SMS and bookings.running(now - LATE_SMS).exists():
        return 10
    return quiet


def backoff(kind: str, failures: int) -> float:
    """Seconds until a failed read is tried again: doubling, with jitter, capped."""
    first = min(_PACES[kind][0], 4)
    return min(LONGEST_BACKOFF, first * 2.0 ** min(failures - 1, 8)) * random.uniform(0.6, 1.0)


def probe_wait(failures: int) -> float:
    """Seconds until the next probe after so many failures in a row, the last of them of a probe: growing, with jitter
    so that the accounts of one provider do not probe together."""
    seconds = BREAKER_SECONDS * BREAKER_GROWTH ** min(failures - BREAKER_AFTER, 8)
    return min(BREAKER_LONGEST, seconds) * random.uniform(0.8, 1.0)


def clock_set_back() -> int:
    """Take back what was dated by a clock that was ahead, else nothing is read, and no answer counts as newer, until
    the time comes that it showed. How many rows were moved."""
    now = shared_clock.now()
    ahead = now + Heartbeat.AHEAD
    read = Least("last_success_at", Value(now))
    states = SyncState.objects.filter(last_attempt_at__gt=ahead)
    moved = states.update(due_at=now, reading=False, last_attempt_at=now, last_success_at=read)
    Account.objects.filter(alerts_at__gt=ahead).update(alerts_at=None)
    Account.objects.filter(balance_at__gt=ahead).update(balance_at=now)
    longest = timedelta(seconds=max(BAD_KEY_SECONDS))
    Account.objects.filter(breaker_until__gt=ahead + longest).update(breaker_until=now)
    for model in (Booking, Order):
        moved += model.objects.filter(read_at__gt=ahead).update(read_at=now)
    return moved


def read_all_now(account_id: int) -> None:
    """Bring every kind of the account forward to now: after a new key or a pause, or by a hand at the button."""
    SyncState.objects.filter(account_id=account_id, reading=False).update(due_at=shared_clock.now())
