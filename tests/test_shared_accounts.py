"""Several hosts read the same account: no call is doubled, whatever their clocks say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from celery import beat
from django.db import connection
from django.utils import timezone
from redis import Redis

from anosim_dashboard import postgresql, shared_clock
from anosim_dashboard import redis_server as server_of_sync
from anosim_dashboard.celery import app
from anosim_dashboard.clocked_request import ClockedRequest
from bench import provider_log
from dashboard.models import Account, Booking, SyncState
from dashboard.sandbox import Sandbox
from dashboard.sync import schedule

from .databases import database_url
from .provider import account_at, read, read_until_done
from .redis_server import RedisServer

PACES = {"GET /Sms": 2.0, "GET /OrderBookingsCurrent": 2.0, "GET /Balance": 30.0, "GET /Orders": 20.0}
RATE = 20


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, size={"orders": 6, "bookings": 12, "sms": 20}) as server:
        yield server


@pytest.fixture(autouse=True)
def _own_redis(settings: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = RATE
    monkeypatch.setattr(shared_clock, "_ask_at", 0.0)
    monkeypatch.setattr(shared_clock, "_apart", timedelta())
    server_of_sync.client.cache_clear()
    yield
    server_of_sync.client.cache_clear()


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    _put_clock_ahead(monkeypatch)


def _put_clock_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the clock of this host is half a minute ahead, and it has not asked Redis yet."""
    right = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + timedelta(seconds=30))
    monkeypatch.setattr(shared_clock, "_ask_at", 0.0)


