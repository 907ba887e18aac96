"""Every URL × method × role × whose object, against dashboard/access_rules.py: what the table says is what happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from dashboard.access_rules import PERMITTED, ROWS, Row, Rule
from dashboard.models import Account, Membership, User

from .access_objects import ISSUE, Thing, Url, expected, seen, things, walk, written

OFFERED, NEVER = ("GET", "HEAD", "POST"), ("PUT", "PATCH", "DELETE", "OPTIONS")
# What a form may send so that a POST has something to do; a view takes of it what it knows.
FORM = {
    "on": "1",
    "note": "from the matrix",
    "account": "all",
    "decision": "absent",
    "reason": "matrix",
    "role": "viewer",
}
Cast = dict[str, User | None]


@pytest.fixture
def cast(admin: User, manager: User, operator: User, viewer: User, stranger: User) -> Cast:
    return {
        "nobody": None,
        "stranger": stranger,
        "viewer": viewer,
        "operator": operator,
        "manager": manager,
        "admin": admin,
    }


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is enqueued, and refusals are not noted (test_denials.py): what a view writes is what counts here."""
    monkeypatch.setattr("dashboard.denials._note", lambda *_: None)
    for module in ("acting", "catalog", "ordering"):
        monkeypatch.setattr(f"dashboard.views.{module}.enqueue", lambda *_, **__: True)


@pytest.fixture
def clients(cast: Cast, confirmed: Any) -> dict[str, Client]:
    found = {}
    for name, person in cast.items():
        found[name] = Client()
        if person is not None:
            found[name].force_login(person)
            confirmed(found[name])
    return found


URLS = list(walk())


def test_every_url_has_a_row_and_every_row_a_url() -> None:
    assert [url.name for url in URLS if url.row is None] == [], "say in dashboard/access_rules.py who may use these"
    answered = {url.name for url in URLS} | {f"{url.name.partition(':')[0]}:*" for url in URLS if ":" in url.name}
    assert sorted(set(ROWS) - answered) == [], "these rows are about no URL"


def test_the_table_gives_each_role_what_the_issue_says() -> None:
    for role, rights in ISSUE.items():
        assert {rule: by_role[role] for rule, by_role in PERMITTED.items() if role in by_role} == rights, role
    assert {role for by_role in PERMITTED.values() for role in by_role} == set(Membership.Role.values)


def test_a_url_without_a_row_answers_nobody(admin: Any, client: Client, settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    for signed_in in (False, True):
        if signed_in:
            client.force_login(admin)
        with pytest.raises(ImproperlyConfigured, match="'forgotten' has no row"):
            client.get("/forgotten/")


urlpatterns = [path("forgotten/", lambda request: HttpResponse("open to all"), name="forgotten")]


def test_the_matrix_has_no_deviation(
    cast: Cast, clients: dict[str, Client], account: Account, foreign_account: Account, operator: User
) -> None:
    other = User.objects.create_user("other")
    deviations, cells = [], 0
    for url in URLS:
        assert url.row is not None
        for whose, about in _objects(url.row, account, foreign_account, operator, other):
            address = url.path(**({about.parameter: about.value} if about else {}))
            for role, person in cast.items():
                fresh = _fresh(person)
                for method in _methods(url, whose, role):
                    cells += 1
                    wanted = expected(url.row, method, fresh, about)
                    got, writes = _ask(clients[role], method, address)
                    cell = f"{method} {address} ({url.name}) by {role}, {whose}"
                    # With the right, what the view makes of the form is its own matter.
                    if got != wanted and not (wanted == "answer" and _is_the_views_word(url, got)):
                        deviations.append(f"{cell}: {got}, not {wanted}")
                    if writes and (wanted != "answer" or method in ("GET", "HEAD")):
                        deviations.append(f"{cell} wrote {writes}")
    assert deviations == []
    assert cells > 4_000


def _methods(url: Url, whose: str, role: str) -> tuple[str, ...]:
    """Those that no row offers are asked once of each URL and role, in the admin panel by one role and by nobody."""
    repeated = whose not in ("no object", "the operator's own")
    repeated |= url.name.startswith("admin:") and role not in ("nobody", "admin")
    return OFFERED if repeated else (*OFFERED, *NEVER)


def _objects(
    row: Row, account: Account, foreign: Account, mine: User, other: User
) -> Iterator[tuple[str, Thing | None]]:
    if not row.about:
        yield "no object", None
        return
    yield "the operator's own", things(row.about, account, mine)
    yield "another's in the account", things(row.about, account, other)
    yield "foreign", things(row.about, foreign, other)


def _fresh(person: User | None) -> User | None:
    """Without the roles that were read for it once."""
    return person and User.objects.get(pk=person.pk)


def _ask(client: Client, method: str, address: str) -> tuple[str, list[str]]:
    """The answer, and what was written for it; what it changed is undone, in the browser too."""
    cookies = client.cookies.output()
    undone = transaction.atomic()
    undone._from_testcase = True  # type: ignore[attr-defined]  # a move of a purchase insists on being the outermost
    with undone, written() as writes:
        response = client.generic(
            method, address, "&".join(f"{k}={v}" for k, v in FORM.items()), "application/x-www-form-urlencoded"
        )
        transaction.set_rollback(True)
    client.cookies.clear()
    client.cookies.load(cookies.replace("Set-Cookie: ", ""))
    return seen(response), writes


def _is_the_views_word(url: Url, got: str) -> bool:
    """An admin page that does not exist, or that even an admin may only read; what is for everybody who brings more
    than a form (a link, a token); keys and sessions, which are there for whose they are."""
    assert url.row is not None
    personal = {Rule.PUBLIC, Rule.SIGNED_IN} & {url.row.get, url.row.post}
    return got in ("403", "404", "405", "sign-in") and (url.name.startswith("admin:") or bool(personal))
