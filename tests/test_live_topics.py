"""Versions move with the transaction, nudges follow the commit, and Redis may be gone."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from redis import Redis
from redis.client import PubSub

from dashboard.live import topics
from dashboard.live.topics import BALANCE, BOOKINGS, CHANNEL, ORDERS, SMS, touch, version_of
from dashboard.models import TopicVersion
from tests.factories import make_account
from tests.redis_server import RedisServer


def stored(account: Any) -> dict[str, int]:
    return dict(TopicVersion.objects.filter(account=account).values_list("topic", "version"))


@pytest.fixture
def channel(redis_url: str, settings: Any) -> Iterator[PubSub]:
    """A subscription of our own to the channel of nudges."""
    settings.REDIS_URL = redis_url
    with Redis.from_url(redis_url) as redis, redis.pubsub() as pubsub:
        pubsub.subscribe(CHANNEL)
        assert pubsub.get_message(timeout=2)["type"] == "subscribe"
        yield pubsub


def published(channel: PubSub, seconds: float = 0.3) -> list[dict[str, Any]]:
    found = []
    while (message := channel.get_message(timeout=seconds)) is not None:
        found.append(json.loads(message["data"]))
    return found


@pytest.mark.django_db
def test_each_touch_adds_one_to_each_of_its_topics() -> None:
    account = make_account()
    touch(account.pk, SMS, BOOKINGS)
    touch(account.pk, SMS, SMS)
    assert stored(account) == {SMS: 2, BOOKINGS: 1}


@pytest.mark.django_db
def test_a_touch_costs_one_update_for_each_topic_and_one_query() -> None:
    account = make_account()
    touch(account.pk, SMS, BOOKINGS)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        touch(account.pk, SMS, BOOKINGS)
    assert [query["sql"].split()[0] for query in queries] == ["UPDATE", "UPDATE", "SELECT"]


@pytest.mark.django_db
def test_a_touch_of_nothing_asks_nothing_and_an_unknown_topic_is_an_error() -> None:
    account = make_account()
    with CaptureQueriesContext(connection) as queries:
        touch(account.pk)
        with pytest.raises(ValueError, match="weather"):
            touch(account.pk, SMS, "weather")
    assert not queries.captured_queries


@pytest.mark.django_db(transaction=True)
def test_the_stored_version_is_published_after_the_commit_and_not_before(channel: PubSub) -> None:
    account = make_account()
    with transaction.atomic():
        touch(account.pk, SMS)
        assert published(channel) == []
        touch(account.pk, SMS, ORDERS)
    found = published(channel)
    assert {"a": account.pk, "t": SMS, "v": 2} in found
    assert {"a": account.pk, "t": ORDERS, "v": 1} in found
    assert {message["t"]: message["v"] for message in found} == stored(account)


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_a_touch_commits_and_publishes_by_itself(channel: PubSub) -> None:
    account = make_account()
    touch(account.pk, BALANCE)
    assert published(channel) == [{"a": account.pk, "t": BALANCE, "v": 1}]


@pytest.mark.django_db(transaction=True)
def test_a_rollback_publishes_nothing_and_moves_nothing(channel: PubSub) -> None:
    account = make_account()
    before = version_of([account.pk], SMS)
    with transaction.atomic():
        touch(account.pk, SMS)
        transaction.set_rollback(True)
    assert published(channel) == []
    assert stored(account) == {}
    assert version_of([account.pk], SMS) == before


@pytest.mark.django_db(transaction=True)
def test_touches_of_many_threads_at_once_are_all_counted(channel: PubSub) -> None:
    account = make_account()
    errors: list[Exception] = []
    gate = threading.Barrier(6)

    def work() -> None:
        try:
            gate.wait()
            for _ in range(10):
                touch(account.pk, *random.sample([SMS, BOOKINGS, BALANCE], 3))
        except Exception as error:  # noqa: BLE001 (shown by the assertion below)
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert stored(account) == {SMS: 60, BOOKINGS: 60, BALANCE: 60}
    assert sorted(message["v"] for message in published(channel) if message["t"] == SMS) == list(range(1, 61))


@pytest.mark.django_db(transaction=True)
def test_with_redis_away_a_touch_is_quick_and_warns_once(
    settings: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "_silent_until", 0.0)
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    account = make_account()
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            touch(account.pk, SMS)
    assert time.monotonic() - begin < 1.5
    assert stored(account) == {SMS: 5}
    assert [record.name for record in caplog.records] == ["dashboard.live.topics"]
    assert str(tmp_path) not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_with_a_frozen_redis_a_touch_waits_little_and_with_a_new_one_it_is_published_again(
    settings: Any, redis_server: RedisServer
) -> None:
    settings.REDIS_URL = redis_server.url
    account = make_account()
    touch(account.pk, SMS)

    assert redis_server.process is not None
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    begin = time.monotonic()
    touch(account.pk, SMS)
    assert time.monotonic() - begin < 1.5
    os.kill(redis_server.process.pid, signal.SIGCONT)

    redis_server.kill()
    redis_server.start()
    with Redis.from_url(redis_server.url) as redis, redis.pubsub() as pubsub:
        pubsub.subscribe(CHANNEL)
        assert pubsub.get_message(timeout=2)["type"] == "subscribe"
        touch(account.pk, SMS)
        assert published(pubsub) == [{"a": account.pk, "t": SMS, "v": 3}]


@pytest.mark.django_db
def test_a_token_moves_with_its_topics_and_accounts_and_with_nothing_else() -> None:
    ours, theirs = make_account(), make_account()
    touch(ours.pk, SMS, BOOKINGS)
    token = version_of([ours.pk], SMS, BOOKINGS)
    assert len(token) == 10

    touch(ours.pk, BALANCE)
    touch(theirs.pk, SMS)
    assert version_of([ours.pk], SMS, BOOKINGS) == token

    touch(ours.pk, SMS)
    assert version_of([ours.pk], SMS, BOOKINGS) != token


@pytest.mark.django_db
def test_a_token_does_not_depend_on_order_but_on_what_is_asked_and_on_the_salt() -> None:
    one, two = make_account(), make_account()
    touch(one.pk, SMS)
    touch(two.pk, BOOKINGS)
    token = version_of([one.pk, two.pk], SMS, BOOKINGS)
    assert version_of(iter([two.pk, one.pk, one.pk]), BOOKINGS, SMS) == token
    others = {
        version_of([one.pk], SMS, BOOKINGS),
        version_of([one.pk, two.pk], SMS),
        version_of([], SMS, BOOKINGS),
        version_of([one.pk, two.pk], SMS, BOOKINGS, salt="page 2"),
    }
    assert len(others) == 4
    assert token not in others


@pytest.mark.django_db
def test_a_token_costs_one_query_however_many_accounts() -> None:
    accounts = [make_account().pk for _ in range(5)]
    for account in accounts:
        touch(account, SMS, BOOKINGS)
    with CaptureQueriesContext(connection) as queries:
        version_of(accounts, SMS, BOOKINGS, ORDERS)
    assert len(queries) == 1
