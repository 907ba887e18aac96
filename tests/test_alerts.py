"""Alerts: what is noticed, once and until it is over, and where it is shown; nothing of an SMS in them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard import tasks
from dashboard.alerts import keeping
from dashboard.models import Account, Alert, Purchase, SmsGap, SyncState, User
from tests.factories import make_account, make_booking, make_purchase, make_sync_states

from .alerting import Webhook, channel_of, later, low, opened, send_due
from .alerting import webhook as webhook

Kind = Alert.Kind


# --- what is noticed


def test_nothing_stands_where_all_is_well(account: Account) -> None:
    make_sync_states(account)
    assert keeping.look() == 0


def test_a_low_balance_is_noticed(account: Account) -> None:
    low(account)
    keeping.look()
    assert Alert.objects.get().words == "The balance of Shop is low: under $20.00."
    low(account, "20.00")
    later(account)
    keeping.look()
    assert opened(account) == []


def test_a_refused_key_is_noticed_and_the_stale_data_it_explains_are_not(account: Account) -> None:
    make_sync_states(account, last_success_at=timezone.now() - timedelta(hours=1), pace_seconds=2)
    Account.objects.filter(pk=account.pk).update(key_ok=False, key_verdict="API key wrong")
    keeping.look()
    assert opened(account) == [Kind.KEY_REFUSED]


def test_data_that_stay_stale_are_noticed_after_two_minutes(account: Account) -> None:
    now = timezone.now()
    since = {"error": "It fails.", "error_since": now - timedelta(seconds=138)}
    make_sync_states(account, pace_seconds=2, last_success_at=now - timedelta(seconds=140), **since)
    keeping.look()
    assert opened(account) == []
    SyncState.objects.filter(kind="sms").update(last_success_at=now - timedelta(seconds=150))
    keeping.look()
    assert Alert.objects.get().words == "Shop is not current: SMS."


def test_after_a_night_switched_off_nothing_is_told_that_the_first_read_mends(account: Account) -> None:
    night = timezone.now() - timedelta(hours=9)
    make_sync_states(account, pace_seconds=2, last_success_at=night, last_attempt_at=night)
    keeping.look()
    assert opened(account) == []
    SyncState.objects.update(last_attempt_at=timezone.now())  # being read just now
    keeping.look()
    assert opened(account) == []


def test_reads_that_end_neither_well_nor_badly_are_noticed(account: Account) -> None:
    now = timezone.now()
    night, lately = now - timedelta(hours=9), now - timedelta(seconds=11)
    make_sync_states(account, pace_seconds=2, last_success_at=night, last_attempt_at=lately)
    keeping.look()
    assert opened(account) == [Kind.SYNC_STALE]


def test_a_purchase_is_noticed_when_it_stays_unknown_or_a_manager_decides(account: Account, operator: User) -> None:
    now = timezone.now()
    long_ago = make_purchase(account, operator, status="unknown", sent_at=now - timedelta(minutes=16))
    make_purchase(account, operator, status="unknown", sent_at=now - timedelta(minutes=2))
    review = make_purchase(account, operator, status="needs_review", sent_at=now)
    keeping.look()
    assert set(Alert.objects.values_list("key", flat=True)) == {str(long_ago.pk), str(review.pk)}
    Purchase.objects.update(status="absent")
    later(account)
    keeping.look()
    assert opened(account) == []


def test_sms_that_are_lost_are_noticed_for_a_day_and_end_without_a_word(
    account: Account, admin: User, webhook: Webhook
) -> None:
    channel_of(admin, webhook.address)
    gap = SmsGap.objects.create(account=account, to_at=timezone.now(), lost=True, closed_at=timezone.now())
    SmsGap.objects.create(account=account, to_at=timezone.now())
    keeping.look()
    send_due()
    assert opened(account) == [Kind.SMS_LOST]
    SmsGap.objects.filter(pk=gap.pk).update(found_at=timezone.now() - timedelta(hours=25))
    later(account)
    keeping.look()
    send_due()
    assert opened(account) == []
    assert len(webhook.taken) == 1


def test_renewals_that_the_balance_does_not_cover_are_noticed(account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(balance_usd=Decimal("9.99"))
    soon = {"rental_type": "RentalService", "auto_renewal": True, "price_usd": Decimal("5.00")}
    for days in (1, 2, 9):
        make_booking(account, ends_at=timezone.now() + timedelta(days=days), **soon)
    make_booking(account, ends_at=timezone.now() + timedelta(days=1), **{**soon, "auto_renewal": False})
    keeping.look()
    assert Alert.objects.get().words == "2 rentals renew in Shop within 3 days for $10.00; the balance is not enough."


def test_paused_accounts_are_left_alone(account: Account) -> None:
    low(account)
    Account.objects.update(enabled=False)
    assert keeping.look() == 0


def test_what_flickers_is_one_alert(account: Account) -> None:
    low(account)
    keeping.look()
    for balance in ("30.00", "3.00", "30.00"):
        low(account, balance)
        keeping.look()
    assert Alert.objects.count() == 1
    assert opened(account) == [Kind.LOW_BALANCE]


def test_two_ticks_look_once(account: Account) -> None:
    now = timezone.now()
    assert keeping.is_due(now)
    assert not keeping.is_due(now + timedelta(seconds=1))
    assert keeping.is_due(now + keeping.EVERY)


def test_the_tick_looks_and_sends(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[str] = []
    for name in ("look_for_alerts", "read"):
        monkeypatch.setattr(getattr(tasks, name), "apply_async", lambda *args, name=name, **rest: handed.append(name))
    tasks.tick()
    tasks.tick()
    assert handed.count("look_for_alerts") == 1


def test_the_cost_does_not_grow_with_accounts(account: Account, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        make_sync_states(make_account())
    with django_assert_num_queries(6):
        keeping.look()


# --- the page


def test_it_stands_on_every_page_of_all_concerned_until_it_is_over(
    client: Client, account: Account, viewer: User, stranger: User
) -> None:
    low(account)
    keeping.look()
    client.force_login(viewer)
    words = "The balance of Shop is low: under $20.00."
    for path in ("/", "/inbox/", "/settings/"):
        assert words in client.get(path).content.decode()
    assert "Low balance" in client.get("/").content.decode()
    low(account, "30.00")
    later(account)
    keeping.look()
    assert words not in client.get("/").content.decode()
    client.force_login(stranger)
    low(account)
    keeping.look()
    assert words not in client.get("/").content.decode()


def test_an_open_page_hears_of_it(client: Client, account: Account, viewer: User) -> None:
    client.force_login(viewer)
    page = client.get("/settings/")
    url = page.context["shell"].panel["url"]
    assert client.get(url).status_code == 204
    low(account)
    keeping.look()
    assert "is low" in client.get(url).content.decode()


def test_the_status_page_lists_what_is_open_and_what_was_over_lately(
    client: Client, account: Account, viewer: User, foreign_account: Account
) -> None:
    low(account)
    low(foreign_account)
    keeping.look()
    client.force_login(viewer)
    content = client.get("/status/").content.decode()
    assert content.count('<span class="badge end">Open</span>') == 1
    Alert.objects.update(resolved_at=timezone.now())
    assert '<span class="badge">Over</span>' in client.get("/status/").content.decode()
    Alert.objects.update(resolved_at=timezone.now() - timedelta(days=8))
    assert "is low" not in client.get("/panels/status/").content.decode()
