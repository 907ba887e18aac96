"""Topics and their versions: what writers touch, what panels compare.

The versions stand in the database. Redis only carries the news that one moved, and may lose it: every panel
also asks slowly by itself (design.md 4, issue 2).
"""

import functools
import hashlib
import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from dashboard.models import TopicVersion

SMS = "sms"
BOOKINGS = "bookings"
ORDERS = "orders"
BALANCE = "balance"
CATALOG = "catalog"
SIM_CARDS = "sim_cards"
SYNC = "sync"
PURCHASES = "purchases"
ACTIVITY = "activity"
TOPICS = frozenset({SMS, BOOKINGS, ORDERS, BALANCE, CATALOG, SIM_CARDS, SYNC, PURCHASES, ACTIVITY})

CHANNEL = "live"
PUBLISH_TIMEOUT = 1.0  # seconds that a commit may wait for a Redis that does not answer
WARN_EVERY = 60.0  # seconds between two log lines about an unreachable Redis

logger = logging.getLogger(__name__)
_warn_lock = threading.Lock()
_silent_until = 0.0


def touch(account_id: int, *topics: str) -> None:
    """Note that `topics` of the account moved, as part of the caller's transaction.

    Adds 1 to each stored version at once and publishes the stored version after the commit; a rollback leaves
    no trace. Never waits longer than PUBLISH_TIMEOUT for Redis and never raises because of it. The rows stay
    locked until the commit, so call it once per transaction, and last. Raises ValueError for unknown topics.
    """
    # One order for everybody: transactions that touch the same topics cannot wait for each other in a ring.
    wanted = sorted(set(topics))
    if unknown := set(wanted) - TOPICS:
        raise ValueError(f"No such live topic: {', '.join(sorted(unknown))}")
    if not wanted:
        return
    rows = TopicVersion.objects.filter(account_id=account_id)
    with transaction.atomic(savepoint=False):
        for topic in wanted:
            moved = rows.filter(topic=topic).update(version=F("version") + 1)
            if not moved:
                # Who comes second to create the row waits here for the first and then adds to its version.
                TopicVersion.objects.bulk_create(
                    [TopicVersion(account_id=account_id, topic=topic, version=0)], ignore_conflicts=True
                )
                rows.filter(topic=topic).update(version=F("version") + 1)
        versions = dict(rows.filter(topic__in=wanted).values_list("topic", "version"))
        transaction.on_commit(functools.partial(_publish, account_id, versions), robust=True)


Versions = list[tuple[int, str, int]]


def stored_versions(account_ids: Iterable[int]) -> Versions:
    """Account, topic and version of all that ever moved in these accounts. One query, for several `version_of`."""
    accounts = tuple(account_ids)
    if not accounts:
        return []
    places = ", ".join(["%s"] * len(accounts))
    # By hand: every page and every panel that finds nothing moved asks it, and to put it together costs most of it.
    statement = f"SELECT account_id, topic, version FROM dashboard_topicversion WHERE account_id IN ({places})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, accounts)
        return list(cursor.fetchall())


def version_of(account_ids: Iterable[int], *topics: str, salt: str = "", stored: Versions | None = None) -> str:
    """A token of 10 hex digits over the stored versions; an equal token means that nothing moved.

    The order of accounts and topics does not matter; the sets themselves do, so that a panel also moves when
    the person sees one account more. `salt` is whatever else the panel was made from (filters, page, local
    date). One query; none when the caller gives what `stored_versions` read.
    """
    accounts = sorted(set(account_ids))
    names = sorted(set(topics))
    if stored is None:
        stored = stored_versions(accounts)
    triples = sorted(triple for triple in stored if triple[0] in accounts and triple[1] in names)
    text = json.dumps([salt, accounts, names, triples])
    return hashlib.blake2s(text.encode(), digest_size=5).hexdigest()


def live_version(account_ids: Iterable[int], stored: Versions | None = None) -> str:
    """A token over everything that moves in these accounts: what a page is compared by when its stream opens."""
    return version_of(account_ids, *TOPICS, stored=stored)


def _publish(account_id: int, versions: Mapping[str, int]) -> None:
    try:
        with _redis(settings.REDIS_URL).pipeline(transaction=False) as batch:
            for topic, version in versions.items():
                batch.publish(CHANNEL, json.dumps({"a": account_id, "t": topic, "v": version}))
            batch.execute()
    except (RedisError, OSError) as error:
        _warn(error)


@functools.cache
def _redis(url: str) -> Redis:
    """The one client of this process; its pool is safe between threads and notices a fork."""
    # A connection that died idle is opened again once. A time-out is not tried again, since the caller waits.
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    return Redis.from_url(url, socket_timeout=PUBLISH_TIMEOUT, socket_connect_timeout=PUBLISH_TIMEOUT, retry=retry)


def _warn(error: Exception) -> None:
    global _silent_until
    with _warn_lock:
        now = time.monotonic()
        if now < _silent_until:
            return
        _silent_until = now + WARN_EVERY
    # Only the kind of error: redis-py's own text can hold the address.
    logger.warning(
        "Redis does not take nudges (%s); open pages follow by their slow poll until it is back.",
        type(error).__name__,
    )
