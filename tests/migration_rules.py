"""What a migration may do to tables that are in use: its SQL as PostgreSQL would get it, read without a server.

The version before goes on working while a migration runs, and may be gone back to. So a migration adds, in a way that
makes nobody wait for long: one table a transaction (with two, a page and the migration could wait for each other),
indexes by `dashboard.schema.AddIndexBeside`, no rewriting and no checking of rows that are there.
"""

from __future__ import annotations

import re
from typing import Any

from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.utils import ConnectionHandler

_TABLE = r'"?(?P<table>\w+)"?'
# What is refused for a table that was there before, and why.
_REFUSED: tuple[tuple[str, str], ...] = (
    (rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY).* ON {_TABLE}", "nobody can write while the index is built"),
    (
        rf"ALTER TABLE {_TABLE} ADD CONSTRAINT(?!.*(?:NOT VALID|USING INDEX))",
        "nobody can write while every row is checked",
    ),
    (rf"ALTER TABLE {_TABLE} .*SET NOT NULL", "nobody can read while every row is checked"),
    (rf"ALTER TABLE {_TABLE} .*ALTER COLUMN \S+ TYPE", "nobody can read while every row is written anew"),
    (rf"ALTER TABLE {_TABLE} ADD COLUMN .*\b(?:GENERATED|SERIAL)", "nobody can read while every row is written anew"),
    (
        rf"ALTER TABLE {_TABLE} ADD COLUMN .*DEFAULT [^,;]*\(",
        "a default that is computed: nobody can read while every row is written anew",
    ),
    (
        rf"ALTER TABLE {_TABLE} .*DROP DEFAULT",
        "the version before cannot add rows any more: give the column null=True or db_default",
    ),
    (rf"ALTER TABLE {_TABLE} ADD COLUMN (?!.*DEFAULT).*NOT NULL", "rows that are there have no value"),
    (rf"ALTER TABLE {_TABLE} (?:DROP COLUMN|RENAME)", "the version before still reads it: a release later"),
    (rf"DROP TABLE {_TABLE}", "the version before still reads it: a release later"),
    (rf"(?:UPDATE|DELETE FROM) {_TABLE}", "a transaction over all rows: in parts, after the migration"),
)


def sql_of(migration: Migration) -> list[str]:
    """Its statements on PostgreSQL, one line each, without the transaction around them."""
    database = ConnectionHandler({"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "none"}})["default"]
    # Without a server: a statement and its values are put together plainly, and the version is given.
    database.ops.compose_sql = lambda sql, params: sql % tuple(repr(each) for each in params or ())  # type: ignore[attr-defined]
    database.pg_version = 150000  # type: ignore[attr-defined]
    state = MigrationLoader(None).project_state((migration.app_label, migration.name), at_end=False)
    with database.schema_editor(collect_sql=True, atomic=False) as editor:
        editor.atomic_migration = True
        migration.apply(state, editor, collect_sql=True)
        editor.atomic_migration = False
    lines = [" ".join(statement.split()) for statement in editor.collected_sql]
    return [line for line in lines if line and not line.startswith(("--", "BEGIN", "COMMIT"))]


def refusals(statements: list[str], atomic: bool = True) -> list[str]:
    """Why the statements of one migration are not taken; empty if they are."""
    made = {match["table"] for line in statements if (match := re.match(rf"CREATE TABLE {_TABLE}", line))}
    found = []
    changed = set()
    for line in statements:
        if (match := re.match(rf"ALTER TABLE {_TABLE}", line)) and match["table"] not in made:
            changed.add(match["table"])
        for pattern, why in _REFUSED:
            if (match := re.match(pattern, line)) and match["table"] not in made:
                found.append(f"{match['table']}: {why} ({line[:100]})")
    if atomic and len(changed) > 1:
        found.append(f"{', '.join(sorted(changed))}: one table a migration")
    if atomic and changed and any("CONCURRENTLY" in line for line in statements):
        found.append("an index beside other changes: a migration of its own, with atomic = False")
    return found


def works_while_it_locks(migration: Migration) -> bool:
    """Whether it moves data in the transaction in which it changes tables, which stay locked meanwhile."""

    def moves(operation: Any) -> bool:
        return isinstance(operation, RunSQL) or (isinstance(operation, RunPython) and operation.code != RunPython.noop)

    moving = [moves(operation) for operation in migration.operations]
    return migration.atomic and any(moving) and not all(moving)
