"""Migrations: the dashboard works on while they run, hosts that start together take turns, and each can be undone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import psycopg
import pytest
from django.core.management.base import CommandError
from django.db import OperationalError
from django.db.migrations.loader import MigrationLoader

from dashboard import schema
from tests.databases import ROOT, manage, new_database
from tests.migration_rules import refusals, sql_of, works_while_it_locks

# Those before the rules. What each makes others wait for stands in docs/upgrading.md (bench/migrations.py).
BEFORE = 11
FILL = """
from tests.factories import *
from dashboard import audit
from dashboard.models import *
account = make_account("Shop")
User.objects.create_superuser("admin", "", "admin-password")
make_sms(make_booking(account, note="Support"), "Your code is 482913")
for action in ("account.created", "account.changed"):
    audit.by_console(action, account)
"""
LOOK = """
from django.core.management import call_command
from dashboard.models import *
assert Sms.objects.of_accounts([1]).get().text == "Your code is 482913"
assert AuditEvent.objects.count() == 2
call_command("check_audit")
"""
WHOLE = """
from dashboard import audit_guard, search_index
assert search_index.is_made() and not audit_guard.missing()
"""


def ours() -> list[Any]:
    loader = MigrationLoader(None)
    return sorted(
        (each for (app, _), each in loader.disk_migrations.items() if app == "dashboard"), key=lambda each: each.name
    )


def test_no_new_migration_keeps_anybody_waiting() -> None:
    told = {
        each.name: refusals(sql_of(each), each.atomic) + ["moves data while it locks"] * works_while_it_locks(each)
        for each in ours()
        if int(each.name[:4]) > BEFORE
    }
    assert {name: why for name, why in told.items() if why} == {}


def test_the_rules_see_what_older_migrations_did() -> None:
    old = {each.name: each for each in ours()}
    assert any("index" in why for why in refusals(sql_of(old["0010_read_marks"])))
    assert any("one table" in why for why in refusals(sql_of(old["0002_retention"])))
    assert any("version before" in why for why in refusals(sql_of(old["0006_telling"])))
    assert works_while_it_locks(old["0005_activity"])
    assert refusals(sql_of(old["0008_sign_in"])) == []
    assert refusals(sql_of(old["0011_activity_own"]), atomic=False) == []


@pytest.mark.parametrize(
    "line",
    [
        'CREATE INDEX "x" ON "dashboard_sms" ("text");',
        'CREATE UNIQUE INDEX "x" ON "dashboard_sms" ("text");',
        'ALTER TABLE "dashboard_sms" ADD CONSTRAINT "x" UNIQUE ("text");',
        'ALTER TABLE "dashboard_sms" ADD CONSTRAINT "x" CHECK ("id" > 0);',
        'ALTER TABLE "dashboard_sms" ALTER COLUMN "text" SET NOT NULL;',
        'ALTER TABLE "dashboard_sms" ALTER COLUMN "text" TYPE varchar(9) USING "text"::varchar(9);',
        'ALTER TABLE "dashboard_sms" ADD COLUMN "x" integer NOT NULL;',
        'ALTER TABLE "dashboard_sms" ADD COLUMN "x" uuid DEFAULT gen_random_uuid() NOT NULL;',
        'ALTER TABLE "dashboard_sms" ADD COLUMN "x" text GENERATED ALWAYS AS (lower("text")) STORED;',
        'ALTER TABLE "dashboard_sms" ALTER COLUMN "x" DROP DEFAULT;',
        'ALTER TABLE "dashboard_sms" DROP COLUMN "text" CASCADE;',
        'ALTER TABLE "dashboard_sms" RENAME COLUMN "text" TO "words";',
        'DROP TABLE "dashboard_sms" CASCADE;',
        "UPDATE dashboard_sms SET text = '';",
    ],
)
def test_what_would_keep_people_waiting_is_refused_on_a_table_that_was_there(line: str) -> None:
    assert len(refusals([line])) == 1
    made = 'CREATE TABLE "dashboard_sms" ("id" bigint);'
    assert refusals([made, line]) == []


@pytest.mark.parametrize(
    "line",
    [
        'CREATE INDEX CONCURRENTLY "x" ON "dashboard_sms" ("text");',
        'ALTER TABLE "dashboard_sms" ADD COLUMN "x" timestamp with time zone NULL;',
        'ALTER TABLE "dashboard_sms" ADD COLUMN "x" varchar(4) DEFAULT \'mine\' NOT NULL;',
        'ALTER TABLE "dashboard_sms" ADD CONSTRAINT "x" CHECK ("id" > 0) NOT VALID;',
    ],
)
def test_what_takes_a_moment_is_taken(line: str) -> None:
    assert refusals([line]) == []


def test_two_tables_in_one_transaction_are_refused() -> None:
    lines = [f'ALTER TABLE "dashboard_{name}" ADD COLUMN "x" integer NULL;' for name in ("sms", "booking")]
    assert len(refusals(lines)) == 1
    assert refusals(lines, atomic=False) == []


def test_every_migration_can_be_taken_back_and_made_again(tmp_path: Path) -> None:
    with new_database(tmp_path) as url:
        ran(manage(url, tmp_path, "migrate", "-v0"))
        ran(manage(url, tmp_path, code=FILL))
        back = [["dashboard", each.name] for each in reversed(ours()[:-1])]
        move = f"for to in {[*back, []]}: call_command('migrate', *to, verbosity=0)"
        ran(manage(url, tmp_path, code=f"from django.core.management import call_command\n{move}"))
        said = ran(manage(url, tmp_path, code=LOOK + WHOLE))
    assert "2 events checked: all as they were written." in said


def test_hosts_that_start_together_take_turns(tmp_path: Path) -> None:
    with new_database(tmp_path) as url:
        hosts = [begun(url, tmp_path, "prepare") for _ in range(2)]
        said = [host.communicate(timeout=120) for host in hosts]
        assert [host.returncode for host in hosts] == [0, 0], said
        assert sum("Admin: admin" in out for out, _ in said) == 1


def test_a_version_that_is_older_than_the_database_does_not_start(tmp_path: Path) -> None:
    with new_database(tmp_path) as url:
        ran(manage(url, tmp_path, "migrate", "-v0"))
        later = "from django.db.migrations.recorder import *; from django.db import connection as c; "
        ran(manage(url, tmp_path, code=f"{later}MigrationRecorder(c).record_applied('dashboard', '0999_later')"))
        refused = manage(url, tmp_path, "prepare")
    assert refused.returncode == 2
    assert "newer version of the dashboard than this one (0999_later)" in refused.stderr


def test_what_a_killed_start_left_out_is_made_by_the_next(tmp_path: Path) -> None:
    with new_database(tmp_path) as url:
        ran(manage(url, tmp_path, "migrate", "-v0"))
        undo = (
            "from django.db import connection as c\nfrom dashboard import audit_guard, search_index\n"
            "for line in audit_guard.drop_statements(c.vendor): c.cursor().execute(line)\nsearch_index.drop(c)"
        )
        ran(manage(url, tmp_path, code=undo))
        assert manage(url, tmp_path, code=WHOLE).returncode == 1
        ran(manage(url, tmp_path, "prepare"))
        ran(manage(url, tmp_path, code=WHOLE))


def test_a_start_killed_between_an_index_and_the_note_that_it_is_made_is_followed_by_one_that_works(
    tmp_path: Path,
) -> None:
    forget = (
        "from django.db.migrations.recorder import *; from django.db import connection as c; "
        "r = MigrationRecorder(c); r.record_unapplied('dashboard', '0011_activity_own'); "
        "r.record_unapplied('dashboard', '0012_language'); "
        "c.cursor().execute('ALTER TABLE dashboard_user DROP COLUMN language')"
    )
    with new_database(tmp_path) as url:
        ran(manage(url, tmp_path, "migrate", "-v0"))
        ran(manage(url, tmp_path, code=forget))
        assert "[ ] 0011_activity_own" in ran(manage(url, tmp_path, "showmigrations", "dashboard"))
        ran(manage(url, tmp_path, "prepare"))
        done = ran(manage(url, tmp_path, "showmigrations", "dashboard"))
        ran(manage(url, tmp_path, code=WHOLE))
    assert "[X] 0011_activity_own" in done
    assert "[ ]" not in done


def test_a_migration_lets_readers_by_while_it_waits_for_a_table(tmp_path: Path) -> None:
    """SQLite has one file and no such locks: there the migration just runs."""
    with new_database(tmp_path) as url:
        ran(manage(url, tmp_path, "migrate", "-v0"))
        ran(manage(url, tmp_path, "migrate", "-v0", "dashboard", "0005_activity"))
        with reading_for_long(url) as others:
            host = begun(url, tmp_path, "migrate", "-v0", "dashboard", "0006_telling")
            for reader in others:
                # Queued behind a migration that waits for the long reader, this would never get its turn.
                for _ in range(200):
                    reader.execute("SELECT count(*) FROM dashboard_user")
                    threading.Event().wait(0.02)
                assert host.poll() is None
        out, error = host.communicate(timeout=120)
        assert host.returncode == 0, (out, error)


class Busy(Exception):
    """What psycopg says where a lock was not to be had."""

    sqlstate = "55P03"


def test_what_never_gets_its_table_says_so_and_other_trouble_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "TRIES", 3)
    monkeypatch.setattr(schema, "PAUSE", 0.01)
    server: Any = MagicMock(vendor="postgresql")
    busy, other = MagicMock(), MagicMock(side_effect=OperationalError("no space left"))
    busy.side_effect = OperationalError("canceling statement due to lock timeout")
    busy.side_effect.__cause__ = Busy()
    with pytest.raises(CommandError, match="A table was in use all the time"):
        schema.patiently(server, busy)
    assert busy.call_count == 3
    with pytest.raises(OperationalError):
        schema.patiently(server, other)
    assert other.call_count == 1


@contextmanager
def reading_for_long(url: str) -> Iterator[list[Any]]:
    """Somebody who reads people in a transaction that does not end before we do; gives others who read them, too."""
    if not url.startswith("postgres"):
        yield []
        return
    options = "-c statement_timeout=10s"
    with psycopg.connect(url) as long, psycopg.connect(url, autocommit=True, options=options) as other:
        long.execute("SELECT count(*) FROM dashboard_user")
        yield [other]


def begun(url: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(folder), "ANOSIM_API_KEY": ""}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "manage.py", *words], cwd=ROOT, env=environment, **pipes)


def ran(done: subprocess.CompletedProcess[str]) -> str:
    """What it said."""
    assert done.returncode == 0, done.stderr
    return done.stdout
