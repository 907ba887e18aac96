"""A clock that was an hour ahead is set right: reading goes on at once, and what is read counts as new."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from dashboard import tasks
from dashboard.models import Account, Booking, Heartbeat, SyncState
from dashboard.sandbox import Sandbox
from dashboard.sync import runs

from .provider import KINDS, account_at, read_until_done

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def sandbox(redis_url: str, settings: Any) -> Iterator[Sandbox]:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50
    with Sandbox(seed=41, size={"orders": 8, "bookings": 12, "sms": 20}) as running:
        yield running


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What a tick tells workers to read; all else that it hands out is left aside."""
    found: list[tuple[int, int]] = []
    for task in (tasks.send_purchase, tasks.settle_purchase, tasks.change_booking, tasks.send_alert):
        monkeypatch.setattr(task, "apply_async", lambda *_, **__: None)
    for task in (tasks.look_for_alerts, tasks.blank_old_texts):
        monkeypatch.setattr(task, "apply_async", lambda *_, **__: None)
    monkeypatch.setattr(tasks.read, "apply_async", lambda run, **_: found.append(run))
    return found


def date_ahead(account: Account) -> None:
    """As a host left the rows whose clock was an hour ahead."""
    columns = ("due_at", "last_attempt_at", "last_success_at")
    SyncState.objects.update(**{name: F(name) + HOUR for name in columns})
    Booking.objects.update(read_at=F("read_at") + HOUR)
    now = timezone.now()
    Account.objects.update(balance_at=now + HOUR, alerts_at=now + HOUR, breaker_until=now + HOUR)
    Heartbeat.objects.update_or_create(pk=1, defaults={"at": now + HOUR})


def test_after_a_clock_was_set_back_everything_is_read_at_once(
    sandbox: Sandbox, handed_out: list[tuple[int, int]]
) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    running = Booking.objects.filter(account=account).running()[0]
    date_ahead(account)
    sandbox.world.move_money(Decimal("12.34"), "top-up")
    sandbox.world.close(sandbox.world.bookings[running.remote_id], "Not Used")

    for _ in range(3):  # a probe closes the breaker, then all the rest follows
        tasks.tick()
        while handed_out:
            runs.run(*handed_out.pop())
        Account.objects.exclude(breaker_until=None).update(breaker_until=timezone.now())

    account.refresh_from_db()
    running.refresh_from_db()
    assert account.balance_usd == sandbox.world.balance
    assert running.is_closed
    soon = timezone.now() + timedelta(seconds=5)
    assert not SyncState.objects.filter(last_success_at__gt=soon).exists()
    assert SyncState.objects.filter(last_attempt_at__lte=soon).count() == len(KINDS) + 1


def test_a_clock_that_goes_on_as_it_should_moves_nothing(sandbox: Sandbox, handed_out: list[tuple[int, int]]) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    tasks.tick()
    later = SyncState.objects.order_by("pk").values_list("due_at", "last_success_at")
    before = list(later)
    handed_out.clear()
    tasks.tick()
    assert list(later) == before
    assert handed_out == []
