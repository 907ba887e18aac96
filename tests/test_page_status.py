"""Status: the words for every state of the sync, "read now", access, cost."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.live import topics
from dashboard.models import Account, AuditEvent, SmsGap, SyncState

from .factories import make_account, make_purchase, make_sync_states
from .query_plans import statements_of, whole_reads

Kind = SyncState.Kind


@pytest.fixture
def page(client: Client, operator: Any) -> Client:
    client.force_login(operator)
    return client


def text(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode()))


def change(account: Account, kind: str, **fields: Any) -> None:
    SyncState.objects.filter(account=account, kind=kind).update(**fields)


def row(response: Any, kind: str) -> str:
    """Words of the table's row of a kind."""
    start = rf'<tr id="sync-\d+">\s*<td class="lead wrap"><b>{re.escape(kind)}</b>'
    found = re.search(rf"{start}.*?</tr>", _html(response), re.DOTALL)
    assert found is not None, kind
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0]))


def _html(response: Any) -> str:
    return str(response.content.decode())


def test_all_is_current(page: Client, account: Account) -> None:
    make_sync_states(account, pace_seconds=2)
    response = page.get("/status/")
    assert "100 %" in text(response)
    assert "9 of 9 kinds of data" in text(response)
    assert "Current" in row(response, "SMS")
    assert "every 2 s" in row(response, "SMS")
    assert "since" not in text(response)


def test_a_failing_kind_tells_what_since_when_and_the_next_try(page: Client, account: Account) -> None:
    make_sync_states(account)
    now = timezone.now()
    change(
        account,
        Kind.ORDERS,
        error="ANOSIM does not answer <502>.",
        error_since=now - timedelta(minutes=21),
        failures=9,
        last_success_at=now - timedelta(minutes=22),
        due_at=now + timedelta(seconds=40),
    )
    response = page.get("/status/")
    words = row(response, "Orders")
    assert "Failing" in words
    assert "22 min ago" in words
    assert "ANOSIM does not answer &lt;502&gt;." in words
    assert "9 times in a row" in words
    assert "88 %" in text(response)


def test_one_fault_of_a_kind_that_is_still_fresh_is_only_a_retry(page: Client, account: Account) -> None:
    make_sync_states(account)
    change(account, Kind.SMS, error="Timed out.", error_since=timezone.now(), failures=1)
    assert "Retrying" in row(page.get("/status/"), "SMS")


def test_rows_that_could_not_be_read_are_counted(page: Client, account: Account) -> None:
    make_sync_states(account)
    change(account, Kind.PRODUCTS, unreadable=2)
    assert "2 rows of the last answer could not be read and were left out." in row(page.get("/status/"), "Products")


def test_silence_of_our_own_workers_is_told_apart(page: Client, account: Account) -> None:
    make_sync_states(account, last_success_at=timezone.now() - timedelta(hours=9))
    response = page.get("/status/")
    assert "Our own workers are silent." in text(response)
    assert "Late" in row(response, "Balance")


def test_what_was_never_read_says_so(page: Client, account: Account) -> None:
    assert "Not read yet" in text(page.get("/status/"))
    make_sync_states(account, last_success_at=None)
    assert "never" in row(page.get("/status/"), "SMS")


def test_a_paused_account_and_one_without_a_key_are_told(page: Client, operator: Any, account: Account) -> None:
    make_sync_states(account)
    Account.objects.filter(pk=account.pk).update(enabled=False)
    assert "Paused. Nothing is read from ANOSIM and nothing is lost. An admin can switch it on." in text(
        page.get("/status/")
    )
    Account.objects.filter(pk=account.pk).update(enabled=True, sealed_key="")
    assert "No API key." in text(page.get("/status/"))


def test_a_refused_key_and_an_open_breaker_are_told(page: Client, account: Account) -> None:
    make_sync_states(account)
    now = timezone.now()
    Account.objects.filter(pk=account.pk).update(breaker_until=now + timedelta(seconds=8), breaker_failures=6)
    assert "It failed 6 times in a row" in text(page.get("/status/"))
    Account.objects.filter(pk=account.pk).update(key_ok=False, key_verdict="ANOSIM says no.", key_checked_at=now)
    assert "ANOSIM refuses the key …cdef. ANOSIM says no." in text(page.get("/status/"))


