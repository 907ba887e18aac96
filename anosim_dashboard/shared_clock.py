"""The time that all hosts agree on: the Redis server's, as the call budget already has it.

What one host writes and another compares (when a list is due, how long a lease lasts, which of two answers is the
older) goes by this clock, so that a host whose own is wrong neither reads too often nor takes new answers for old.
Asked seldom and kept as a difference to the host's own clock; while Redis is away the last known difference holds.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

from django.utils import timezone
from redis.exceptions import RedisError

from . import redis_server

ASK_EVERY = 10.0  # seconds
# Hosts that keep time are closer than this: there nothing is corrected, and every process reads one and the same clock.
AGREES = timedelta(milliseconds=100)
_lock = threading.Lock()
_ask_at = 0.0
_ahead = timedelta()


def now() -> datetime:
    """Aware UTC."""
    return timezone.now() + ahead()


def ahead() -> timedelta:
    """By how much the shared clock is ahead of this host's own. Waits a second at most, and seldom."""
    global _ask_at, _ahead
    if time.monotonic() >= _ask_at:
        with _lock:
            if time.monotonic() >= _ask_at:
                _ahead = _asked(_ahead)
                _ask_at = time.monotonic() + ASK_EVERY
    return _ahead


def _asked(known: timedelta) -> timedelta:
    before = timezone.now()
    try:
        seconds, micros = redis_server.client().time()
    except (RedisError, OSError):
        return known
    middle = before + (timezone.now() - before) / 2
    found = datetime.fromtimestamp(float(seconds), middle.tzinfo) + timedelta(microseconds=int(micros)) - middle
    return found if abs(found) > AGREES else timedelta()
