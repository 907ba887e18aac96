"""The time that all hosts agree on: the Redis server's, as the call budget already has it.

What one host writes and another compares (when a list is due, how long a lease lasts, which of two answers is the
older) goes by this clock, so that a host whose own is wrong neither reads too often nor takes new answers for old.
Asked seldom and kept as a difference to the host's own clock; while Redis is away the last known difference holds. One
that is minutes off is not believed: each host goes by its own clock then, and `manage.py health` says so.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from . import redis_server

ASK_EVERY = 10.0  # seconds
ANSWER_SECONDS = 0.25
# Hosts that keep time are closer than this: there nothing is corrected, and every process reads one and the same clock.
AGREES = timedelta(milliseconds=100)
# A Redis server that is further off (started on a host with a wrong clock, say) would make answers of an hour ago new,
# leave lists unread and give purchases up. No host that is in use is so far off.
BELIEVED = timedelta(minutes=2)
_STARTED, _STARTED_AT = datetime.now(UTC), time.monotonic()
_ask_at = 0.0
_apart = timedelta()


def now() -> datetime:
    """Aware UTC."""
    return timezone.now() + ahead()


def steady() -> datetime:
    """For beat: near the time of day, and never set. Set back by an hour, beat would send nothing for that hour."""
    return _STARTED + timedelta(seconds=time.monotonic() - _STARTED_AT)


def ahead() -> timedelta:
    """By how much to correct this host's own clock. Only the first caller of a process waits, half a second or so."""
    apart = difference()
    return apart if abs(apart) <= BELIEVED else timedelta()


def difference() -> timedelta:
    """By how much the clock of Redis is ahead of this host's own, as far as that can be told."""
    global _ask_at
    if _ask_at == 0.0:
        _ask(redis_server.client(ANSWER_SECONDS))
        _ask_at = time.monotonic() + ASK_EVERY
    elif time.monotonic() >= _ask_at:
        _ask_at = time.monotonic() + ASK_EVERY
        # Beside: a page must not wait for a server that hangs.
        threading.Thread(target=_ask, args=(redis_server.client(ANSWER_SECONDS),), daemon=True).start()
    return _apart


def _ask(redis: Redis) -> None:
    global _apart
    before = timezone.now()
    try:
        seconds, micros = redis.time()
    except (RedisError, OSError):
        return
    # The answer was made at some moment of the time that it took.
    half = (timezone.now() - before) / 2
    if not timedelta() <= half <= timedelta(seconds=ANSWER_SECONDS):
        return  # our own clock was set meanwhile
    theirs = datetime.fromtimestamp(float(seconds), before.tzinfo) + timedelta(microseconds=int(micros))
    found = theirs - (before + half)
    _apart = found if abs(found) > AGREES + half else timedelta()
