"""What the paths of the access matrix name: objects of an account of the cast, of theirs alone, and of strangers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from dashboard.access_rules import Row, Rule, Whose, may, row_of
from dashboard.models import Account, Invite, Membership, User

from .factories import make_booking, make_order, make_product, make_purchase

WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)", re.IGNORECASE)
# The session has a life of its own; what a person did is on record, and the record is live.
APART = ("django_session", "dashboard_audit", "dashboard_topicversion")
# A parameter in a route: "<int:pk>", "(?P<url>.*)".
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")
# Values of a path that name no object of an account.
PLAIN = {"token": "no-such-token", "key": "x", "uidb64": "x", "path": "x", "url": "x/", "content_type_id": "1"}


@dataclass(frozen=True)
class Url:
    """One URL of the project: its name, row and route, and the parameters that its path takes."""

    name: str
    row: Row | None
    route: str
    parameters: tuple[str, ...]

    def path(self, **values: Any) -> str:
        given = {name: values.get(name, PLAIN.get(name, "1")) for name in self.parameters}
        try:
            return reverse(self.name, kwargs=given)
        except NoReverseMatch:  # it has no name: Django's own pages that lead on to others
            return "/" + PARAMETER.sub(lambda found: str(given[found[1] or found[2]]), self.route).strip("^$")


def walk(patterns: Any = None, prefix: str = "", route: str = "", parameters: tuple[str, ...] = ()) -> Iterator[Url]:
    """Every URL that the project answers, includes and namespaces too."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        taken, whole = (*parameters, *each.pattern.regex.groupindex), route + str(each.pattern)
        if isinstance(each, URLResolver):
            inner = f"{prefix}{each.namespace}:" if each.namespace else prefix
            yield from walk(each.url_patterns, inner, whole, taken)
        elif isinstance(each, URLPattern):
            name = f"{prefix}{each.name or each.lookup_str}"
            yield Url(name, row_of(name), whole, taken)


@dataclass(frozen=True)
class Thing:
    """An object that a path names: the parameter and value, its account, and whose it is."""

    parameter: str
    value: Any
    account: Account
    owner: User | None = None

    def is_of(self, person: User | None) -> bool:
        return person is not None and self.owner == person


def things(about: str, account: Account, owner: User) -> Thing:
    """A fresh object of the kind that a row is `about`, in the account; its owner has bought or asked for it."""
    if about == "account":
        return Thing("pk", account.pk, account)
    if about == "product":
        return Thing("pk", make_product(account).pk, account)
    if about == "order":
        return Thing("pk", make_order(account).pk, account)
    if about == "booking":
        rental = {"rental_type": "RentalService", "duration_minutes": 7 * 1440}
        return Thing("pk", make_booking(account, assignee=owner, **rental).pk, account, owner)
    if about == "purchase":
        return Thing("uuid", make_purchase(account, owner).pk, account, owner)
    if about == "membership":
        person = User.objects.create_user(f"member {Membership.objects.count()}")
        return Thing("pk", Membership.objects.create(user=person, account=account, role="viewer").pk, account)
    if about == "invite":
        admin = User.objects.get(is_superuser=True)
        invite, _ = Invite.make(invited_by=admin, account=account, role="viewer")
        return Thing("pk", invite.pk, account)
    raise LookupError(f"Say in tests/access_objects.py how to make a {about!r}.")


def expected(row: Row, method: str, person: User | None, thing: Thing | None) -> str:
    """What the table promises: "sign-in", "405", "404", "403", or "answer" for what a person with the right gets."""
    rule = row.rule(method)
    if rule == Rule.PUBLIC:
        return "answer"
    if rule is None and row.is_public:
        return "405"
    if person is None:
        return "sign-in"
    if rule is None:
        return "405"
    if rule in (Rule.SIGNED_IN, Rule.ADMIN):
        return "answer" if may(person, rule) else "404"
    refusal = "404" if rule in HIDDEN else "403"
    if thing is None:
        hidden = not person.visible_account_ids
        return "answer" if rule == Rule.READ or may(person, rule) else "404" if hidden else refusal
    if thing.account.pk not in person.visible_account_ids:
        return "404"
    return "answer" if may(person, rule, thing.account.pk, own=thing.is_of(person)) else refusal


# Written here once more, so that the table cannot quietly begin to hide or to show.
HIDDEN = frozenset({Rule.WITHDRAW, Rule.DECIDE, Rule.MEMBERS, Rule.ADMIN})
# What the issue says about roles, word by word: the table must say the same.
ISSUE: dict[str, dict[Rule, Whose]] = {
    "viewer": {Rule.READ: Whose.ALL},
    "operator": {
        Rule.READ: Whose.ALL,
        Rule.ACT: Whose.ALL,
        Rule.BUY: Whose.ALL,
        Rule.RENEW: Whose.OWN,
        Rule.WITHDRAW: Whose.OWN,
    },
    "manager": dict.fromkeys(set(Rule) - {Rule.PUBLIC, Rule.SIGNED_IN, Rule.ADMIN}, Whose.ALL),
}


def seen(response: Any) -> str:
    """The answer in the words of `expected`."""
    status = response.status_code
    if status == 302 and response.headers["Location"].startswith("/accounts/login/?next="):
        return "sign-in"
    return str(status) if status in (403, 404, 405) or status >= 500 else "answer"


@contextmanager
def written() -> Iterator[list[str]]:
    """The statements that write, other than to the session and to the record of who did what, while it is open."""
    found: list[str] = []

    def note(execute: Any, sql: str, *more: Any) -> Any:
        if WRITES.match(sql) and not any(table in sql for table in APART):
            found.append(sql[:100])
        return execute(sql, *more)

    with connection.execute_wrapper(note):
        yield found
