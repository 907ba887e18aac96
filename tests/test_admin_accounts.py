"""Accounts in the admin panel: keys that go in and never come out, the test of a key, and the pause."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from django.views.debug import ExceptionReporter
from redis import Redis

from dashboard.models import Account, AuditEvent, SyncState

from .admin_panel import URL, change_url, form_of, words
from .admin_panel import panel as panel
from .admin_panel import queue as queue
from .factories import make_sync_states
from .redis_server import RedisServer

KEY = "canary-key-a1b2c3d4e5f6-zzzz"


def tasks_in(server: RedisServer) -> list[tuple[str, str]]:
    client = Redis.from_url(server.url)
    try:
        messages = [json.loads(each)["headers"] for each in client.lrange("celery", 0, -1)]
    finally:
        client.close()
    return [(each["task"].rpartition(".")[2], each["argsrepr"]) for each in messages]


# Accounts and keys


def test_a_new_account_is_made_tested_and_recorded(panel: Client, admin: Any, queue: RedisServer) -> None:
    data = {"name": "Shop", "base_url": f" {URL}/ ", "enabled": "on", "api_key": KEY}
    response = panel.post("/admin/dashboard/account/add/", data)
    account = Account.objects.get(name="Shop")
    assert response.headers["Location"].startswith(f"{change_url(account)}?asked=")
    assert account.api_key == KEY
    assert account.base_url == URL
    assert account.key_hint == "zzzz"
    assert tasks_in(queue) == [("test_key", f"({account.pk},)")]
    assert list(AuditEvent.objects.values_list("action", flat=True).order_by("pk")) == ["account.created", "key.set"]
    assert SyncState.objects.filter(account=account).count() == len(SyncState.Kind.values)
    page = panel.get(response.headers["Location"])
    assert "Asking ANOSIM with this key…" in words(page)
    assert 'hx-trigger="every 2s"' in page.content.decode()


def test_a_new_account_needs_a_key(panel: Client) -> None:
    response = panel.post("/admin/dashboard/account/add/", {"name": "Shop", "base_url": URL})
    assert response.status_code == 200
    assert not Account.objects.exists()


def test_the_verdict_appears_by_itself(panel: Client, account: Account) -> None:
    response = panel.post(f"/admin/dashboard/account/{account.pk}/test-key/", headers={"HX-Request": "true"})
    url = response.headers["Location"]
    assert "Asking ANOSIM" in words(panel.get(url))
    Account.objects.filter(pk=account.pk).update(
        key_ok=True, key_verdict="The key works. The balance is $12.40.", key_checked_at=timezone.now()
    )
    verdict = panel.get(url)
    assert "The balance is $12.40." in words(verdict)
    assert "hx-get" not in verdict.content.decode()
    Account.objects.filter(pk=account.pk).update(key_ok=False, key_verdict="Invalid <key>.")
    assert "ANOSIM refuses the key. Invalid &lt;key&gt;." in words(panel.get(url))


def test_testing_a_key_is_recorded_and_no_get_does_it(panel: Client, account: Account, queue: RedisServer) -> None:
    url = f"/admin/dashboard/account/{account.pk}/test-key/"
    assert panel.get(url).status_code == 405
    assert tasks_in(queue) == []
    assert panel.post(url).headers["Location"].startswith(f"{change_url(account)}?asked=")
    assert tasks_in(queue) == [("test_key", f"({account.pk},)")]
    assert AuditEvent.objects.get().action == "key.tested"
    assert panel.post("/admin/dashboard/account/999/test-key/").status_code == 404


def test_a_queue_that_is_away_is_told_and_the_key_is_kept(panel: Client, account: Account, queue: RedisServer) -> None:
    queue.kill()
    response = panel.post(change_url(account), form_of(account, api_key=KEY))
    assert "The key was not tested." in words(panel.get(response.headers["Location"]))
    assert Account.objects.get(pk=account.pk).api_key == KEY


def test_a_key_is_replaced_kept_when_empty_and_never_shown(panel: Client, account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(breaker_failures=7, breaker_until=timezone.now(), key_ok=False)
    panel.post(change_url(account), form_of(account, api_key=KEY))
    changed = Account.objects.get(pk=account.pk)
    assert changed.api_key == KEY
    assert (changed.breaker_failures, changed.breaker_until, changed.key_ok) == (0, None, None)
    assert AuditEvent.objects.get().action == "key.replaced"
    panel.post(change_url(account), form_of(account, name="Renamed"))
    assert Account.objects.get(pk=account.pk).api_key == KEY
    page = panel.get(change_url(account)).content.decode()
    assert "…zzzz" in page
    assert KEY not in page


@pytest.mark.parametrize("fields", [{"name": ""}, {"base_url": "http://evil.example"}, {"base_url": "ftp://x"}])
def test_a_key_is_not_shown_again_after_an_error(panel: Client, account: Account, fields: dict[str, str]) -> None:
    response = panel.post(change_url(account), form_of(account, api_key=KEY, **fields))
    assert response.status_code == 200
    assert KEY not in response.content.decode()
    assert Account.objects.get(pk=account.pk).api_key != KEY


def test_a_key_with_spaces_in_it_is_refused_without_being_quoted(panel: Client, account: Account) -> None:
    response = panel.post(change_url(account), form_of(account, api_key="canary key"))
    assert "no spaces in it" in words(response)
    assert "canary" not in response.content.decode()


@pytest.mark.parametrize(
    "url", ["https://evil.example/api/v1", "http://localhost/api/v1", "https://www.anosim.net:8443/api/v1"]
)
def test_another_server_gets_the_key_only_if_it_is_typed_again(panel: Client, account: Account, url: str) -> None:
    response = panel.post(change_url(account), form_of(account, base_url=url))
    assert "leads to another server: type the API key again" in words(response)
    assert Account.objects.get(pk=account.pk).base_url == URL
    panel.post(change_url(account), form_of(account, base_url=url, api_key=KEY))
    assert Account.objects.get(pk=account.pk).base_url == url


def test_another_path_on_the_same_server_does_not_ask_for_the_key(panel: Client, account: Account) -> None:
    panel.post(change_url(account), form_of(account, base_url="https://www.anosim.net/api/v2"))
    assert Account.objects.get(pk=account.pk).base_url == "https://www.anosim.net/api/v2"
    assert AuditEvent.objects.get().details == {"base_url": "https://www.anosim.net/api/v2"}


def test_an_account_is_paused_and_goes_on_at_once(panel: Client, account: Account) -> None:
    make_sync_states(account, due_at=timezone.now() + timedelta(hours=1))
    panel.post(change_url(account), form_of(account, enabled=""))
    assert not Account.objects.get(pk=account.pk).enabled
    assert SyncState.objects.filter(due_at__gt=timezone.now()).exists()
    panel.post(change_url(account), form_of(account))
    assert not SyncState.objects.filter(due_at__gt=timezone.now()).exists()
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["account.paused", "account.resumed"]


def test_saving_the_form_leaves_what_the_workers_wrote_meanwhile(
    panel: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboard.admin.accounts import AccountAdmin

    real = AccountAdmin.save_model

    def save_model(self: Any, request: Any, obj: Any, form: Any, change: bool) -> None:
        Account.objects.filter(pk=obj.pk).update(balance_usd=99)
        real(self, request, obj, form, change)

    monkeypatch.setattr(AccountAdmin, "save_model", save_model)
    panel.post(change_url(account), form_of(account, name="Renamed"))
    saved = Account.objects.get(pk=account.pk)
    assert saved.name == "Renamed"
    assert saved.balance_usd == Decimal(99)


# The canary


@pytest.fixture
def loud(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_a_key_stands_nowhere_but_sealed(
    panel: Client, account: Account, queue: RedisServer, loud: pytest.LogCaptureFixture
) -> None:
    answers = [
        panel.post(change_url(account), form_of(account, api_key=KEY, base_url="nonsense")),
        panel.post(change_url(account), form_of(account, api_key=KEY), follow=True),
        panel.post(f"/admin/dashboard/account/{account.pk}/test-key/", follow=True),
        panel.get(change_url(account)),
        panel.get(f"/admin/dashboard/account/{account.pk}/history/"),
        panel.get("/admin/dashboard/account/"),
        panel.get("/admin/dashboard/auditevent/"),
        panel.get("/status/"),
    ]
    assert all(answer.status_code == 200 for answer in answers)
    seen = "".join(answer.content.decode() + str(answer.headers) for answer in answers)
    seen += loud.text
    seen += repr(list(AuditEvent.objects.values())) + repr(list(LogEntry.objects.values()))
    seen += repr(list(Account.objects.values()))
    server = Redis.from_url(queue.url)
    seen += repr(server.lrange("celery", 0, -1))
    server.close()
    assert KEY not in seen
    assert KEY[:-4] not in seen
    assert Account.objects.get(pk=account.pk).api_key == KEY


def test_the_report_of_a_fault_does_not_hold_the_key(
    panel: Client, account: Account, monkeypatch: pytest.MonkeyPatch, loud: pytest.LogCaptureFixture
) -> None:
    from dashboard import audit

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(audit, "record", broken)
    panel.raise_request_exception = False
    response: Any = panel.post(change_url(account), form_of(account, api_key=KEY))
    assert response.status_code == 500
    report = ExceptionReporter(response.wsgi_request, *response.exc_info)
    assert "RuntimeError" in report.get_traceback_text()
    for text in (response.content.decode(), report.get_traceback_html(), report.get_traceback_text(), loud.text):
        assert KEY not in text
    assert Account.objects.get(pk=account.pk).api_key != KEY
