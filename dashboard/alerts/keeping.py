"""From what stands to rows: each thing is opened once, and over once it has not been seen for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from anosim_dashboard import shared_clock

from ..live import topics
from ..models import Account, Alert, AlertChannel, AlertNotice
from .standing import Standing, standing

EVERY = timedelta(seconds=10)
# What comes and goes within this is one alert.
QUIET = timedelta(seconds=60)
# Over without a word: nothing was mended, it only grew old.
GROWS_OLD = frozenset({Alert.Kind.SMS_LOST})


def is_due(now: datetime) -> bool:
    """Claim the next look: of two ticks, or two beats, one looks. (The clock is the accounts' own column.)"""
    due = Account.objects.filter(Q(alerts_at=None) | Q(alerts_at__lte=now - EVERY))
    # Asked first: this comes each second, and an update takes SQLite's one writer even when it changes nothing.
    return due.exists() and due.update(alerts_at=now) > 0


def look() -> int:
    """Open what is new, note what stands still, close what is over; how many alerts moved."""
    now = shared_clock.now()
    accounts = list(Account.objects.enabled().defer("sealed_key", "sealed_fingerprint_key"))
    found = {(each.account_id, each.kind, each.key): each for each in standing(accounts, now)}
    known = {(row.account_id, row.kind, row.key): row for row in Alert.objects.open()}
    moved: set[int] = set()
    for identity, each in found.items():
        if identity not in known:
            moved |= _open(each, now)
    Alert.objects.filter(pk__in=[known[identity].pk for identity in found.keys() & known.keys()]).update(seen_at=now)
    for identity, row in known.items():
        if identity not in found and row.seen_at < now - QUIET:
            moved |= _close(row, now)
    return len(moved)


def _open(each: Standing, now: datetime) -> set[int]:
    row = Alert(account_id=each.account_id, kind=each.kind, key=each.key, words=each.words[:400], opened_at=now)
    with transaction.atomic():
        Alert.objects.bulk_create([row], ignore_conflicts=True)
        mine = Alert.objects.open().get(account_id=each.account_id, kind=each.kind, key=each.key)
        _queue(mine, AlertNotice.What.OPENED, _channels_of(each.account_id))
        _show(each.account_id)
    return {each.account_id}


def _close(row: Alert, now: datetime) -> set[int]:
    with transaction.atomic():
        if not Alert.objects.open().filter(pk=row.pk).update(resolved_at=now):
            return set()
        if row.kind not in GROWS_OLD:
            told = row.notices.filter(what=AlertNotice.What.OPENED).exclude(sent_at=None).values("channel")
            _queue(row, AlertNotice.What.RESOLVED, list(AlertChannel.objects.filter(pk__in=told)))
        # What could not be told while it stood is no news any more.
        row.notices.filter(what=AlertNotice.What.OPENED, sent_at=None).update(next_try_at=None)
        _show(row.account_id)
    return {row.account_id}


def _channels_of(account_id: int) -> list[AlertChannel]:
    """Of the account's active members, and of admins."""
    member = Q(user__memberships__account=account_id) | Q(user__is_superuser=True)
    return list(AlertChannel.objects.filter(member, user__is_active=True).distinct())


def _queue(alert: Alert, what: str, channels: list[AlertChannel]) -> None:
    rows = [AlertNotice(alert=alert, channel=channel, what=what) for channel in channels]
    AlertNotice.objects.bulk_create(rows, ignore_conflicts=True)


def _show(account_id: int) -> None:
    """Copy what is open to the account: every page reads its accounts anyway, and pays nothing more for alerts."""
    rows = Alert.objects.open().filter(account=account_id).order_by("opened_at", "pk")
    told = [{"kind": row.kind, "words": row.words} for row in rows]
    Account.objects.filter(pk=account_id).update(open_alerts=told)
    topics.touch(account_id, topics.SYNC)
