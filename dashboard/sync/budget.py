"""The call budget of an account: one for all workers on all hosts, kept in Redis, slowed down by 429.

Time is cut into slots, one call each; a call takes the next free slot by SET NX and sleeps until it begins, or goes at
once where the slot that runs is nobody's. That is atomic without a script and spaces the calls evenly. To slow down is
to take each second, third... slot of the same row, so no second holds more than the rate, whatever the pace was before.
The clock is the server's, so that hosts need not agree.
Without Redis (a hand-run sync while it is away) the process paces itself at half the rate.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import Any

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from anosim_dashboard import redis_server

from ..anosim import TryLater

LONGEST_WAIT = 10.0  # seconds that a call waits for a slot before it gives way to the next schedule
URGENT_DEBT = 1.5  # seconds of slots that urgent calls may take in advance
SILENCE = "ANOSIM asked us to call less often."
LONGEST_PAUSE = 900.0  # cap of Retry-After: 15 minutes
# Between two slots a little more than the rate asks for, because calls reach the provider less evenly than they leave.
SLACK = 1.04
# A 429 raises the level by one, and it sinks by one in so many seconds; at level n each n-th slot is taken. So several
# in a row slow us down to what the provider bears, and a stray one now and then costs no more than its silence.
MOST_LEVELS = 6
FORGOTTEN_AFTER = 10.0
_local_lock = threading.Lock()
_local_next: dict[int, float] = {}


class NotOurTurn(TryLater):
    """The call was not made: the account is to be silent, or too many of our own calls wait."""

    def __init__(self, text: str, retry_after: float) -> None:
        super().__init__(text, retry_after=retry_after, throttled=True)


class CallBudget:
    """`wait()` before every call, `told_to_wait()` after an answer that asks for silence."""

    def __init__(self, account_id: int, per_second: int | None = None, redis: Redis | None = None) -> None:
        self._id = account_id
        self._width = SLACK / (per_second or settings.ANOSIM_MAX_CALLS_PER_SECOND)
        self._redis = redis

    def wait(self) -> None:
        """Sleep until this call's turn. Raises NotOurTurn while the provider wants silence, or if the queue is long."""
        try:
            delay = self._reserve()
        except (RedisError, OSError):
            delay = self._reserve_locally()
        self._sleep(delay)

    def hurry(self) -> None:
        """The turn of a call that a person waits for: at once, with the slot that it takes from the reads to come, as
        long as few such calls came together. Raises NotOurTurn as `wait` does."""
        try:
            delay = self._reserve()
        except (RedisError, OSError):
            return
        self._sleep(delay - URGENT_DEBT)

    def heed(self) -> None:
        """Raises NotOurTurn while the provider wants silence; takes no turn."""
        try:
            left = self.silence()
        except (RedisError, OSError):
            return
        if left > 0:
            raise NotOurTurn(SILENCE, left)

    def silence(self) -> float:
        """Seconds for which the provider still wants silence, 0 if it does not."""
        redis = self._redis or redis_server.client()
        with redis.pipeline(transaction=False) as batch:
            batch.time()
            batch.get(self._name("pause"))
            (seconds, micros), pause = batch.execute()
        return _left(pause, seconds + micros / 1e6)

    def told_to_wait(self, seconds: float | None, throttled: bool) -> None:
        """What a client calls at an answer that asks for silence; only a 429 also slows us down for a while."""
        if throttled:
            self.throttled(seconds)
        elif seconds:
            with contextlib.suppress(RedisError, OSError):
                redis = self._redis or redis_server.client()
                self._pause(redis, self._now(redis), min(seconds, LONGEST_PAUSE))

    def _sleep(self, seconds: float) -> None:
        """Sleep until a turn. Another caller may have been told meanwhile to be silent: then it is none."""
        if seconds > 0:
            time.sleep(seconds)
            self.heed()

    def throttled(self, retry_after: float | None) -> float:
        """Note a 429: silence for `retry_after` seconds (capped; a growing wait of our own if None), then a lower
        rate for a while. Gives the seconds of silence."""
        redis = self._redis or redis_server.client()
        try:
            now = self._now(redis)
            level = min(_level(redis.get(self._name("slow")), now) + 1, MOST_LEVELS)
            redis.set(self._name("slow"), f"{level} {now}", px=int(level * FORGOTTEN_AFTER * 1000))
            wait = self._silence(retry_after, level)
            self._pause(redis, now, wait)
        except (RedisError, OSError):
            wait = self._silence(retry_after, 1.0)
        return wait

    def _pause(self, redis: Redis, now: float, seconds: float) -> None:
        """Silence from now on; one that was to last longer stands."""
        if _left(redis.get(self._name("pause")), now) < seconds:
            redis.set(self._name("pause"), f"{now + seconds} {now}", px=max(1, int(seconds * 1000)))

    @staticmethod
    def _silence(retry_after: float | None, level: float) -> float:
        if retry_after is not None:
            return min(max(retry_after, 0.5), LONGEST_PAUSE)
        return min(60.0, float(2.0**level)) * random.uniform(0.5, 1.0)

    def _reserve(self) -> float:
        redis = self._redis or redis_server.client()
        with redis.pipeline(transaction=False) as batch:
            batch.time()
            batch.get(self._name("pause"))
            batch.get(self._name("slow"))
            (seconds, micros), pause, slow = batch.execute()
        now = seconds + micros / 1e6
        if (left := _left(pause, now)) > 0:
            raise NotOurTurn(SILENCE, left)
        width = self._width
        stride = max(1, round(_level(slow, now)))
        first = (int(now / width) // stride + 1) * stride
        for slot in range(first, first + int(LONGEST_WAIT / width), stride):
            starts = slot * width
            life = int((starts - now + stride * width + 1) * 1000)
            if not redis.set(self._name(f"slot:{slot}"), "1", nx=True, px=life):
                continue
            if slot == first and not redis.exists(*(self._name(f"slot:{one}") for one in range(slot - stride, slot))):
                return 0.0  # nobody's turn is running: this one may begin early
            return float(starts - now)
        raise NotOurTurn("Our own calls to ANOSIM are queueing.", LONGEST_WAIT / 2)

    def _reserve_locally(self) -> float:
        with _local_lock:
            now = time.monotonic()
            turn = max(now, _local_next.get(self._id, 0.0))
            _local_next[self._id] = turn + 2 * self._width
        return turn - now

    @staticmethod
    def _now(redis: Redis) -> float:
        seconds, micros = redis.time()
        return float(seconds) + float(micros) / 1e6

    def _name(self, part: str) -> str:
        return f"budget:{self._id}:{part}"


def _left(stored: Any, now: float) -> float:
    """Seconds that a silence still lasts, stored as its end and the moment it was asked for. One that was asked for in
    the future is void: the server's clock was set back, and with it the life of the key grew."""
    until, _, since = str(stored or "0").partition(" ")
    return max(0.0, float(until) - now) if float(since or 0) <= now else 0.0


def _level(stored: Any, now: float) -> float:
    """How slow we are: the level noted at the last 429, one less for each FORGOTTEN_AFTER since then."""
    if not stored:
        return 0.0
    level, at = map(float, str(stored).split())
    return max(0.0, level - (now - at) / FORGOTTEN_AFTER) if at <= now else 0.0
