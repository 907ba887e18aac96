"""Whether the dashboard itself works: what `manage.py health`, the status page and /metrics tell (issue 6).

`/healthz` is another question, whether this one web process can serve (views/health.py).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Min, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from anosim_dashboard import shared_clock

from .local_time import pace_words
from .models import Account, Heartbeat, Purchase, SyncState
from .sync.health import is_stale

QUEUE = "celery"  # the list in Redis that tasks wait in
PING_SECONDS = 0.5  # a page waits no longer for a Redis that hangs
SILENT = 2 * Heartbeat.EVERY  # reliability.md G21; a worker that starts again is not silent for so long
QUEUED_LONG = timedelta(minutes=5)
UNKNOWN_LONG = timedelta(minutes=15)  # reliability.md 4.3, step 11
CROWDED = 500  # messages in the queue; a tick hands out one for each due row


@dataclass(frozen=True)
class Check:
    """One question. `words` answer it for people, `value` is its figure (seconds or a count), None where unknown."""

    name: str
    label: str
    ok: bool
    words: str
    value: float | None = None


def checks(accounts: Iterable[Account]) -> list[Check]:
    """All questions, of these accounts the last good sync. Never raises; a database that is dead is the only answer."""
    now = shared_clock.now()
    first = _database()
    if not first.ok:
        return [first]
    return [first, _broker(), _clock(), _canary(now), *_purchases(now), *_syncs(accounts, now)]


def _database() -> Check:
    began = time.perf_counter()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError:
        return Check("database", _("Database"), False, _("does not answer"))
    seconds = time.perf_counter() - began
    return Check(
        "database", _("Database"), True, _("answers (%(database)s)") % {"database": connection.vendor}, seconds
    )


def _broker() -> Check:
    try:
        waiting = int(_redis(settings.REDIS_URL).llen(QUEUE))
    except (RedisError, OSError):
        return Check("broker", _("Queue"), False, _("Redis does not answer"))
    words = ngettext("answers, %(count)s task waiting", "answers, %(count)s tasks waiting", waiting) % {
        "count": waiting
    }
    return Check("broker", _("Queue"), waiting < CROWDED, words, waiting)


def _clock() -> Check:
    """Of this host alone: what is compared between hosts goes by the clock of Redis as long as that is near."""
    seconds = shared_clock.difference().total_seconds()
    near = abs(seconds) <= shared_clock.BELIEVED.total_seconds()
    if not seconds:
        return Check("clock", _("Clock"), True, _("agrees with that of Redis"), seconds)
    if near:
        ahead = _("that of Redis is %(age)s ahead, and all hosts go by it")
        behind = _("that of Redis is %(age)s behind, and all hosts go by it")
    else:
        ahead = _("that of Redis is %(age)s ahead: too far to go by it, so set the clock that is wrong")
        behind = _("that of Redis is %(age)s behind: too far to go by it, so set the clock that is wrong")
    words = (ahead if seconds > 0 else behind) % {"age": pace_words(abs(seconds))}
    return Check("clock", _("Clock"), near, words, seconds)


@functools.cache
def _redis(url: str) -> Redis:
    return Redis.from_url(
        url, socket_timeout=PING_SECONDS, socket_connect_timeout=PING_SECONDS, retry=Retry(NoBackoff(), 0)
    )


def _canary(now: datetime) -> Check:
    age = Heartbeat.objects.age(now)
    if age is None:
        return Check("canary", _("Background work"), False, _("has done nothing yet"))
    words = _("last sign of life %(age)s ago") % {"age": pace_words(age.total_seconds())}
    if age > SILENT:
        words += ": " + _("beat, the queue or every worker stands still")
    return Check("canary", _("Background work"), age <= SILENT, words, age.total_seconds())


def _purchases(now: datetime) -> list[Check]:
    """What waits to be sent, and what may have been bought. One query, by the index of what is open."""
    unsettled = Q(status__in=Purchase.UNSETTLED)
    found = Purchase.objects.filter(status__in=Purchase.OPEN).aggregate(
        queued=Min("created_at", filter=Q(status=Purchase.Status.QUEUED)),
        unknown=Count("pk", filter=unsettled),
        since=Min("sent_at", filter=unsettled),
    )
    return [_queued(found["queued"], now), _unknown(found["unknown"], found["since"], now)]


def _queued(since: datetime | None, now: datetime) -> Check:
    if since is None:
        return Check("queued", _("Oldest queued purchase"), True, _("none waiting"), 0)
    age = now - since
    words = _("has waited %(age)s") % {"age": pace_words(age.total_seconds())}
    return Check("queued", _("Oldest queued purchase"), age <= QUEUED_LONG, words, age.total_seconds())


def _unknown(count: int, since: datetime | None, now: datetime) -> Check:
    if not count:
        return Check("unknown", _("Purchases not known yet"), True, _("none"), 0)
    age = timedelta() if since is None else now - since
    words = _("%(count)s, the oldest for %(age)s") % {"count": count, "age": pace_words(age.total_seconds())}
    return Check("unknown", _("Purchases not known yet"), age <= UNKNOWN_LONG, words, count)


def _syncs(accounts: Iterable[Account], now: datetime) -> list[Check]:
    """Of each account that is not paused: when the kind that was read longest ago was read."""
    named = {account.pk: account for account in accounts if account.enabled}
    states: dict[int, list[SyncState]] = {pk: [] for pk in named}
    for state in SyncState.objects.of_accounts(named):
        states[state.account_id].append(state)
    return [_sync(named[pk], of_account, now) for pk, of_account in states.items()]


def _sync(account: Account, states: list[SyncState], now: datetime) -> Check:
    label, name = _("Sync of %(account)s") % {"account": account.name}, f"sync_{account.pk}"
    if account.key_ok is False:
        return Check(name, label, False, _("ANOSIM refuses the key"))
    if not states or any(state.last_success_at is None for state in states):
        return Check(name, label, False, _("not everything was read yet"))
    age = (now - min(state.last_success_at for state in states if state.last_success_at)).total_seconds()
    late = [state.get_kind_display() for state in states if is_stale(state, now)]
    if late:
        return Check(name, label, False, _("not current: %(kinds)s") % {"kinds": ", ".join(late)}, age)
    newest = (now - max(state.last_success_at for state in states if state.last_success_at)).total_seconds()
    return Check(name, label, True, _("current, read %(age)s ago") % {"age": pace_words(newest)}, age)
