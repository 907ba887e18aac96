"""The record of deeds: what an event holds, that it is written once, and that many writers leave one chain."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction
from django.test import RequestFactory
from django.utils import timezone

from dashboard import audit, audit_chain, audit_guard
from dashboard.models import Account, AuditEvent, Membership, User

from .audited import TABLE, make_event, told, wrongs
from .audited import events as events
from .factories import make_account, make_booking


def request_of(user: Any = None, **headers: Any) -> Any:
    request = RequestFactory().post("/", **headers)
    if user is not None:
        request.user = user
    return request


# --- what stands in an event


def test_an_event_says_who_as_what_when_from_where_and_about_what(account: Account, operator: User) -> None:
    booking = make_booking(account, number="+4915234000001")
    event = audit.record(
        request_of(operator, REMOTE_ADDR="203.0.113.9", HTTP_USER_AGENT="Firefox"),
        "booking.noted",
        booking,
        {"fields": ["note"]},
    )
    stored = AuditEvent.objects.get(pk=event.pk)
    assert (stored.user, stored.user_name, stored.role) == (operator, "operator", "operator")
    assert (stored.account, stored.kind, stored.action) == (account, "bookings", "booking.noted")
    assert (stored.object_type, stored.object_id) == ("booking", str(booking.pk))
    assert stored.object_text == "+49 1523 4000001"
    assert (stored.address, stored.device, stored.details) == ("203.0.113.9", "Firefox", {"fields": ["note"]})
    assert abs(stored.at - timezone.now()) < timedelta(minutes=1)


def test_a_visitor_the_machine_and_the_console_are_told_apart(account: Account) -> None:
    visitor = audit.note(request_of(), "sign_in.failed", {"why": "password"}, typed_name="operator")
    machine = audit.by_machine("booking.change_ended", account)
    console = audit.by_console("keys.rotated")
    assert [each.role for each in (visitor, machine, console)] == ["visitor", "machine", "console"]
    assert (visitor.user, visitor.user_name, visitor.account_id) == (None, "operator", None)
    assert wrongs() == []


def test_who_is_deleted_stays_in_the_record_by_name(account: Account, db: None) -> None:
    person = User.objects.create_user("leaver")
    Membership.objects.create(user=person, account=account, role="operator")
    event = audit.record(request_of(person), "booking.noted", make_booking(account))
    person.delete()
    stored = AuditEvent.objects.select_related("user").get(pk=event.pk)
    assert stored.user_name == "leaver"
    assert stored.user_id is not None
    assert wrongs() == []


def test_hostile_text_becomes_one_visible_line_and_is_cut(account: Account) -> None:
    bad = "a\r\nb\x00\x1b[31m\u202ec\ud800\u2028d"
    event = audit.note(
        request_of(HTTP_USER_AGENT=bad), "sign_in.failed", {bad: [bad, {"x": bad * 200}]}, typed_name=bad * 50
    )
    stored = AuditEvent.objects.get(pk=event.pk)
    kept = json.dumps([stored.user_name, stored.details, stored.device], ensure_ascii=False)
    assert re.search(r"[\x00-\x1f\x7f\u2028-\u202e\ud800]", kept) is None
    assert "a[U+000D][U+000A]b[U+0000]" in stored.user_name
    assert len(stored.user_name) <= 150
    assert len(json.dumps(stored.details)) <= 4000
    assert wrongs() == []


def test_what_is_too_much_is_told_by_its_names(account: Account) -> None:
    event = make_event(account, details={f"name {number}": "x" * 300 for number in range(20)})
    assert list(event.details) == ["too long to keep"]
    assert event.details["too long to keep"].startswith("name 0, name 1")


def test_details_come_back_from_every_database_as_they_were_hashed(account: Account) -> None:
    make_event(
        account,
        details={"float": 1e16, "big": 2**70, "none": None, "yes": True, "deep": {"a": {"b": {"c": {"d": 1}}}}},
        address="::ffff:203.0.113.9",
    )
    make_event(account, address="2001:DB8::1")
    make_event(account, address="no address")
    assert wrongs() == []
    assert list(AuditEvent.objects.order_by("pk").values_list("address", flat=True)) == [
        "203.0.113.9",
        "2001:db8::1",
        None,
    ]


def test_no_key_that_this_process_knows_gets_into_the_record(account: Account) -> None:
    key = account.api_key
    event = make_event(account, object_text=f"typed {key}", details={"typed": f"x{key}x"})
    assert key not in json.dumps([event.object_text, event.details])


# --- written once


def test_neither_model_nor_queryset_changes_or_deletes_an_event(events: list[AuditEvent]) -> None:
    event = events[0]
    event.action = "account.resumed"
    for change in (
        event.save,
        event.delete,
        lambda: AuditEvent.objects.update(action="x"),
        lambda: AuditEvent.objects.all().delete(),
        lambda: AuditEvent.objects.bulk_create([AuditEvent(action="x")]),
    ):
        with pytest.raises(TypeError):
            change()
    assert wrongs() == []


@pytest.mark.parametrize("sql", [f"UPDATE {TABLE} SET action = 'x'", f"DELETE FROM {TABLE}"])
def test_the_database_itself_refuses_it_too(events: list[AuditEvent], sql: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert wrongs() == []


def test_a_guard_that_is_gone_is_told_and_comes_back_with_the_next_migration(events: list[AuditEvent]) -> None:
    with connection.cursor() as cursor:
        for statement in audit_guard.drop_statements(connection.vendor):
            cursor.execute(statement)
    code, words = told()
    assert code == 1
    assert "does not refuse UPDATE" in words
    assert "does not refuse DELETE" in words
    call_command("migrate", verbosity=0)
    assert told()[0] == 0


# --- many writers


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_leave_an_unbroken_chain(account: Account) -> None:
    other = make_account("Other")

    def write(number: int) -> None:
        try:
            for turn in range(12):
                # Of several accounts in the order of their ids.
                with transaction.atomic():
                    for each in (None, account, other)[number % 2 :]:
                        make_event(each, details={"writer": number, "turn": turn})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert AuditEvent.objects.count() == 12 * (3 + 2 + 3 + 2)
    assert wrongs() == []


@pytest.mark.django_db(transaction=True)
def test_a_deed_that_is_rolled_back_leaves_neither_event_nor_gap(account: Account) -> None:
    make_event(account)

    def fail() -> None:
        with transaction.atomic():
            make_event(account)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert make_event(account).seq == 2
    assert wrongs() == []


@pytest.mark.django_db(transaction=True)
def test_events_that_come_while_the_check_reads_are_no_wrong(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    make_event(account)
    real: Callable[..., str] = audit_chain.link
    came: list[int] = []

    def link(*arguments: Any) -> str:
        if not came:
            came.append(1)
            make_event(account)
        return real(*arguments)

    monkeypatch.setattr(audit_chain, "link", link)
    assert wrongs() == []
    assert AuditEvent.objects.count() == 2
