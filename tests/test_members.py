"""The members' page: a manager sets roles below manager, and caps; nobody raises themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from dashboard.models import Account, AuditEvent, Membership, User

from .factories import make_account, make_purchase
from .query_plans import statements_of


@pytest.fixture
def page(manager: Any, confirmed: Any) -> Client:
    client = Client()
    client.force_login(manager)
    confirmed(client)
    return client


def member(person: Any) -> Membership:
    return Membership.objects.get(user=person)


def change(client: Client, person: Any, role: str = "operator", cap: str = "") -> Any:
    return client.post(f"/members/{member(person).pk}/", {"role": role, "daily_cap_usd": cap})


def test_a_manager_sees_roles_caps_and_what_was_spent_today(page: Client, account: Account, operator: Any) -> None:
    Membership.objects.filter(user=operator).update(daily_cap_usd=Decimal("20"))
    make_purchase(account, operator, price_usd=Decimal("3.10"))
    make_purchase(account, operator, price_usd=Decimal("9.99"), status="rejected")
    content = page.get("/members/").content.decode()
    row = content.partition(f'id="member-{member(operator).pk}"')[2].partition("</tr>")[0]
    for shown in ("operator", "Operator", "$3.10", "$20.00", f"/members/{member(operator).pk}/"):
        assert shown in row


def test_role_and_cap_are_set_and_stand_in_the_record(page: Client, operator: Any, account: Account) -> None:
    response = change(page, operator, "viewer", "12.50")
    assert (response.status_code, response["Location"]) == (303, "/members/")
    assert (member(operator).role, member(operator).daily_cap_usd) == ("viewer", Decimal("12.50"))
    event = AuditEvent.objects.get(action="membership.changed")
    assert event.account_id == account.pk
    assert event.details == {"person": "operator", "role": ["operator", "viewer"], "daily_cap_usd": ["", "12.50"]}


def test_what_is_not_changed_is_not_recorded(page: Client, operator: Any) -> None:
    assert change(page, operator, "operator").status_code == 303
    assert not AuditEvent.objects.filter(action="membership.changed").exists()


@pytest.mark.parametrize(
    ("role", "cap"),
    [("manager", ""), ("admin", ""), ("", ""), ("viewer", "-1"), ("viewer", "a lot"), ("viewer", "1e30")],
)
def test_what_may_not_be_or_is_no_sum_comes_back_with_what_was_typed(
    page: Client, operator: Any, role: str, cap: str
) -> None:
    response = change(page, operator, role, cap)
    assert response.status_code == 422
    assert f'value="{cap}"' in response.content.decode()
    assert (member(operator).role, member(operator).daily_cap_usd) == ("operator", None)


def test_managers_and_admins_are_not_a_managers_to_change(
    page: Client, account: Account, manager: Any, admin: Any
) -> None:
    other = User.objects.create_user("other-manager")
    Membership.objects.create(user=other, account=account, role="manager")
    Membership.objects.create(user=admin, account=account, role="viewer")
    content = page.get("/members/").content.decode()
    for person in (manager, other, admin):
        url = f"/members/{member(person).pk}/"
        assert url not in content
        for address in (url, f"{url}remove/"):
            assert page.get(address).status_code == 403
            assert page.post(address, {"role": "viewer"}).status_code == 403
    assert Membership.objects.count() == 3


def test_an_admin_makes_and_unmakes_managers(
    client: Client, admin: Any, operator: Any, manager: Any, confirmed: Any
) -> None:
    client.force_login(admin)
    confirmed(client)
    assert change(client, operator, "manager").status_code == 303
    assert change(client, manager, "viewer").status_code == 303
    assert (member(operator).role, member(manager).role) == ("manager", "viewer")


def test_who_is_taken_out_sees_nothing_any_more_at_once(page: Client, operator: Any, account: Account) -> None:
    theirs = Client()
    theirs.force_login(operator)
    assert account.name in theirs.get("/status/").content.decode()
    url = f"/members/{member(operator).pk}/remove/"
    assert "Take operator out of Shop?" in page.get(url).content.decode()
    assert page.post(url).status_code == 303
    assert account.name not in theirs.get("/status/").content.decode()
    assert AuditEvent.objects.get(action="membership.taken").details == {"person": "operator", "role": "operator"}
    assert page.post(url).status_code == 404


def test_who_was_made_a_manager_meanwhile_is_not_touched(
    page: Client, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboard.views import members

    def made_manager(*_: Any) -> bool:
        Membership.objects.filter(user=operator).update(role="manager")
        return True

    monkeypatch.setattr(members, "may_set", made_manager)
    assert change(page, operator, "viewer").status_code == 303
    assert member(operator).role == "manager"
    assert not AuditEvent.objects.filter(action="membership.changed").exists()


def test_who_proved_long_ago_who_they_are_is_asked_again_first(page: Client, operator: Any, confirmed: Any) -> None:
    confirmed(page, 24 * 3600)
    url = f"/members/{member(operator).pk}/"
    for address in (url, f"{url}remove/"):
        for method in (page.get, page.post):
            response = method(address, {"role": "viewer"})
            assert (response.status_code, response["Location"][:18]) == (303, "/accounts/confirm/")
    assert member(operator).role == "operator"


def test_only_the_accounts_that_one_manages_are_listed(page: Client, manager: Any, foreign_account: Account) -> None:
    read_only = make_account("Only read")
    Membership.objects.create(user=manager, account=read_only, role="viewer")
    stranger = User.objects.create_user("hidden-person")
    for account in (read_only, foreign_account):
        Membership.objects.create(user=stranger, account=account, role="viewer")
    main = page.get("/members/").content.decode().partition("<main")[2]
    assert "Shop" in main
    for hidden in ("Only read", "Elsewhere", "hidden-person"):
        assert hidden not in main
    assert "No account whose members you look after" in page.get(f"/members/?account={read_only.pk}").content.decode()


def test_the_page_is_there_for_managers_and_admins_only(
    client: Client, operator: Any, viewer: Any, stranger: Any
) -> None:
    for person in (operator, viewer, stranger):
        client.force_login(person)
        assert client.get("/members/").status_code == 404
        assert "/members/" not in client.get("/").content.decode()


def test_the_page_costs_the_same_whatever_the_number_of_members(page: Client, account: Account) -> None:
    few = len(statements_of(page, "/members/"))
    for number in range(30):
        person = User.objects.create_user(f"person-{number}")
        Membership.objects.create(user=person, account=account, role="operator")
        make_purchase(account, person)
    assert len(statements_of(page, "/members/")) == few


def test_a_hostile_name_is_inert(page: Client, account: Account) -> None:
    person = User.objects.create_user("<img src=x onerror=alert(1)>")
    Membership.objects.create(user=person, account=account, role="viewer")
    for url in ("/members/", f"/members/{member(person).pk}/", f"/members/{member(person).pk}/remove/"):
        content = page.get(url).content.decode()
        assert "<img" not in content
        assert "&lt;img" in content