@contextmanager
def reader(redis_url: str, seconds_ahead: int) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "REDIS_URL": redis_url, "DATABASE_URL": database_url()}
    environment["ANOSIM_MAX_CALLS_PER_SECOND"] = str(RATE)
    command = [sys.executable, "-m", "tests.reader", str(seconds_ahead)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seconds_ahead", [0, 30])
def test_two_processes_that_share_an_account_make_no_doubled_call(
    sandbox: Sandbox, redis_url: str, seconds_ahead: int
) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    assert Booking.objects.running().exists()
    with reader(redis_url, 0) as one, reader(redis_url, seconds_ahead) as other:
        for each in (one, other):
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        time.sleep(1)  # what is due at once has been read
        start = datetime.now(UTC)
        time.sleep(6)
        end = datetime.now(UTC)
        done = [int(each.communicate("\n", 20)[0]) for each in (one, other)]
    calls = provider_log.calls_of(sandbox, start, end)
    assert sum(call.path == "GET /Sms" for call in calls) >= 2
    assert provider_log.nearer_than(calls, PACES) == 0
    assert provider_log.overlapping(calls) == 0
    assert min(done) > 0


@pytest.mark.django_db(transaction=True)
def test_a_host_whose_clock_is_ahead_leaves_alone_what_another_reads(sandbox: Sandbox, request: Any) -> None:
    account = account_at(sandbox)
    state = SyncState.objects.get(account=account, kind="sms")
    SyncState.objects.exclude(pk=state.pk).update(due_at=shared_clock.now() + timedelta(hours=1))
    number = SyncState.objects.claim(state, shared_clock.now() + schedule.CLAIM)
    assert number is not None
    assert SyncState.objects.begin(state.pk, number, shared_clock.now(), shared_clock.now() + schedule.LEASE)
    request.getfixturevalue("ahead")
    assert list(schedule.claim_due()) == []


@pytest.mark.django_db(transaction=True)
def test_what_a_host_ahead_has_read_does_not_make_the_next_answers_old(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    booking = Booking.objects.running().first()
    assert booking is not None
    with monkeypatch.context() as on_a_host_ahead:
        _put_clock_ahead(on_a_host_ahead)
        sandbox.world.find_booking(booking.remote_id).auto_renewal = not booking.auto_renewal
        sandbox.world.move_money(Decimal(10), "top-up")
        read(account, "balance")
        read(account, "bookings")
    shared_clock._ask_at = 0.0
    sandbox.world.close(sandbox.world.find_booking(booking.remote_id), "Ended")
    sandbox.world.move_money(Decimal(10), "top-up")
    read(account, "balance")
    read(account, "bookings")
    booking.refresh_from_db()
    assert booking.state == "Ended"
    assert Account.objects.get().balance_usd == sandbox.world.balance


@pytest.mark.django_db
def test_both_ends_of_a_connection_to_the_database_give_up_a_host_that_is_gone() -> None:
    made = postgresql.options({"sslmode": "require"})
    assert made["sslmode"] == "require"
    assert made["tcp_user_timeout"] == 1000 * postgresql.GONE_AFTER
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW tcp_user_timeout")
            assert cursor.fetchone() == (str(1000 * postgresql.GONE_AFTER),)


def test_hosts_that_keep_time_are_not_corrected() -> None:
    assert shared_clock.ahead() == timedelta()


@pytest.mark.usefixtures("ahead")
def test_a_host_ahead_goes_by_the_clock_of_redis() -> None:
    assert abs(shared_clock.now() - datetime.now(UTC)) < timedelta(seconds=2)


def test_while_redis_is_away_the_last_known_difference_holds(
    settings: Any, redis_server: RedisServer, request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = redis_server.url
    request.getfixturevalue("ahead")
    server_of_sync.client.cache_clear()
    known = shared_clock.ahead()
    assert known < timedelta(seconds=-25)
    redis_server.kill()
    monkeypatch.setattr(shared_clock, "_ask_at", 0.0)
    assert shared_clock.ahead() == known


@pytest.mark.parametrize("minutes", [60, -60])
def test_a_redis_whose_clock_is_an_hour_off_is_not_believed(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    right = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + timedelta(minutes=minutes))
    assert shared_clock.ahead() == timedelta()
    assert abs(shared_clock.difference() + timedelta(minutes=minutes)) < timedelta(seconds=1)


def test_a_slow_answer_of_redis_corrects_no_clock_that_is_right() -> None:
    class Slow:
        def time(self) -> tuple[int, int]:
            seconds = time.time()
            time.sleep(0.3)
            return int(seconds), int(seconds % 1 * 1e6)

    shared_clock._ask(cast(Redis, Slow()))
    assert shared_clock.difference() == timedelta()


@pytest.mark.parametrize("minutes", [60, -60])
def test_a_clock_that_is_set_while_redis_answers_corrects_nothing(
    monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    times = iter([timezone.now(), timezone.now() + timedelta(minutes=minutes)])
    monkeypatch.setattr(timezone, "now", lambda: next(times))
    shared_clock._ask(server_of_sync.client())
    assert shared_clock._apart == timedelta()


def test_nobody_waits_for_a_redis_that_hangs_once_the_time_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    shared_clock.now()
    asked, answer = Event(), Event()

    def hang(_: Redis) -> None:
        asked.set()
        answer.wait(10)

    monkeypatch.setattr(shared_clock, "_ask", hang)
    monkeypatch.setattr(shared_clock, "_ask_at", time.monotonic() - 1)
    assert shared_clock.ahead() == timedelta()
    assert asked.wait(10)
    answer.set()


def test_beat_goes_on_when_the_clock_is_set_back_by_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    tick = beat.Scheduler(app, schedule={}, lazy=True).Entry(app=app, **app.conf.beat_schedule["tick"])
    right = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() - timedelta(hours=1))
    due, seconds = tick.is_due()
    assert due or seconds <= 1


def _message(expires: datetime) -> ClockedRequest:
    """A tick as it comes to a worker."""
    task = app.tasks["dashboard.tasks.tick"]
    sent = app.amqp.as_task_v2(uuid4().hex, task.name, expires=expires)
    fields = {"delivery_info": {}, "content_type": "application/json", "content_encoding": "utf-8"}
    message = SimpleNamespace(headers=sent.headers, properties=sent.properties, body=sent.body, **fields)
    return ClockedRequest(message, app=app, task=task, request_dict=dict(sent.headers), decoded=True)


@pytest.mark.usefixtures("ahead")
def test_a_worker_whose_clock_is_ahead_drops_no_message_before_its_time() -> None:
    now = datetime.now(UTC)
    assert app.tasks["dashboard.tasks.tick"].Request.endswith(":ClockedRequest")
    assert not _message(now + timedelta(seconds=5)).revoked()
    assert _message(now - timedelta(seconds=5)).revoked()


@pytest.mark.usefixtures("ahead")
def test_what_a_host_ahead_sends_expires_by_the_shared_clock() -> None:
    assert abs(app.now() - datetime.now(UTC)) < timedelta(seconds=2)
