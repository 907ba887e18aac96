"""Triggers that make the database itself refuse to change or delete an audit event, whoever asks.

They are made after each migration that finds them missing: SQLite drops them when a migration remakes the table.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

TABLE = "dashboard_auditevent"
WORDS = "audit events are append-only"
_NAMES = {way: f"{TABLE}_no_{way.lower()}" for way in ("UPDATE", "DELETE")}
_SQLITE = "CREATE TRIGGER {name} BEFORE {way} ON {table} BEGIN SELECT RAISE(ABORT, '{words}'); END"
_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{WORDS}' USING ERRCODE = 'integrity_constraint_violation'; END $$
"""
_POSTGRESQL = "CREATE TRIGGER {name} BEFORE {way} ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"


def missing(using: str = "default") -> list[str]:
    """What the table does not refuse: "UPDATE", "DELETE"."""
    connection = connections[using]
    # Of this table alone: one that a restore has set aside has triggers of the same names.
    known = (
        "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND tgrelid = to_regclass(%s)"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(known, [TABLE])
        names = {row[0] for row in cursor.fetchall()}
    return [way for way, name in _NAMES.items() if name not in names]


def ensure(using: str = "default") -> None:
    connection = connections[using]
    postgresql = connection.vendor == "postgresql"
    for way in missing(using):
        with connection.cursor() as cursor:
            if postgresql:
                cursor.execute(_FUNCTION)
            words = {"name": _NAMES[way], "way": way, "table": TABLE, "words": WORDS}
            cursor.execute((_POSTGRESQL if postgresql else _SQLITE).format(**words))


def drop_statements(vendor: str) -> list[str]:
    """SQL that takes the triggers away, for whoever has the right to empty a database."""
    tail = f" ON {TABLE}" if vendor == "postgresql" else ""
    return [f"DROP TRIGGER IF EXISTS {name}{tail}" for name in _NAMES.values()]


def after_migrations(using: str, **_: Any) -> None:
    """Receiver of post_migrate. Back to before the table had a chain, the way forward again must be free."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if TABLE not in connection.introspection.table_names(cursor):
            return
        columns = {column.name for column in connection.introspection.get_table_description(cursor, TABLE)}
    if "seq" in columns:
        ensure(using)
        return
    with connection.cursor() as cursor:
        for statement in drop_statements(connection.vendor):
            cursor.execute(statement)
