"""Authenticator apps and recovery codes: set up, asked for, used once, required of those who manage."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client, override_settings

from dashboard import encryption
from dashboard.live.viewer import _viewer_of
from dashboard.models import AuditEvent
from dashboard.sign_in import second_factor
from tests.second_factors import APP, code_of, recovery_codes_of, set_up_app, wrong_code_of

LOGIN, CODE, SECURITY = "/accounts/login/", "/accounts/login/code/", "/settings/security/"
NEEDED = "/settings/security/needed/"


def sign_in(client: Client, name: str = "viewer", **more: Any) -> Any:
    return client.post(LOGIN, {"username": name, "password": f"{name}-password", **more})


@pytest.fixture
def guarded(viewer: Any) -> str:
    """The secret of the viewer's app."""
    client = Client()
    sign_in(client)
    return set_up_app(client)


def test_with_an_app_the_password_alone_opens_nothing(client: Client, guarded: str) -> None:
    first = sign_in(client, next="/inbox/")
    assert first["Location"] == CODE
    assert client.get("/inbox/")["Location"].startswith(LOGIN)
    assert client.get(CODE).status_code == 200
    second = client.post(CODE, {"code": code_of(guarded)})
    assert second["Location"] == "/inbox/"
    assert client.get("/inbox/").status_code == 200


def test_the_second_step_is_nowhere_without_the_first(client: Client, guarded: str) -> None:
    assert client.get(CODE)["Location"] == LOGIN
    assert client.post(CODE, {"code": code_of(guarded)})["Location"] == LOGIN


def test_who_mistyped_their_name_starts_over(client: Client, guarded: str, operator: Any) -> None:
    sign_in(client)
    assert client.post("/accounts/logout/")["Location"] == LOGIN
    assert sign_in(client, "operator")["Location"] == "/"


def test_a_code_counts_once_and_spaces_do_not_matter(client: Client, guarded: str) -> None:
    sign_in(client)
    code = code_of(guarded)
    assert client.post(CODE, {"code": f"{code[:3]} {code[3:]}"}).status_code == 302
    other = Client()
    sign_in(other)
    again = other.post(CODE, {"code": code})
    assert again.status_code == 200
    assert "That code is not right." in again.content.decode()


def test_the_code_that_set_it_up_signs_nobody_in(client: Client, guarded: str) -> None:
    sign_in(client)
    assert client.post(CODE, {"code": code_of(guarded, time.time() - 30)}).status_code == 200
    assert client.get("/inbox/")["Location"].startswith(LOGIN)


def test_a_code_of_a_while_ago_is_not_right(client: Client, guarded: str) -> None:
    sign_in(client)
    assert client.post(CODE, {"code": code_of(guarded, time.time() - 120)}).status_code == 200


def test_codes_are_limited_like_passwords(client: Client, guarded: str) -> None:
    sign_in(client)
    answers = [client.post(CODE, {"code": wrong_code_of(guarded)}).status_code for _ in range(6)]
    assert answers == [200, 200, 429, 429, 429, 429]
    assert "Wait 5 seconds" in client.post(CODE, {"code": code_of(guarded)}).content.decode()
    assert (
        list(AuditEvent.objects.filter(action="sign_in.failed").values_list("details", flat=True))
        == [{"by": "code"}] * 2
    )


def test_recovery_codes_are_shown_once_and_each_lets_in_once(client: Client, viewer: Any) -> None:
    sign_in(client)
    set_up_app(client)
    codes = recovery_codes_of(client)
    assert len(set(codes)) == 10
    assert recovery_codes_of(client) == []
    assert "They were shown once" in client.get("/settings/security/codes/").content.decode()
    for expected in (302, 200):
        other = Client()
        sign_in(other)
        assert other.post(CODE + "?recovery", {"code": codes[0]}).status_code == expected
    assert "9 left" in client.get(SECURITY).content.decode()
    assert AuditEvent.objects.filter(action="recovery_code.used").count() == 1


def test_new_recovery_codes_end_the_old_ones(client: Client, viewer: Any) -> None:
    sign_in(client)
    set_up_app(client)
    old = recovery_codes_of(client)
    client.post("/settings/security/codes/new/")
    new = recovery_codes_of(client)
    assert not set(old) & set(new)
    other = Client()
    sign_in(other)
    assert [other.post(CODE, {"code": code}).status_code for code in (old[0], new[0])] == [200, 302]


