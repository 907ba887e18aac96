"""Invites: a link, one person, once, within 72 hours; nobody signs up otherwise."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Account, AuditEvent, Invite, Membership, User

PERSON = {"username": "newcomer", "password1": "tall-orange-bicycle", "password2": "tall-orange-bicycle"}


def invite(client: Client, account: Account | None, role: str = "operator", **more: str) -> str:
    """The path of the link that the page shows."""
    values = {"account": str(account.pk) if account else "", "role": role, "label": "Nia", **more}
    response = client.post("/invites/", values)
    assert response.status_code == 200, response.content.decode()
    found = re.search(r'id="invite-link">http://testserver(/join/[^<]+)<', response.content.decode())
    assert found is not None
    return found[1]


@pytest.fixture
def by_admin(admin: Any, confirmed: Any) -> Client:
    client = Client()
    client.force_login(admin)
    confirmed(client)
    return client


@pytest.fixture
def by_manager(manager: Any, confirmed: Any) -> Client:
    client = Client()
    client.force_login(manager)
    confirmed(client)
    return client


def test_who_has_not_proved_lately_who_they_are_is_asked_first(
    by_manager: Client, account: Account, confirmed: Any
) -> None:
    confirmed(by_manager, seconds_ago=3600)
    response = by_manager.post("/invites/", {"account": account.pk, "role": "viewer"})
    assert response["Location"].startswith("/accounts/confirm/")
    assert not Invite.objects.exists()


def test_the_link_shows_who_invited_and_to_what(client: Client, by_manager: Client, account: Account) -> None:
    path = invite(by_manager, account, daily_cap_usd="20")
    content = client.get(path).content.decode()
    assert "<b>manager</b> invites you to <b>Shop</b> as <b>operator</b>" in content
    assert "$20.00 a day" in content


def test_who_joins_is_signed_in_with_role_and_cap(client: Client, by_manager: Client, account: Account) -> None:
    path = invite(by_manager, account, daily_cap_usd="20")

    response = client.post(path, PERSON)

    assert (response.status_code, response["Location"]) == (303, "/settings/security/")
    assert "Welcome, you are in." in client.get("/settings/security/").content.decode()
    member = Membership.objects.get(user__username="newcomer")
    assert (member.account, member.role, member.daily_cap_usd) == (account, "operator", Decimal(20))
    assert client.get("/").status_code == 200
    joined = AuditEvent.objects.get(action="member.joined")
    assert joined.user == member.user
    assert joined.details == {"person": "newcomer", "role": "operator"}


def test_who_joins_may_give_an_address_for_a_forgotten_password(
    client: Client, by_manager: Client, account: Account
) -> None:
    assert client.post(invite(by_manager, account), {**PERSON, "email": "nia@example.org"}).status_code == 303
    assert User.objects.get(username="newcomer").email == "nia@example.org"


def test_a_link_works_once(client: Client, by_manager: Client, account: Account) -> None:
    path = invite(by_manager, account)
    client.post(path, PERSON)
    second = Client().post(path, {**PERSON, "username": "another"})
    assert second.status_code == 404
    assert "does not work any more" in second.content.decode()
    assert not User.objects.filter(username="another").exists()


def test_of_two_who_use_a_link_at_once_one_joins_and_no_person_is_left_over(
    by_manager: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = invite(by_manager, account)
    taken = Invite.objects.get()
    found = type(Invite.objects).behind

    def late(objects: Any, token: str) -> Invite | None:
        row: Invite | None = found(objects, token)
        Invite.objects.filter(pk=taken.pk).update(used_at=timezone.now())
        return row

    monkeypatch.setattr(type(Invite.objects), "behind", late)
    assert Client().post(path, PERSON).status_code == 404
    assert not User.objects.filter(username="newcomer").exists()


def test_a_link_ends_after_72_hours(client: Client, by_manager: Client, account: Account) -> None:
    path = invite(by_manager, account)
    assert Invite.objects.get().expires_at - Invite.objects.get().created_at >= timedelta(hours=71, minutes=59)
    Invite.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get(path).status_code == 404
    assert client.post(path, PERSON).status_code == 404


def test_a_link_can_be_taken_back(client: Client, by_manager: Client, account: Account) -> None:
    path = invite(by_manager, account)
    by_manager.post(f"/invites/{Invite.objects.get().pk}/revoke/")
    assert client.get(path).status_code == 404
    assert "Nobody is invited" in by_manager.get("/invites/").content.decode()


def test_a_link_is_worth_no_more_than_who_gave_it(
    client: Client, by_manager: Client, manager: User, account: Account
) -> None:
    path = invite(by_manager, account)
    Membership.objects.filter(user=manager).update(role="operator")
    assert client.get(path).status_code == 404
    Membership.objects.filter(user=manager).update(role="manager")
    assert client.get(path).status_code == 200
    User.objects.filter(pk=manager.pk).update(is_active=False)
    assert client.post(path, PERSON).status_code == 404


def test_only_a_digest_of_the_link_is_stored(by_manager: Client, account: Account) -> None:
    token = invite(by_manager, account).split("/")[2]
    stored = Invite.objects.values().get()
    assert token not in str(stored)
    assert token not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize("role", ["manager", "admin"])
def test_a_manager_invites_to_roles_below_their_own(by_manager: Client, account: Account, role: str) -> None:
    assert by_manager.post("/invites/", {"account": account.pk, "role": role}).status_code == 422
    assert not Invite.objects.exists()


def test_a_manager_invites_to_no_foreign_account(by_manager: Client, foreign_account: Account) -> None:
    response = by_manager.post("/invites/", {"account": foreign_account.pk, "role": "viewer"})
    assert response.status_code == 422
    assert "Elsewhere" not in response.content.decode()


def test_a_manager_sees_and_takes_back_invites_to_their_accounts_only(
    by_admin: Client, by_manager: Client, account: Account, foreign_account: Account
) -> None:
    invite(by_admin, foreign_account)
    assert "Elsewhere" not in by_manager.get("/invites/").content.decode()
    assert by_manager.post(f"/invites/{Invite.objects.get().pk}/revoke/").status_code == 404
    assert Invite.objects.open().count() == 1


def test_an_admin_invites_admins(client: Client, by_admin: Client, account: Account) -> None:
    path = invite(by_admin, None, "admin")
    assert "as <b>admin</b>" in client.get(path).content.decode()
    client.post(path, PERSON)
    assert User.objects.get(username="newcomer").is_superuser


@pytest.mark.parametrize("who", ["operator", "viewer", "stranger"])
def test_others_do_not_know_the_page(client: Client, account: Account, request: Any, who: str) -> None:
    client.force_login(request.getfixturevalue(who))
    assert client.get("/invites/").status_code == 404
    assert client.post("/invites/", {"account": account.pk, "role": "viewer"}).status_code == 404


def test_who_is_signed_in_already_joins_as_themselves(
    client: Client, by_manager: Client, stranger: User, account: Account
) -> None:
    path = invite(by_manager, account, "viewer")
    client.force_login(stranger)
    assert "Join as stranger" in client.get(path).content.decode()
    assert client.post(path).status_code == 303
    assert Membership.objects.get(user=stranger).role == "viewer"


@pytest.mark.parametrize(("had", "gets"), [("viewer", "operator"), ("manager", "manager")])
def test_who_is_a_member_gains_by_an_invite_and_never_loses(
    client: Client, by_manager: Client, stranger: User, account: Account, had: str, gets: str
) -> None:
    Membership.objects.create(user=stranger, account=account, role=had)
    path = invite(by_manager, account, "operator")
    client.force_login(stranger)
    client.post(path)
    assert Membership.objects.get(user=stranger).role == gets


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"username": "Manager"}, "Somebody has this user name already"),
        ({"password2": "other"}, "password"),
        ({"password1": "12345", "password2": "12345"}, "too short"),
        ({"username": "a b<script>"}, "valid username"),
        ({"email": "nowhere<script>"}, "valid email address"),
    ],
)
def test_what_is_wrong_is_said_and_the_link_still_works(
    client: Client, by_manager: Client, account: Account, values: dict[str, str], words: str
) -> None:
    path = invite(by_manager, account)
    response = client.post(path, {**PERSON, **values})
    assert response.status_code == 422
    assert words in response.content.decode()
    assert "<script>" not in response.content.decode().split("</head>")[1]
    assert client.post(path, PERSON).status_code == 303


def test_rights_cannot_be_posted_along(client: Client, by_manager: Client, account: Account) -> None:
    client.post(invite(by_manager, account, "viewer"), {**PERSON, "is_superuser": "on", "role": "manager"})
    user = User.objects.get(username="newcomer")
    assert not user.is_superuser
    assert user.memberships.get().role == "viewer"


@pytest.mark.parametrize("token", ["x", "x" * 3000, "%00", "%F0%9F%92%A9"])
def test_an_invented_link_is_told_apart_from_nothing(client: Client, db: None, token: str) -> None:
    assert client.get(f"/join/{token}/").status_code == 404
