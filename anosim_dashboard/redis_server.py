"""The process's client of the Redis server, for budget, clock and tallies. Everything in it may be lost at any time."""

import functools

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


@functools.cache
def client(seconds: float = 1.0) -> Redis:
    """Safe between threads; gives up after so many seconds, so that a dead server never holds a reader."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
    )
