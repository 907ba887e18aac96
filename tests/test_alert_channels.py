"""Channels of alerts: told once to each and once when it is over, never into our own network; how they are chosen."""

from __future__ import annotations

import io
import logging
import socket
import threading
from typing import Any

import pytest
from django.core import mail
from django.test import Client, override_settings
from django.utils import timezone

from dashboard.alerts import keeping, telling
from dashboard.alerts.reach import OutOfBounds, is_outside, outside_only
from dashboard.models import Account, AlertChannel, AlertNotice, Membership, User

from .alerting import Webhook, channel_of, later, low, send_due
from .alerting import webhook as webhook

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
