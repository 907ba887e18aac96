"""The list of open sessions, their end, and that nobody who is out sees anything more."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.live.viewer import _viewer_of
from dashboard.models import AuditEvent, Membership, User
from dashboard.sign_in import sessions
from dashboard.sign_in.devices import device_words

LOGIN, SECURITY = "/accounts/login/", "/settings/security/"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile/15E1 Safari/604.1"
)


def signed_in(name: str = "viewer", agent: str = FIREFOX, address: str = "192.0.2.1") -> Client:
    client = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    response = client.post(LOGIN, {"username": name, "password": f"{name}-password"})
    assert response.status_code == 302
    return client


def text_of(client: Client) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", client.get(SECURITY).content.decode()))


def key_of(client: Client) -> str:
    return str(client.session.session_key)


def test_each_session_is_listed_with_device_and_place_and_this_one_is_marked(viewer: Any, operator: Any) -> None:
    here = signed_in()
    signed_in(agent=SAFARI, address="198.51.100.9")
    signed_in("operator", address="203.0.113.250")
    text = text_of(here)
    assert "Firefox on Windows This one 192.0.2.1" in text
    assert "Safari on iPhone 198.51.100.9" in text
    assert "203.0.113.250" not in text


def test_one_is_ended_and_sees_nothing_more_at_once(viewer: Any) -> None:
    here, there = signed_in(), signed_in(agent=SAFARI)
    key = key_of(there)
    assert _viewer_of(key) is not None
    row = UserSession.objects.get(session_key=key)
    assert here.post(f"{SECURITY}sessions/{row.pk}/end/").status_code == 303
    assert there.get("/")["Location"].startswith(LOGIN)
    assert there.get("/panels/shell/", headers={"HX-Request": "true"}).status_code == 401
    assert _viewer_of(key) is None
    assert here.get("/").status_code == 200
    event = AuditEvent.objects.get(action="session.ended")
    assert event.details == {"device": "Safari on iPhone", "place": "192.0.2.1"}


def test_all_others_are_ended(viewer: Any) -> None:
    here, *others = (signed_in() for _ in range(4))
    here.post(f"{SECURITY}sessions/end/")
    assert [client.get("/").status_code for client in (here, *others)] == [200, 302, 302, 302]
    assert UserSession.objects.count() == 1


def test_the_session_of_somebody_else_is_not_there(viewer: Any, operator: Any) -> None:
    here, theirs = signed_in(), signed_in("operator")
    row = UserSession.objects.get(user=operator)
    assert here.post(f"{SECURITY}sessions/{row.pk}/end/").status_code == 404
    assert here.post(f"{SECURITY}sessions/{2**63}/end/").status_code == 404
    assert theirs.get("/").status_code == 200


def test_signing_out_takes_it_off_the_list(viewer: Any) -> None:
    here, there = signed_in(), signed_in(agent=SAFARI)
    there.post("/accounts/logout/")
    assert "Safari" not in text_of(here)


def test_a_new_password_ends_the_others_and_keeps_this_one(viewer: Any) -> None:
    here, there = signed_in(), signed_in(agent=SAFARI)
    key = key_of(there)
    new = {"oldpassword": "viewer-password", "password1": "a-new-word-for-it", "password2": "a-new-word-for-it"}
    assert here.post(f"{SECURITY}password/", new)["Location"] == SECURITY
    assert there.get("/")["Location"].startswith(LOGIN)
    assert _viewer_of(key) is None
    text = text_of(here)
    assert "This one" in text
    assert "Safari" not in text
    assert AuditEvent.objects.filter(action="password.changed").count() == 1


@pytest.mark.parametrize("how", ["switched off", "no member any more", "downgraded"])
def test_who_may_no_more_sees_nothing_more(operator: Any, account: Any, how: str) -> None:
    client = signed_in("operator")
    key = key_of(client)
    if how == "switched off":
        User.objects.filter(pk=operator.pk).update(is_active=False)
        assert client.get("/")["Location"].startswith(LOGIN)
        assert _viewer_of(key) is None
    elif how == "no member any more":
        Membership.objects.all().delete()
        assert "Shop" not in client.get("/").content.decode()
        viewer = _viewer_of(key)
        assert viewer is not None
        assert viewer.accounts == frozenset()
    else:
        Membership.objects.update(role="viewer")
        assert client.post(f"/bookings/renewal/{account.pk}/", {"on": "1"}).status_code in (403, 404)


def test_who_is_switched_off_and_on_again_signs_in_anew(operator: Any, admin: Any) -> None:
    client, panel = signed_in("operator"), signed_in("admin")
    path = f"/admin/dashboard/user/{operator.pk}/change/"
    form = {"username": "operator", "memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    assert panel.post(path, form).status_code == 302
    assert not User.objects.get(pk=operator.pk).is_active
    assert panel.post(path, {**form, "is_active": "on"}).status_code == 302
    assert client.get("/")["Location"].startswith(LOGIN)


def test_the_list_costs_the_same_with_few_and_with_many(viewer: Any) -> None:
    here = signed_in()
    here.get(SECURITY)
    with CaptureQueriesContext(connection) as few:
        here.get(SECURITY)
    for number in range(6):
        signed_in(address=f"192.0.2.{number + 10}")
    with CaptureQueriesContext(connection) as many:
        here.get(SECURITY)
    assert len(many) == len(few)


def test_that_it_is_used_is_written_once_in_five_minutes_at_most(viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = signed_in()
    moment = timezone.now() - timedelta(days=1)
    UserSession.objects.update(last_seen_at=moment)
    monkeypatch.setattr(sessions, "_written", {})
    here.get("/")
    first = UserSession.objects.get().last_seen_at
    assert first > moment
    here.get("/")
    assert UserSession.objects.get().last_seen_at == first


def test_it_follows_the_browser_to_another_place(viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = signed_in()
    monkeypatch.setattr(sessions, "_written", {})
    here.get("/", REMOTE_ADDR="198.51.100.77")
    assert UserSession.objects.get().ip == "198.51.100.77"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        (SAFARI, "Safari on iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/156.0 Safari/537.36 Edg/156.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/156.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.9", "A program"),
        ("<script>alert(1)</script>", "Unknown device"),
        ("", "Unknown device"),
    ],
)
def test_a_device_is_named_as_people_call_it(agent: str, words: str) -> None:
    assert device_words(agent) == words
