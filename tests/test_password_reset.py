"""A forgotten password: by mail where it is set up, by manage.py where it is not. Nobody learns who has an account."""

from __future__ import annotations

import re
import threading
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.test import Client

from dashboard.models import AuditEvent, User
from dashboard.sign_in import limits
from dashboard.views import sign_in as views
from tests.second_factors import set_up_app

LOGIN, ASK = "/accounts/login/", "/accounts/password/"
NEW = {"password1": "a-new-word-for-it", "password2": "a-new-word-for-it"}


def sign_in(client: Client, password: str = "viewer-password") -> Any:
    return client.post(LOGIN, {"username": "viewer", "password": password})


@pytest.fixture
def mail(settings: Any, monkeypatch: pytest.MonkeyPatch, viewer: Any) -> None:
    """A mail server; viewer's address is viewer@example.org. Mail is sent before the answer comes, not after."""
    settings.MAIL_IS_SET_UP = True
    monkeypatch.setattr(views.AskReset, "extra_context", {"mail": True})
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)
    User.objects.filter(pk=viewer.pk).update(email="viewer@example.org")


def link_in(text: str) -> str:
    found = re.search(r"http://[^/\s]+(/accounts/password/\S+)", text)
    assert found, text
    return found[1]


def test_a_link_comes_by_mail_works_once_and_ends_the_sessions(mail: None, mailoutbox: Any, viewer: Any) -> None:
    old = Client()
    sign_in(old)
    client = Client()
    assert client.post(ASK, {"email": "Viewer@example.org"})["Location"] == ASK + "sent/"
    assert [message.to for message in mailoutbox] == [["viewer@example.org"]]
    link = link_in(mailoutbox[0].body)
    page = client.get(link, follow=True)
    assert page.status_code == 200
    assert link not in page.content.decode()
    done = client.post(page.request["PATH_INFO"], NEW)
    assert done["Location"] == ASK + "changed/"
    assert old.get("/")["Location"].startswith(LOGIN)
    assert sign_in(Client()).status_code == 200
    assert sign_in(Client(), NEW["password1"]).status_code == 302
    assert "This link is over" in Client().get(link).content.decode()
    assert AuditEvent.objects.filter(action="password.reset").count() == 1
    assert link not in str(list(AuditEvent.objects.values()))


def test_an_address_that_is_nobodys_is_answered_the_same(mail: None, mailoutbox: Any) -> None:
    answers = [Client().post(ASK, {"email": address}) for address in ("viewer@example.org", "nobody@example.org")]
    assert len({(answer.status_code, answer["Location"]) for answer in answers}) == 1
    assert len(mailoutbox) == 1


def test_somebody_switched_off_gets_no_mail(mail: None, mailoutbox: Any, viewer: Any) -> None:
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    Client().post(ASK, {"email": "viewer@example.org"})
    assert mailoutbox == []


def test_nobody_fills_the_mailbox_of_another(mail: None, mailoutbox: Any) -> None:
    answers = [Client().post(ASK, {"email": "viewer@example.org"}).status_code for _ in range(10)]
    assert len(mailoutbox) == answers.count(302) == limits.FREE
    assert answers[-1] == 429


def test_a_mail_server_that_is_away_breaks_no_page_and_no_log_line_has_the_link(
    mail: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from django.core.mail import EmailMessage

    def away(self: EmailMessage) -> int:
        raise ConnectionRefusedError("no mail for viewer@example.org")

    monkeypatch.setattr(EmailMessage, "send", away)
    assert Client().post(ASK, {"email": "viewer@example.org"}).status_code == 302
    assert "ConnectionRefusedError" in caplog.text
    assert "viewer@" not in caplog.text
    assert "/accounts/password/" not in caplog.text


def test_a_weak_password_is_refused_with_the_reason(mail: None, mailoutbox: Any) -> None:
    client = Client()
    client.post(ASK, {"email": "viewer@example.org"})
    page = client.get(link_in(mailoutbox[0].body), follow=True)
    answer = client.post(page.request["PATH_INFO"], {"password1": "12345", "password2": "12345"})
    assert "too short" in answer.content.decode()


def test_a_second_factor_is_still_asked_for_after_a_reset(mail: None, mailoutbox: Any) -> None:
    client = Client()
    sign_in(client)
    set_up_app(client)
    other = Client()
    other.post(ASK, {"email": "viewer@example.org"})
    page = other.get(link_in(mailoutbox[0].body), follow=True)
    other.post(page.request["PATH_INFO"], NEW)
    assert sign_in(other, NEW["password1"])["Location"] == "/accounts/login/code/"


def test_without_mail_the_page_says_whom_to_ask(client: Client, viewer: Any) -> None:
    assert "Ask your admin" in client.get(LOGIN).content.decode()
    assert "Ask your admin" in client.get(ASK).content.decode()
    assert client.post(ASK, {"email": "viewer@example.org"}).status_code == 404


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("reset_password", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_sets_a_password_and_ends_the_sessions(viewer: Any) -> None:
    old = Client()
    sign_in(old)
    password = run("viewer").strip().rpartition(" ")[2]
    assert old.get("/")["Location"].startswith(LOGIN)
    assert sign_in(Client(), password).status_code == 302
    event = AuditEvent.objects.get(action="password.reset")
    assert (event.role, event.object_text) == ("console", "viewer")
    assert password not in str(event.details)


def test_the_command_lets_in_who_lost_their_second_factor(viewer: Any) -> None:
    client = Client()
    sign_in(client)
    set_up_app(client)
    password = run("viewer", "--without-mfa").strip().rpartition(" ")[2]
    assert not Authenticator.objects.exists()
    assert sign_in(Client(), password)["Location"] == "/"
    assert AuditEvent.objects.filter(action="second_factor.removed", details__kind="all").count() == 1


def test_the_command_makes_a_link_instead(viewer: Any) -> None:
    link = link_in(run("viewer", "--link"))
    client = Client()
    page = client.get(link, follow=True)
    client.post(page.request["PATH_INFO"], NEW)
    assert sign_in(Client(), NEW["password1"]).status_code == 302


def test_the_command_knows_nobody_of_that_name(db: None) -> None:
    with pytest.raises(CommandError, match="nobody"):
        run("nobody")
