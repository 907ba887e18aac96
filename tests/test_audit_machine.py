"""What nobody does by hand is on record too: steps of a purchase, pauses of the reading, retention, the start."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard import retention
from dashboard.anosim import BadKey
from dashboard.management.commands.prepare import Command
from dashboard.models import Account, AuditEvent, PurchaseStep, SyncState, User
from dashboard.purchases import intents, sending
from dashboard.purchases.transitions import move
from dashboard.sandbox import Sandbox
from dashboard.sync import outcomes

from .buying import make_buyer, open_shop, wish, work
from .factories import make_booking, make_purchase, make_sms, make_sync_states


def told() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("pk").values_list("role", "action"))


@pytest.mark.django_db(transaction=True)
def test_each_step_of_a_purchase_that_nobody_made_has_one_event(redis_url: str, settings: Any) -> None:
    settings.REDIS_URL = redis_url
    with Sandbox(seed=5) as sandbox:
        shop = open_shop(sandbox)
        purchase = intents.queue(wish(make_buyer(shop), shop))
        sending.send(purchase.pk)
        work()
    steps = PurchaseStep.objects.filter(purchase=purchase, by=None).order_by("pk")
    assert [action for role, action in told() if role == "machine"] == [f"purchase.{step.new}" for step in steps]
    assert ("machine", "purchase.confirmed") in told()
    event = AuditEvent.objects.get(action="purchase.confirmed")
    assert event.object_id == str(purchase.pk)
    assert event.details["charged_usd"] == str(purchase.price_usd)


@pytest.mark.django_db(transaction=True)
def test_a_move_that_did_not_come_about_leaves_no_event(account: Account, operator: User) -> None:
    purchase = make_purchase(account, operator)
    stale = type(purchase).objects.get(pk=purchase.pk)
    assert move(purchase, "preparing", attempt=1)
    assert not move(stale, "cancelled")
    assert told() == [("machine", "purchase.preparing")]


def test_a_pause_of_the_reading_and_its_end_are_told_once(account: Account) -> None:
    state = next(each for each in make_sync_states(account) if each.kind == SyncState.Kind.BALANCE)
    for _ in range(2):
        outcomes.failed(SyncState.objects.select_related("account").get(pk=state.pk), BadKey("ANOSIM refuses the key."))
    outcomes._close_breaker(Account.objects.get(pk=account.pk))
    outcomes._close_breaker(Account.objects.get(pk=account.pk))
    assert told() == [("machine", "sync.stopped"), ("machine", "sync.goes_on")]


def test_texts_that_retention_takes_away_are_told_once_for_a_run(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    booking = make_booking(account)
    for days in range(40, 45):
        make_sms(booking, received_at=timezone.now() - timedelta(days=days))
    Account.objects.filter(pk=account.pk).update(sms_kept_days=30)
    assert retention.blank_old_texts(account.pk) == 5
    assert retention.blank_old_texts(account.pk) == 0
    assert told() == [("machine", "sms.blanked")]


def test_what_the_start_makes_of_the_environment_is_on_record(
    db: None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setenv("ADMIN_USERNAME", "root")
    monkeypatch.setenv("ADMIN_PASSWORD", "one-tall-bicycle")
    settings.ANOSIM_API_KEY = "key-of-the-environment-1"
    for _ in range(2):
        Command()._admin()
        Command()._accounts()
    first = ["user.created", "account.created", "key.set"]
    assert told() == [("console", action) for action in first]
    monkeypatch.setenv("ADMIN_PASSWORD", "another-tall-bicycle")
    settings.ANOSIM_API_KEY = "key-of-the-environment-2"
    User.objects.update(is_superuser=False)
    Command()._admin()
    Command()._accounts()
    assert [action for _, action in told()][3:] == ["user.changed", "user.password_set", "key.replaced"]
    assert "bicycle" not in repr(list(AuditEvent.objects.values()))
    assert "key-of-the" not in repr(list(AuditEvent.objects.values()))
