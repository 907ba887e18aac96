"""A database that cannot be used: the page says what ails it, and a page that only reads opens all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import psycopg
import pytest
from django.db import (
    DatabaseError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
)
from django.test import Client

from dashboard.models import Purchase
from dashboard.sign_in import sessions
from dashboard.storage_trouble import AWAY, BUSY, FULL, READ_ONLY, words_of


def raised(error: DatabaseError | InterfaceError, cause: Exception | None = None) -> BaseException:
    """As Django raises what the driver did."""
    error.__cause__ = cause
    return error


class _Driver(psycopg.OperationalError):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("words of the server")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError("database or disk is full"), FULL),
        (OperationalError("attempt to write a readonly database"), READ_ONLY),
        (OperationalError("database is locked"), BUSY),
        (OperationalError("disk I/O error"), AWAY),
        (OperationalError("unable to open database file"), AWAY),
        (raised(OperationalError("x"), _Driver("53100")), FULL),
        (raised(InternalError("x"), _Driver("25006")), READ_ONLY),
        (raised(OperationalError("x"), _Driver("55P03")), BUSY),
        (raised(OperationalError("x"), _Driver("53300")), BUSY),
        (raised(OperationalError("x"), _Driver("57P01")), AWAY),
        (raised(OperationalError("x"), _Driver(None)), AWAY),
        (OperationalError("no such table: dashboard_purchase"), ""),
        (raised(ProgrammingError("x"), _Driver("42P01")), ""),
        (ValueError("database is locked"), ""),
        (raised(ProgrammingError("x"), psycopg.ProgrammingError("two placeholders, one value")), ""),
        (None, ""),
    ],
)
def test_each_trouble_has_its_sentence_and_an_error_of_ours_has_none(error: Any, words: str) -> None:
    assert words_of(error) == words
    wrapped = RuntimeError("while rendering")
    wrapped.__cause__ = error
    assert words_of(wrapped) == words


def test_it_is_told_also_where_tidying_up_after_it_fails() -> None:
    broke = raised(OperationalError("x"), _Driver("57P01"))
    tidying = raised(ProgrammingError("x"), psycopg.ProgrammingError("can't change autocommit now"))
    tidying.__context__ = broke
    assert words_of(tidying) == AWAY


@pytest.fixture
def asking(client: Client, operator: Any) -> Client:
    client.force_login(operator)
    client.raise_request_exception = False
    return client


def broken_by(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def visible_to(*_: object) -> Any:
        raise error

    monkeypatch.setattr(type(Purchase.objects.all()), "of_accounts", visible_to)


def test_the_page_says_what_ails_the_database(asking: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_by(monkeypatch, OperationalError("database or disk is full"))
    answer = asking.get("/purchases/")
    assert answer.status_code == 503
    assert FULL in answer.content.decode()
    assert answer.headers["Retry-After"] == "5"
    # What the script says where a panel or a form asked.
    assert answer.headers["X-Trouble"] == FULL


def test_who_sent_a_form_is_told_that_it_can_be_sent_again(asking: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_by(monkeypatch, OperationalError("database is locked"))
    answer = asking.post("/purchases/00000000-0000-4000-8000-000000000000/withdraw/")
    assert answer.status_code == 503
    assert "the same form is never bought twice" in answer.content.decode()


@pytest.mark.parametrize(("said", "status"), [("unable to open database file", 503), ("no such table: x", 500)])
def test_the_page_asks_a_database_for_nothing_that_answers_nothing(asking: Client, said: str, status: int) -> None:
    def answer_nothing(*_: object) -> None:
        raise OperationalError(said)

    asking.cookies["theme"] = "dark"
    with connection.execute_wrapper(answer_nothing):
        answer = asking.get("/purchases/")
    assert answer.status_code == status
    assert 'data-theme="dark"' in answer.content.decode()


def test_a_connection_that_died_with_its_server_is_not_handed_out() -> None:
    code = "from anosim_dashboard.settings import DATABASES as d; print(d['default']['CONN_HEALTH_CHECKS'])"
    environment = {**os.environ, "DATABASE_URL": "postgresql://somebody@127.0.0.1:1/x"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_an_error_of_our_own_stays_one(asking: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_by(monkeypatch, OperationalError("no such table: dashboard_purchase"))
    answer = asking.get("/purchases/")
    assert answer.status_code == 500
    assert "X-Trouble" not in answer.headers


def test_a_page_opens_though_the_use_of_the_session_cannot_be_noted(
    asking: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note_use(request: Any) -> None:
        raise OperationalError("attempt to write a readonly database")

    session = asking.session
    session[sessions.TRACKED] = True
    session.save()
    monkeypatch.setattr(sessions, "note_use", note_use)
    assert asking.get("/purchases/").status_code == 200
