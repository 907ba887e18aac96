"""The admin panel: who may enter, keys that go in and never come out, and the record of what admins did."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from django.views.debug import ExceptionReporter
from redis import Redis

from dashboard.admin.archive import BoundedPaginator
from dashboard.local_time import Clock
from dashboard.models import (
    Account,
    AuditEvent,
    BalanceReading,
    Country,
    Membership,
    SimCard,
    SmsGap,
    SyncState,
    User,
)

from .factories import make_booking, make_order, make_product, make_sms, make_sync_states
from .query_plans import statements_of
from .redis_server import RedisServer

KEY = "canary-key-a1b2c3d4e5f6-zzzz"
URL = "https://www.anosim.net/api/v1"
NO_MEMBERS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


@pytest.fixture
def queue(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """The workers' queue in a server of this test's own."""
    from anosim_dashboard.celery import app

    monkeypatch.setattr(app.conf, "broker_url", redis_server.url.replace("unix://", "redis+socket://", 1))
    monkeypatch.setattr(app.conf, "broker_write_url", None)
    return redis_server


@pytest.fixture
def panel(client: Client, admin: Any, queue: RedisServer, confirmed: Callable[[Client], None]) -> Client:
    client.force_login(admin)
    confirmed(client)
    return client


def change_url(account: Account) -> str:
    return f"/admin/dashboard/account/{account.pk}/change/"


def form_of(account: Account, **fields: Any) -> dict[str, Any]:
    values = {"name": account.name, "base_url": account.base_url, "enabled": "on", "api_key": ""}
    return {**NO_MEMBERS, **values, **fields}


def tasks_in(server: RedisServer) -> list[tuple[str, str]]:
    client = Redis.from_url(server.url)
    try:
        messages = [json.loads(each)["headers"] for each in client.lrange("celery", 0, -1)]
    finally:
        client.close()
    return [(each["task"].rpartition(".")[2], each["argsrepr"]) for each in messages]


def words(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode()))


# Who may enter


def admin_urls() -> list[str]:
    return ["/admin/"] + [f"/admin/dashboard/{model._meta.model_name}/" for model in django_admin.site._registry]


def test_admins_enter_and_find_every_list(panel: Client) -> None:
    for url in admin_urls():
        assert panel.get(url).status_code == 200, url


def test_others_who_are_signed_in_get_404_everywhere(
    client: Client, account: Account, manager: Any, operator: Any, viewer: Any, stranger: Any
) -> None:
    extra = [change_url(account), f"/admin/dashboard/account/{account.pk}/key-verdict/", "/admin/login/", "/admin/x/"]
    for person in (manager, operator, viewer, stranger):
        person.is_staff = True  # Django's own mark for its admin means nothing here
        person.save()
        client.force_login(person)
        for url in admin_urls() + extra:
            assert client.get(url).status_code == 404, url
        assert client.post(f"/admin/dashboard/account/{account.pk}/test-key/").status_code == 404
    assert set(AuditEvent.objects.values_list("action", flat=True)) == {"access.denied"}


def test_who_is_not_signed_in_is_led_to_the_dashboards_own_sign_in(client: Client, account: Account) -> None:
    for url in [*admin_urls(), change_url(account)]:
        chain = client.get(url, follow=True).redirect_chain
        assert chain[-1] == (f"/accounts/login/?next={url}", 302)
    for method in (client.get, client.post):
        assert method("/admin/login/").headers["Location"] == "/accounts/login/?next=/admin/login/"


def test_an_admin_who_was_switched_off_is_out_at_once(panel: Client, admin: Any) -> None:
    User.objects.filter(pk=admin.pk).update(is_active=False)
    assert panel.get("/admin/").status_code == 302


# What is not there


def test_no_page_shows_an_sms_or_a_sealed_value(panel: Client, account: Account) -> None:
    booking = make_booking(account, order=make_order(account))
    make_sms(booking, text="hush-hush 482913 nobody reads this")
    make_product(account)
    make_sync_states(account)
    Country.objects.create(account=account, remote_id=1, name="Germany")
    SimCard.objects.create(account=account, number=booking.number, last_seen_at=timezone.now())
    SmsGap.objects.create(account=account, to_at=timezone.now())
    BalanceReading.objects.create(account=account, hour=timezone.now(), balance_usd=1)
    AuditEvent.objects.create(action="test", account=account)
    names = {model._meta.model_name for model in django_admin.site._registry}
    assert not names & {"sms", "offer", "topicversion", "group", "permission"}
    for model in django_admin.site._registry:
        base = f"/admin/dashboard/{model._meta.model_name}/"
        for url in [base, *(f"{base}{row.pk}/change/" for row in model._default_manager.all()[:1])]:
            content = panel.get(url).content.decode()
            for secret in ("hush-hush", "482913", account.sealed_key, account.sealed_fingerprint_key, "test-key-0123"):
                assert secret not in content, url


def test_what_the_workers_stored_can_be_read_but_not_changed(panel: Client, account: Account) -> None:
    booking = make_booking(account)
    base = f"/admin/dashboard/booking/{booking.pk}"
    assert panel.post(f"{base}/change/", {"number": "1"}).status_code == 403
    assert panel.post(f"{base}/delete/", {"post": "yes"}).status_code == 403
    assert panel.get("/admin/dashboard/booking/add/").status_code == 403
    assert panel.post("/admin/dashboard/auditevent/add/", {}).status_code == 403


def test_an_account_and_a_person_cannot_be_deleted(panel: Client, account: Account, operator: Any) -> None:
    for base in (f"/admin/dashboard/account/{account.pk}", f"/admin/dashboard/user/{operator.pk}"):
        assert panel.post(f"{base}/delete/", {"post": "yes"}).status_code == 403
        assert f"{base}/delete/" not in panel.get(f"{base}/change/").content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [account.pk], "post": "yes"}
    panel.post("/admin/dashboard/account/", chosen)
    assert Account.objects.filter(pk=account.pk).exists()
    assert "Pause it instead" in words(panel.get(change_url(account)))


def test_every_model_that_has_a_page_is_named_on_purpose() -> None:
    named = {
        "account", "auditevent", "balancereading", "booking", "country", "order", "product", "purchase",
        "purchasestep", "simcard", "smsgap", "syncstate", "user",
    }  # fmt: skip
    assert {model._meta.model_name for model in django_admin.site._registry} == named
    assert apps.get_model("dashboard", "Sms") not in django_admin.site._registry


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


# People


def person_form(person: User, **fields: Any) -> dict[str, Any]:
    values = {"username": person.username, "is_active": "on", "theme": "", "time_zone": ""}
    return {**NO_MEMBERS, **values, **fields}


def test_a_person_is_made_with_a_password_and_a_membership(panel: Client, account: Account) -> None:
    data = {"username": "nina", "password1": "long-enough-7531", "password2": "long-enough-7531", **NO_MEMBERS}
    panel.post("/admin/dashboard/user/add/", data)
    nina = User.objects.get(username="nina")
    assert nina.check_password("long-enough-7531")
    assert not nina.is_staff
    member = {
        "memberships-TOTAL_FORMS": "1",
        "memberships-0-account": str(account.pk),
        "memberships-0-role": "operator",
        "memberships-0-user": str(nina.pk),
    }
    panel.post(f"/admin/dashboard/user/{nina.pk}/change/", {**person_form(nina), **member})
    assert Membership.objects.get(user=nina).role == "operator"
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["user.created", "membership.given"]
    assert AuditEvent.objects.get(action="membership.given").account == account


def test_a_role_is_changed_and_taken_away_on_record(panel: Client, account: Account, operator: Any) -> None:
    member = Membership.objects.get(user=operator)
    row = {
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": str(member.pk),
        "memberships-0-user": str(operator.pk),
        "memberships-0-account": str(account.pk),
        "memberships-0-role": "manager",
    }
    panel.post(change_url(account), {**form_of(account), **row})
    assert Membership.objects.get(user=operator).role == "manager"
    panel.post(change_url(account), {**form_of(account), **row, "memberships-0-DELETE": "on"})
    assert not Membership.objects.filter(user=operator).exists()
    events = list(AuditEvent.objects.order_by("pk").values_list("action", "details"))
    assert events == [
        ("membership.changed", {"person": "operator", "role": "manager"}),
        ("membership.taken", {"person": "operator", "role": "manager"}),
    ]


def test_a_person_becomes_admin_and_back_and_is_switched_off(panel: Client, operator: Any) -> None:
    url = f"/admin/dashboard/user/{operator.pk}/change/"
    panel.post(url, person_form(operator, is_superuser="on"))
    operator.refresh_from_db()
    assert operator.is_superuser
    assert operator.is_staff
    panel.post(url, person_form(operator, is_active=""))
    operator.refresh_from_db()
    assert not operator.is_superuser
    assert not operator.is_staff
    assert not operator.is_active
    assert [event.details["fields"] for event in AuditEvent.objects.order_by("pk")] == [
        ["is_superuser"],
        ["is_active", "is_superuser"],
    ]


def test_nobody_shuts_themselves_out_and_one_admin_stays(panel: Client, admin: Any) -> None:
    url = f"/admin/dashboard/user/{admin.pk}/change/"
    for fields in ({}, {"is_superuser": "on", "is_active": ""}):
        response = panel.post(url, person_form(admin, **fields))
        assert "You cannot take the admin" in words(response)
    admin.refresh_from_db()
    assert admin.is_superuser
    assert admin.is_active


def test_a_time_zone_must_exist(panel: Client, operator: Any) -> None:
    url = f"/admin/dashboard/user/{operator.pk}/change/"
    assert "There is no such time zone." in words(panel.post(url, person_form(operator, time_zone="Mars/Base")))
    panel.post(url, person_form(operator, time_zone="Europe/Berlin"))
    operator.refresh_from_db()
    assert operator.time_zone == "Europe/Berlin"


def test_a_password_is_set_on_record_without_standing_there(panel: Client, operator: Any) -> None:
    data = {"password1": "brand-new-9753", "password2": "brand-new-9753"}
    panel.post(f"/admin/dashboard/user/{operator.pk}/password/", data)
    operator.refresh_from_db()
    assert operator.check_password("brand-new-9753")
    event = AuditEvent.objects.get()
    assert (event.action, event.details) == ("user.password_set", {})


# The sync rows


def test_chosen_kinds_are_read_now(panel: Client, account: Account) -> None:
    states = make_sync_states(account, due_at=timezone.now() + timedelta(hours=1))
    data = {"action": "sync_now", "_selected_action": [states[0].pk, states[1].pk]}
    response = panel.post("/admin/dashboard/syncstate/", data, follow=True)
    assert "2 being read now." in words(response)
    assert SyncState.objects.filter(due_at__lte=timezone.now()).count() == 2
    assert AuditEvent.objects.get().details == {"kinds": sorted([states[0].kind, states[1].kind])}


def test_a_paused_account_is_not_read_now(panel: Client, account: Account) -> None:
    states = make_sync_states(account, due_at=timezone.now() + timedelta(hours=1))
    Account.objects.update(enabled=False)
    data = {"action": "sync_now", "_selected_action": [states[0].pk]}
    assert "the accounts are paused" in words(panel.post("/admin/dashboard/syncstate/", data, follow=True))
    assert not AuditEvent.objects.exists()


# Cost


def test_the_list_of_accounts_says_in_words_whether_they_may_spend(panel: Client, account: Account) -> None:
    url = "/admin/dashboard/account/"
    assert "allowed" in panel.get(url).content.decode()
    Account.objects.update(spending_stopped=True)
    assert "stopped" in panel.get(url).content.decode()


def test_a_person_is_shown_without_how_their_password_is_hashed(panel: Client, viewer: User) -> None:
    url = f"/admin/dashboard/user/{viewer.pk}/change/"
    assert "<strong>Set</strong>" in panel.get(url).content.decode()
    assert "argon2" not in panel.get(url).content.decode()
    viewer.set_unusable_password()
    viewer.save()
    assert "<strong>Not set</strong>" in panel.get(url).content.decode()


def test_lists_cost_a_fixed_number_of_queries(panel: Client, account: Account) -> None:
    for _ in range(10):
        make_booking(account)
    few = len(statements_of(panel, "/admin/dashboard/booking/"))
    for _ in range(50):
        make_booking(account)
    assert len(statements_of(panel, "/admin/dashboard/booking/")) == few


def test_a_list_counts_no_further_than_it_must(
    panel: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedPaginator, "MOST", 60)
    for _ in range(70):
        make_order(account)
    response = panel.get("/admin/dashboard/order/")
    assert response.context["cl"].result_count == 60
    counts = [sql for sql in statements_of(panel, "/admin/dashboard/order/") if "COUNT(" in sql]
    assert all("LIMIT 60" in sql for sql in counts)


def test_an_account_with_many_members_costs_no_more(panel: Client, account: Account) -> None:
    def add(number: int) -> None:
        Membership.objects.create(user=User.objects.create(username=f"u{number}"), account=account)

    add(1)
    few = len(statements_of(panel, change_url(account)))
    for number in range(2, 20):
        add(number)
    assert len(statements_of(panel, change_url(account))) == few


@pytest.mark.parametrize(
    ("term", "count"), [("+49 1523 4000001", 1), ("4915234000001", 1), ("815", 1), ("no such", 0), ("%00", 0), ("", 2)]
)
def test_bookings_are_found_by_id_or_number(panel: Client, account: Account, term: str, count: int) -> None:
    make_booking(account, remote_id=815, number="+4915234000001" if term != "815" else "+4900")
    make_booking(account, number="+4915234000002")
    response = panel.get("/admin/dashboard/booking/", {"q": term})
    assert response.context["cl"].result_count == count


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


def test_times_are_written_as_on_our_own_pages(panel: Client, account: Account) -> None:
    at = timezone.now().replace(month=11, day=5, hour=14, minute=2)
    make_sync_states(account, last_success_at=at)
    assert Clock(zone=UTC).full(at) in panel.get("/admin/dashboard/syncstate/").content.decode()