def test_gaps_are_told_with_their_span_and_meaning(page: Client, account: Account) -> None:
    make_sync_states(account)
    now = timezone.now()
    SmsGap.objects.create(account=account, from_at=now - timedelta(hours=2), to_at=now - timedelta(hours=1))
    SmsGap.objects.create(account=account, to_at=now - timedelta(days=3), lost=True, closed_at=now)
    SmsGap.objects.create(account=account, to_at=now - timedelta(days=9), closed_at=now)
    words = text(page.get("/status/"))
    assert words.count("Some SMS may be missing") == 1
    assert words.count("Some SMS are lost") == 1


def test_a_member_of_nothing_is_told_what_to_do(client: Client, stranger: Any, account: Account) -> None:
    make_sync_states(account)
    client.force_login(stranger)
    response = client.get("/status/")
    assert "You are a member of no account" in text(response)
    assert account.name not in text(response)


def test_an_admin_without_accounts_is_led_to_the_first(client: Client, admin: Any) -> None:
    client.force_login(admin)
    assert 'href="/admin/dashboard/account/add/"' in _html(client.get("/status/"))


def test_everybody_sees_the_status_and_only_admins_the_button(
    client: Client, account: Account, admin: Any, manager: Any, operator: Any, viewer: Any
) -> None:
    make_sync_states(account)
    assert client.get("/status/").status_code == 302
    assert client.get("/panels/status/").status_code == 302
    for person in (manager, operator, viewer):
        client.force_login(person)
        assert "Read now" not in text(client.get("/status/"))
        assert client.post(f"/status/{account.pk}/read/").status_code == 404
    client.force_login(admin)
    assert "Read now" in text(client.get("/status/"))


def test_read_now_brings_every_kind_forward_and_is_recorded(client: Client, account: Account, admin: Any) -> None:
    make_sync_states(account, due_at=timezone.now() + timedelta(hours=1), failures=3)
    client.force_login(admin)
    assert client.get(f"/status/{account.pk}/read/").status_code == 405
    response = client.post(f"/status/{account.pk}/read/", follow=True)
    assert "Shop is being read now." in text(response)
    assert not SyncState.objects.filter(account=account, due_at__gt=timezone.now()).exists()
    event = AuditEvent.objects.get(action="sync.read_now")
    assert (event.user, event.account) == (admin, account)


@pytest.mark.parametrize(("fields", "words"), [({"enabled": False}, "paused"), ({"api_key": ""}, "no API key")])
def test_read_now_of_an_account_that_is_not_read_says_why(
    client: Client, admin: Any, fields: dict[str, Any], words: str
) -> None:
    quiet = make_account("Quiet", **fields)
    client.force_login(admin)
    assert words in text(client.post(f"/status/{quiet.pk}/read/", follow=True))
    assert not AuditEvent.objects.exists()


def test_the_panel_moves_when_the_sync_has_news(page: Client, account: Account) -> None:
    make_sync_states(account)
    url = re.search(r'id="status-panel"[^>]*hx-get="([^"]+)"', _html(page.get("/status/")))
    assert url is not None
    topics.touch(account.pk, topics.SYNC)
    assert page.get(url[1]).status_code == 200


def test_the_cost_does_not_grow_with_accounts_and_gaps(client: Client, account: Account, admin: Any) -> None:
    make_sync_states(account)
    client.force_login(admin)
    few = len(statements_of(client, "/panels/status/"))
    whole_page = len(statements_of(client, "/status/"))
    for _ in range(5):
        more = make_account()
        make_sync_states(more)
        SmsGap.objects.create(account=more, to_at=timezone.now())
    # Session, person, account ids, versions; then accounts, sync rows, open and lost gaps, alerts; the three checks.
    assert len(statements_of(client, "/panels/status/")) == few == 13
    assert len(statements_of(client, "/status/")) == whole_page
    assert whole_reads(statements_of(client, "/status/")) == []


def test_purchases_of_which_nobody_knows_are_counted(client: Client, operator: Any, account: Account) -> None:
    client.force_login(operator)
    make_sync_states(account)
    assert "not known yet whether bought" not in client.get("/status/").content.decode()
    make_purchase(account, operator, status="unknown")
    make_purchase(account, operator, status="needs_review")
    make_purchase(account, operator, status="confirmed")
    content = client.get("/status/").content.decode()
    assert '<b class="warn">2</b><small>not known yet whether bought</small>' in content
    assert 'href="/purchases/?status=unknown"' in content