def test_an_app_is_removed_with_the_recovery_codes(client: Client, viewer: Any) -> None:
    sign_in(client)
    set_up_app(client)
    assert client.post(APP + "remove/").status_code == 302
    assert not Authenticator.objects.exists()
    assert sign_in(Client())["Location"] == "/"
    removed = AuditEvent.objects.filter(action="second_factor.removed").values_list("details__kind", flat=True)
    assert set(removed) == {"totp", "recovery_codes"}


@pytest.mark.parametrize(
    "path", [APP, APP + "remove/", "/settings/security/codes/", "/settings/security/codes/new/", SECURITY + "keys/add/"]
)
def test_second_factors_are_changed_with_a_fresh_proof_only(
    client: Client, viewer: Any, confirmed: Callable[..., None], path: str
) -> None:
    sign_in(client)
    set_up_app(client)
    confirmed(client, seconds_ago=601)
    for ask in (client.get, client.post):
        answer = ask(path)
        if answer.status_code == 405:
            continue
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (303, "/accounts/confirm/")


def test_a_fragment_that_needs_a_proof_leads_the_whole_page_and_back_to_it(
    client: Client, viewer: Any, confirmed: Callable[..., None]
) -> None:
    sign_in(client)
    confirmed(client, seconds_ago=601)
    for page, back in (("http://testserver/settings/?a=1", "%2Fsettings%2F%3Fa%3D1"), ("http://evil.example/x", "%2F")):
        answer = client.post(APP, headers={"HX-Request": "true", "HX-Current-URL": page})
        assert (answer.status_code, answer["HX-Redirect"]) == (403, f"/accounts/confirm/?next={back}")


def test_a_code_of_the_app_confirms_too(client: Client, guarded: str, confirmed: Callable[..., None]) -> None:
    sign_in(client)
    client.post(CODE, {"code": code_of(guarded)})
    confirmed(client, seconds_ago=601)
    assert (
        "/accounts/confirm/code/"
        in client.get("/accounts/confirm/?next=/settings/security/app/remove/").content.decode()
    )
    answer = client.post(
        "/accounts/confirm/code/", {"code": code_of(guarded, time.time() + 30), "next": APP + "remove/"}
    )
    assert answer["Location"] == APP + "remove/"
    assert client.get(APP + "remove/").status_code == 200


def test_the_secret_is_sealed_from_the_first_page_on(client: Client, viewer: Any) -> None:
    sign_in(client)
    page = client.get(APP).content.decode()
    secret = page.split('id="secret">')[1].split("<")[0]
    sessions = str([session.get_decoded() for session in Session.objects.all()])
    assert secret not in sessions
    client.post(APP, {"code": code_of(secret)})
    stored = str(list(Authenticator.objects.values("data")))
    assert secret not in stored
    assert client.session.get("mfa.totp.secret") is None


def test_a_secret_copied_to_another_person_is_refused(client: Client, guarded: str, operator: Any) -> None:
    viewers = Authenticator.objects.get(type="totp")
    Authenticator.objects.create(user=operator, type="totp", data=viewers.data)
    sign_in(client, "operator")
    refused = client.post(CODE, {"code": code_of(guarded)})
    assert refused.status_code == 200
    assert "cannot be read" in refused.content.decode()


def test_after_a_rotation_the_old_key_is_not_needed(client: Client, stranger: Any) -> None:
    with override_settings(FIELD_KEYS=["old"]):
        sign_in(client, "stranger")
        secret = set_up_app(client)
        codes = recovery_codes_of(client)
    with override_settings(FIELD_KEYS=["new", "old"]):
        call_command("rotate_field_keys", verbosity=0)
    with override_settings(FIELD_KEYS=["new"]):
        for code in (code_of(secret), codes[3]):
            other = Client()
            sign_in(other, "stranger")
            assert other.post(CODE, {"code": code}).status_code == 302


