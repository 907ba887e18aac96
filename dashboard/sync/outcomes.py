"""How a run went, noted on its row: success and the next time, or what went wrong, since when, and the next try."""

from __future__ import annotations

import contextlib
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from redis.exceptions import RedisError

from anosim_dashboard import shared_clock

from .. import audit
from ..anosim import AnosimError, BadKey, Refused, TryLater, Unreadable
from ..live import topics
from ..models import Account, Booking, SyncState
from . import schedule
from .budget import CallBudget, NotOurTurn
from .changes import Changes

Kind = SyncState.Kind


class OurFault(AnosimError):
    """An error of our own code. The text names its kind only: whatever else it says could quote data."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"An error of the dashboard itself ({kind}); its log says more.")


_NAMES: dict[type[AnosimError], str] = {
    BadKey: "bad_key",
    Refused: "refused",
    Unreadable: "unreadable",
    TryLater: "try_later",
    OurFault: "our_fault",
}


def succeeded(state: SyncState, changes: Changes, soon: bool) -> str:
    """Note a success; the next read comes at the kind's pace, or at once if `soon`."""
    now = shared_clock.now()
    pace = schedule.pace(state.account_id, state.kind, now)
    started = state.last_attempt_at or now
    due_at = now if soon else max(now, started + timedelta(seconds=pace))
    recovered = bool(state.error)
    mine = SyncState.objects.filter(pk=state.pk, run=state.run)
    noted = mine.update(
        reading=False,
        due_at=due_at,
        last_success_at=started,
        pace_seconds=pace,
        unreadable=state.unreadable,
        failures=0,
        error="",
        error_kind="",
        error_since=None,
    )
    hurry = set(changes.hurry)
    if state.kind == Kind.BOOKING_SMS and Booking.objects.filter(account=state.account_id).sms_wanted().exists():
        # Wanted by another reader after this one had looked: its call for haste met a row that was being read.
        hurry.add(Kind.BOOKING_SMS)
    if hurry:
        SyncState.objects.hurry(state.account_id, *hurry)
    _close_breaker(state.account)
    if recovered and noted:
        topics.touch(state.account_id, topics.SYNC)
    return f"{changes.new} new, {changes.changed} changed" if changes.new or changes.changed else "unchanged"


def failed(state: SyncState, error: AnosimError) -> str:
    """Note a failure in words, and when the next try is."""
    now = shared_clock.now()
    throttled = isinstance(error, TryLater) and error.throttled
    failures = state.failures if throttled else state.failures + 1
    if isinstance(error, TryLater) and throttled:
        delay = _silence(state.account_id, error)
    elif isinstance(error, TryLater) and error.retry_after is not None:
        delay = max(1.0, error.retry_after)
    else:
        delay = schedule.backoff(state.kind, failures)
    with transaction.atomic():
        noted = SyncState.objects.filter(pk=state.pk, run=state.run).update(
            reading=False,
            due_at=now + timedelta(seconds=delay),
            failures=failures,
            error_kind="throttled" if throttled else _NAMES.get(type(error), "try_later"),
            error=error.text[:400],
            error_since=state.error_since or now,
        )
        if noted and not isinstance(error, NotOurTurn):
            _count_failure(state, error)
        if noted and not state.error:
            topics.touch(state.account_id, topics.SYNC)
    return f"failed: {error.text}"


def renew_lease(state: SyncState) -> None:
    """Keep the row of a run that takes long."""
    mine = SyncState.objects.filter(pk=state.pk, run=state.run, reading=True)
    mine.update(due_at=shared_clock.now() + schedule.LEASE)


def _silence(account_id: int, error: TryLater) -> float:
    """Seconds until the next try of a throttled kind: as long as the account is to be silent after a 429, which its
    client has noted, or as our own queue is long."""
    seconds = error.retry_after
    if not isinstance(error, NotOurTurn):
        with contextlib.suppress(RedisError, OSError):
            seconds = CallBudget(account_id).silence()
    return max(0.5, seconds or 1.0)


def _count_failure(state: SyncState, error: AnosimError) -> None:
    """Open the breaker after failures in a row, or at once when the key is refused; then only probes are made.

    "Too many calls" counts as well: where every call is answered so, even one after each silence is too many. So does
    whatever goes wrong with a probe: the next one is of another kind.
    """
    stood_open = state.account.breaker_until is not None
    probe = stood_open and state.kind == schedule.probe_of(state.account)
    if isinstance(error, Refused | OurFault) and not probe:
        return
    mine = Account.objects.filter(pk=state.account_id)
    if not probe:
        # What was under way when the breaker opened says nothing new, and must not make the probes rarer.
        mine = mine.filter(breaker_until=None)
    if isinstance(error, BadKey):
        # What was said of a key that has been replaced meanwhile says nothing of the new one.
        mine = mine.filter(sealed_key=state.account.sealed_key)
    if not mine.update(breaker_failures=F("breaker_failures") + 1):
        return
    account = mine.only("breaker_failures", "key_ok").get()
    now = shared_clock.now()
    if isinstance(error, BadKey):
        seconds = float(schedule.BAD_KEY_SECONDS[account.key_ok is False])
        mine.update(key_ok=False, key_verdict=error.text[:400], key_checked_at=now)
    elif account.breaker_failures >= schedule.BREAKER_AFTER:
        seconds = schedule.probe_wait(account.breaker_failures)
    else:
        return
    until = now + timedelta(seconds=seconds)
    mine.update(breaker_until=until)
    if not stood_open:
        audit.by_machine("sync.stopped", state.account, {"why": error.text, "seconds": round(seconds)})
    SyncState.objects.filter(account_id=state.account_id, kind=schedule.probe_of(account)).update(due_at=until)
    topics.touch(state.account_id, topics.SYNC)


def _close_breaker(account: Account) -> None:
    """A success ends the row of failures. If the breaker was open, everything is read now.

    Goes by the account as it was when the run began, so that a usual success writes nothing; what another run noted
    since is ended by the next success.
    """
    if not (account.breaker_failures or account.breaker_until or account.key_ok is not True):
        return
    mine = Account.objects.filter(pk=account.pk)
    with transaction.atomic():
        mine.update(breaker_until=None, breaker_failures=0)
        moved = bool(account.breaker_until)
        if account.key_ok is not True:
            same_key = mine.filter(sealed_key=account.sealed_key)
            moved |= same_key.update(key_ok=True, key_verdict="", key_checked_at=shared_clock.now()) > 0
        if account.breaker_until:
            schedule.read_all_now(account.pk)
            audit.by_machine("sync.goes_on", account)
        if moved:
            topics.touch(account.pk, topics.SYNC)
