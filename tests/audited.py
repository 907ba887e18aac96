"""The record of deeds, for tests: events, what changes them past the guard, and what the check says of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from dashboard import audit_guard
from dashboard.audit_check import Check
from dashboard.models import Account, AuditEvent

TABLE = AuditEvent._meta.db_table


def make_event(account: Account | None = None, action: str = "account.paused", **fields: Any) -> AuditEvent:
    return AuditEvent.objects.create(account=account, action=action, **fields)


def by_force(sql: str, *values: Any) -> None:
    """What somebody does who has the database and not the keys: past the guard."""
    with connection.cursor() as cursor:
        for statement in audit_guard.drop_statements(connection.vendor):
            cursor.execute(statement)
        cursor.execute(sql, values)
    audit_guard.ensure()


def wrongs(**options: Any) -> list[str]:
    return list(Check(**options).problems())


def told(*arguments: str) -> tuple[int, str]:
    """The exit code of the command and all that it says."""
    out = io.StringIO()
    try:
        call_command("check_audit", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


@pytest.fixture
def events(account: Account) -> list[AuditEvent]:
    """Five of one account, with two of none between them."""
    made = [make_event(account, details={"number": number}) for number in range(3)]
    make_event()
    made += [make_event(account, details={"number": number}) for number in range(3, 5)]
    make_event(user_name="somebody")
    return made
