"""Alerts: opened once, told once to each channel, over once, with a message after; nothing of an SMS in them."""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core import mail
from django.test import Client, override_settings
from django.utils import timezone

from dashboard import tasks
from dashboard.alerts import keeping, telling
from dashboard.alerts.reach import OutOfBounds, is_outside, outside_only
from dashboard.models import (
    Account,
    Alert,
    AlertChannel,
    AlertNotice,
    Membership,
    Purchase,
    SmsGap,
    SyncState,
    User,
)
from tests.factories import make_account, make_booking, make_purchase, make_sync_states

Kind = Alert.Kind


class Webhook(ThreadingHTTPServer):
    """A real service that takes alerts: what apprise's json:// posts to. `answer` is its status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.taken: list[dict[str, Any]] = []
        self.answer = 200

    @property
    def address(self) -> str:
        return self.at("127.0.0.1")

    def at(self, host: str) -> str:
        return f"json://user:hidden-password@{host}:{self.server_port}/alerts"


class _Taker(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(json.loads(body))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def webhook(settings: Any) -> Iterator[Webhook]:
    settings.ALERTS_TO_PRIVATE_NETWORKS = True
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def channel_of(user: User, address: str) -> AlertChannel:
    channel = AlertChannel(user=user, name="Mine")
    channel.address = address
    channel.save()
    return channel


def low(account: Account, balance: str = "3.00") -> None:
    Account.objects.filter(pk=account.pk).update(balance_usd=Decimal(balance), low_balance_usd=Decimal(20))


def send_due() -> None:
    for notice_id in telling.due():
        telling.send(notice_id)


def later(account: Account, seconds: float = 61) -> None:
    """As if the alerts had been seen last so long ago."""
    Alert.objects.filter(account=account).update(seen_at=timezone.now() - timedelta(seconds=seconds))


def opened(account: Account) -> list[str]:
    return list(Alert.objects.open().filter(account=account).order_by("kind").values_list("kind", flat=True))


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


# --- the channels


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "own-network.example.com", "[::ffff:127.0.0.1]"])
def test_no_spelling_and_no_name_leads_into_our_own_network(
    viewer: User, webhook: Webhook, settings: Any, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    resolved = socket.getaddrinfo

    def resolve(name: Any, *args: Any, **kwargs: Any) -> Any:
        """A name server as an attacker keeps one."""
        return resolved("127.0.0.1" if name == "own-network.example.com" else name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    settings.ALERTS_TO_PRIVATE_NETWORKS = False
    assert telling.deliver(channel_of(viewer, webhook.at(host)), "Title", "Words") == telling.PRIVATE
    assert webhook.taken == []


def test_an_option_of_the_address_does_not_lead_into_our_own_network(viewer: User, webhook: Webhook) -> None:
    address = f"mailto://user:hidden@example.com?smtp=127.0.0.1&port={webhook.server_port}&deadline=5"
    assert telling.deliver(channel_of(viewer, address), "Title", "Words") != telling.PRIVATE
    with override_settings(ALERTS_TO_PRIVATE_NETWORKS=False):
        assert telling.deliver(channel_of(viewer, address), "Title", "Words") == telling.PRIVATE


def test_what_connects_beside_a_message_is_not_held_up(webhook: Webhook) -> None:
    here = ("127.0.0.1", webhook.server_port)
    with outside_only() as watch:
        beside = threading.Thread(target=lambda: socket.create_connection(here).close())
        beside.start()
        beside.join()
        assert not watch.refused
        with pytest.raises(OutOfBounds):
            socket.create_connection(here)
    socket.create_connection(here).close()


@pytest.mark.parametrize(
    ("address", "outside"),
    [
        ("93.184.216.34", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("::1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::a00:1", False), ("2002:a00:1::1", False),
        ("fe80::1%eth0", False), ("fd00::1", False), ("example.com", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_an_address_is_of_a_machine_out_there_or_not(address: str, outside: bool) -> None:
    assert is_outside(address) is outside


def test_it_is_told_once_and_once_when_it_is_over(account: Account, manager: User, webhook: Webhook) -> None:
    channel_of(manager, webhook.address)
    low(account)
    for _ in range(3):
        keeping.look()
        send_due()
    assert [each["message"] for each in webhook.taken] == ["The balance of Shop is low: under $20.00."]
    low(account, "30.00")
    later(account)
    for _ in range(3):
        keeping.look()
        send_due()
    assert len(webhook.taken) == 2
    assert webhook.taken[1]["title"] == "ANOSIM dashboard: over"
    assert "It was: The balance of Shop is low" in webhook.taken[1]["message"]


def test_only_members_and_admins_are_told(
    account: Account, viewer: User, admin: User, stranger: User, webhook: Webhook
) -> None:
    for user in (viewer, admin, stranger):
        channel_of(user, webhook.address)
    low(account)
    keeping.look()
    send_due()
    assert len(webhook.taken) == 2


def test_who_has_left_meanwhile_is_not_told(account: Account, viewer: User, webhook: Webhook) -> None:
    channel_of(viewer, webhook.address)
    low(account)
    keeping.look()
    Membership.objects.filter(user=viewer).delete()
    send_due()
    assert webhook.taken == []
    assert telling.due() == []


def test_a_service_that_fails_is_tried_again_later_and_given_up_in_the_end(
    account: Account, viewer: User, webhook: Webhook
) -> None:
    channel = channel_of(viewer, webhook.address)
    webhook.answer = 500
    low(account)
    keeping.look()
    tries = 0
    while (notice := AlertNotice.objects.get()).next_try_at is not None:
        AlertNotice.objects.update(next_try_at=timezone.now())
        send_due()
        tries += 1
        assert tries < 20
    assert notice.tries == AlertNotice.MOST_TRIES
    channel.refresh_from_db()
    assert channel.verdict == "The service did not take it."


def test_a_service_that_is_back_gets_it(account: Account, viewer: User, webhook: Webhook) -> None:
    channel_of(viewer, webhook.address)
    webhook.answer = 500
    low(account)
    keeping.look()
    send_due()
    assert telling.due() == []
    webhook.answer = 200
    AlertNotice.objects.update(next_try_at=timezone.now())
    send_due()
    assert AlertNotice.objects.get().sent_at is not None


def test_two_workers_send_a_notice_once(account: Account, viewer: User, webhook: Webhook) -> None:
    channel_of(viewer, webhook.address)
    low(account)
    keeping.look()
    notice = AlertNotice.objects.get()
    until = timezone.now() + telling.LEASE
    assert AlertNotice.objects.claim(notice, until)
    assert not AlertNotice.objects.claim(notice, until)


def test_what_was_over_before_it_could_be_told_is_not_told(account: Account, viewer: User, webhook: Webhook) -> None:
    channel_of(viewer, webhook.address)
    low(account)
    keeping.look()
    low(account, "30.00")
    later(account)
    keeping.look()
    send_due()
    assert webhook.taken == []


def test_a_mail_address_is_told_by_the_mail_of_the_dashboard(account: Account, viewer: User, settings: Any) -> None:
    settings.MAIL = object()
    channel_of(viewer, "ada@example.org")
    low(account)
    keeping.look()
    send_due()
    assert [(each.to, each.body) for each in mail.outbox] == [
        (["ada@example.org"], "The balance of Shop is low: under $20.00.")
    ]


def test_the_tick_looks_and_sends(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[str] = []
    for name in ("look_for_alerts", "read"):
        monkeypatch.setattr(getattr(tasks, name), "apply_async", lambda *args, name=name, **rest: handed.append(name))
    tasks.tick()
    tasks.tick()
    assert handed.count("look_for_alerts") == 1


def test_no_log_holds_where_an_alert_went(account: Account, viewer: User, webhook: Webhook) -> None:
    """Addresses hold secrets, in the path too: what Telegram, Slack and others take is nothing else."""
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        for answer in (200, 500):
            webhook.answer = answer
            telling.deliver(channel_of(viewer, f"{webhook.address}/secret-path"), "Title", "Words of the alert")
        telling.deliver(channel_of(viewer, "json://user:hidden-password@127.0.0.1:1/secret-path"), "Title", "Words")
        for address in ("nosuch://me:hidden-password@x/secret-path", "tgram://hidden-password/secret-path"):
            with pytest.raises(telling.BadAddress):
                telling.check_address(address)
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
    assert len(webhook.taken) == 2
    for secret in ("secret-path", "hidden-password", "Words of the alert"):
        assert secret not in stream.getvalue(), secret


# --- choosing channels


@pytest.fixture
def page(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def test_a_channel_is_added_sealed_and_never_shown(page: Client, viewer: User, webhook: Webhook) -> None:
    page.post("/settings/alerts/", {"name": "Hook", "address": webhook.address})
    channel = AlertChannel.objects.get(user=viewer)
    assert channel.address == webhook.address
    assert "hidden-password" not in channel.sealed_address
    content = page.get("/settings/").content.decode()
    assert "Hook" in content
    assert "hidden-password" not in content
    telling.test(channel.pk)
    assert webhook.taken[0]["message"].startswith("This is a test")
    assert "The last message was taken." in page.get("/settings/").content.decode()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "Write a mail address"),
        ("no address", "Write a mail address"),
        ("syslog://", "Write a mail address"),
        ("gnome://", "Write a mail address"),
        ("nosuchservice://x", "Apprise does not know"),
        ("json://127.0.0.1:6379/", "private network"),
        ("json://localhost/", "private network"),
        ("json://[::1]/", "private network"),
        ("json://10.0.0.4/", "private network"),
        ("xml://169.254.169.254/latest/", "private network"),
        ("json://[::1", "Write a mail address"),
        ("ada@example.org", "sends no mail"),
    ],
)
def test_addresses_that_are_not_taken_are_refused_in_words(page: Client, address: str, words: str) -> None:
    response = page.post("/settings/alerts/", {"name": "<b>My mail", "address": address})
    assert response.status_code == 422
    content = response.content.decode()
    assert words in content.partition('id="address-error"')[2].partition("</p>")[0]
    # Nothing has to be typed again.
    assert 'value="&lt;b&gt;My mail"' in content
    assert f'value="{address}"' in content
    assert not AlertChannel.objects.exists()


def test_a_channel_of_somebody_else_cannot_be_touched(page: Client, admin: User, webhook: Webhook) -> None:
    foreign = channel_of(admin, webhook.address)
    for deed in ("test", "remove"):
        assert page.post(f"/settings/alerts/{foreign.pk}/{deed}/").status_code == 404
    assert AlertChannel.objects.filter(pk=foreign.pk).exists()


def test_a_channel_can_be_removed(page: Client, viewer: User, webhook: Webhook) -> None:
    channel = channel_of(viewer, webhook.address)
    page.post(f"/settings/alerts/{channel.pk}/remove/")
    assert not AlertChannel.objects.exists()


def test_a_person_has_ten_channels_at_the_most(page: Client, viewer: User, webhook: Webhook) -> None:
    for _ in range(10):
        channel_of(viewer, webhook.address)
    page.post("/settings/alerts/", {"name": "x", "address": webhook.address})
    assert AlertChannel.objects.count() == 10