def test_a_rotation_loses_no_code_that_is_used_meanwhile(viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is locked: what a sign-in writes comes before the rotation reads, or after it wrote."""
    from dashboard.management.commands import rotate_field_keys

    client = Client()
    sign_in(client)
    set_up_app(client)
    codes = recovery_codes_of(client)
    plain = encryption.reseal
    used = Client()
    sign_in(used)

    def slow(token: str) -> str:
        monkeypatch.setattr(encryption, "reseal", plain)
        return plain(token)

    monkeypatch.setattr(encryption, "reseal", slow)
    assert used.post(CODE, {"code": codes[0]}).status_code == 302
    for pk in Authenticator.objects.values_list("pk", flat=True):
        rotate_field_keys._reseal_factor(pk)
    again = Client()
    sign_in(again)
    assert again.post(CODE, {"code": codes[0]}).status_code == 200
    assert again.post(CODE, {"code": codes[1]}).status_code == 302


class TestRequired:
    @pytest.fixture(autouse=True)
    def _required(self, settings: Any) -> None:
        settings.MFA_REQUIRED = True

    @pytest.mark.parametrize("name", ["admin", "manager"])
    def test_who_manages_is_led_to_set_one_up_whatever_they_ask_for(
        self, client: Client, request: pytest.FixtureRequest, name: str
    ) -> None:
        request.getfixturevalue(name)
        sign_in(client, name)
        for path in ("/", "/inbox/", "/panels/shell/", "/admin/", "/settings/", SECURITY, "/nowhere/"):
            assert client.get(path).status_code in (303, 404), path
        assert client.get("/")["Location"] == NEEDED
        assert client.post("/settings/", {"first_name": "Eve"})["Location"] == NEEDED
        fragment = client.get("/panels/shell/", headers={"HX-Request": "true"})
        assert (fragment.status_code, fragment["HX-Redirect"], fragment.content) == (403, NEEDED, b"")
        assert client.get(NEEDED).status_code == 200
        set_up_app(client)
        assert client.get("/").status_code == 200
        assert client.get(NEEDED)["Location"] == SECURITY

    def test_the_pages_that_set_one_up_hold_nothing_that_polls_and_nothing_of_the_accounts(
        self, client: Client, admin: Any, account: Any
    ) -> None:
        """A panel that asks again would be led away, and the whole page with it."""
        type(account).objects.update(balance_usd="77.31")
        sign_in(client, "admin")
        for path in (NEEDED, APP, SECURITY + "keys/add/"):
            page = client.get(path)
            assert page.status_code == 200
            content = page.content.decode()
            assert "hx-get" not in content
            assert "77.31" not in content
            assert "<h1>" in content
        set_up_app(client)
        assert "77.31" in client.get(SECURITY + "keys/add/").content.decode()

    def test_the_stream_is_closed_to_them_too(self, client: Client, manager: Any) -> None:
        sign_in(client, "manager")
        key = str(client.session.session_key)
        assert _viewer_of(key) is None
        set_up_app(client)
        assert _viewer_of(key) is not None

    def test_others_may_do_without(self, client: Client, operator: Any) -> None:
        sign_in(client, "operator")
        assert client.get("/").status_code == 200

    def test_somebody_who_becomes_a_manager_is_led_at_the_next_page(self, client: Client, operator: Any) -> None:
        sign_in(client, "operator")
        operator.is_superuser = True
        operator.save()
        assert client.get("/")["Location"] == NEEDED

    def test_the_last_one_stays(self, client: Client, manager: Any) -> None:
        sign_in(client, "manager")
        set_up_app(client)
        assert "You need a second factor" in client.post(APP + "remove/").content.decode()
        assert second_factor.factors_of(manager).count() == 1

    def test_leaving_is_always_possible(self, client: Client, manager: Any) -> None:
        sign_in(client, "manager")
        assert client.post("/accounts/logout/")["Location"] == LOGIN


@pytest.mark.parametrize(
    ("origins", "said", "expected"),
    [
        ("", "", False),
        ("https://a.example", "", True),
        ("http://a.example", "", False),
        ("https://a.example", "0", False),
    ],
)
def test_it_is_required_where_the_site_is_served_over_tls(
    origins: str, said: str, expected: bool, tmp_path: Any
) -> None:
    from tests.production import setting

    assert setting("MFA_REQUIRED", tmp_path, CSRF_TRUSTED_ORIGINS=origins, MFA_REQUIRED=said) == str(expected)
