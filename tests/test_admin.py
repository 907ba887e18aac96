"""The admin panel: who may enter, what is not there, people and their roles, and what its lists cost."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin as django_admin
from django.test import Client
from django.utils import timezone

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

from .admin_panel import NO_MEMBERS, change_url, form_of, words
from .admin_panel import panel as panel
from .admin_panel import queue as queue
from .factories import make_booking, make_order, make_product, make_sms, make_sync_states
from .query_plans import statements_of

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


def test_times_are_written_as_on_our_own_pages(panel: Client, account: Account) -> None:
    at = timezone.now().replace(month=11, day=5, hour=14, minute=2)
    make_sync_states(account, last_success_at=at)
    assert Clock(zone=UTC).full(at) in panel.get("/admin/dashboard/syncstate/").content.decode()
