"""The index that finds messages by part of a word among a million: made, filled and kept in step here.

SQLite: an FTS5 table of trigrams without contents of its own, kept in step by triggers, so whoever writes messages
keeps it right. PostgreSQL: a GIN index of trigrams. `ensure` runs after every migration, for Django's schema editor
drops triggers when it remakes a table, and before every start; where all is there it costs one small query.
"""

# ruff: noqa: S608 (statements are put together of names of our own)
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from . import schema
from .models.search import FTS_TABLE, ID_BITS, SPAN_BITS
from .search_form import document_of

SMS = "dashboard_sms"
GIN = "dashboard_sms_search_gin"
NOTES_GIN = "dashboard_booking_note_gin"
# Tables with documents, as their models define them: table, column, what it is made of, where it is cut.
DOCUMENTS: tuple[tuple[str, str, tuple[str, ...], int | None], ...] = (
    (SMS, "search_text", ("text", "sender", "number"), None),
    ("dashboard_booking", "note_search", ("note",), 400),
)
CHUNK = 5000


def ensure(using: str = "default", **_: Any) -> None:
    """Make the index unless it is there and in step. At a million messages that takes about a minute."""
    connection = connections[using]
    if is_made(using) or not _has_column(connection):
        return
    _fill_documents(connection)
    if connection.vendor == "sqlite":
        rebuild_sqlite(connection)
    else:
        _make_gin(connection)


def is_made(using: str = "default") -> bool:
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            wanted = [FTS_SQL, *TRIGGERS.values()]
            marks = ", ".join(["%s"] * len(wanted))
            cursor.execute(f"SELECT COUNT(*) FROM sqlite_master WHERE sql IN ({marks})", wanted)
            return bool(cursor.fetchone()[0] == len(wanted))
        known = "SELECT COUNT(*) FROM pg_index WHERE indisvalid AND indexrelid IN (to_regclass(%s), to_regclass(%s))"
        cursor.execute(known, [GIN, NOTES_GIN])
        return bool(cursor.fetchone() == (2,))


def _has_column(connection: BaseDatabaseWrapper) -> bool:
    """Whether the migration that brings the column has run: somebody may go back to before it."""
    with connection.cursor() as cursor:
        if SMS not in connection.introspection.table_names(cursor):
            return False
        columns = connection.introspection.get_table_description(cursor, SMS)
    return any(column.name == "search_text" for column in columns)


def _fill_documents(connection: BaseDatabaseWrapper) -> None:
    """Write the documents of rows from before there were any; a chunk is a transaction, so nobody waits for long."""
    for table, column, sources, longest in DOCUMENTS:
        statement = f"UPDATE {table} SET {column} = %s WHERE id = %s"
        for rows in _unfilled(connection, table, column, sources):
            with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
                cursor.executemany(statement, [(document_of(*texts)[:longest], pk) for pk, *texts in rows])


def _unfilled(
    connection: BaseDatabaseWrapper, table: str, column: str, sources: tuple[str, ...]
) -> Iterator[list[tuple[Any, ...]]]:
    names = ", ".join(sources)
    some = " OR ".join(f"{name} <> ''" for name in sources)
    query = f"SELECT id, {names} FROM {table} WHERE id > %s AND {column} = '' AND ({some}) ORDER BY id LIMIT {CHUNK}"
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(query, [last])
            rows = cursor.fetchall()
        if not rows:
            return
        yield rows
        last = rows[-1][0]


# SQLite.

FTS_SQL = (
    f"CREATE VIRTUAL TABLE {FTS_TABLE} USING fts5("
    "document, content='', columnsize=0, tokenize='trigram case_sensitive 1')"
)


def _key(row: str) -> str:
    """The row number in the index: seconds since 1970 by spans, then the id. Newest first is from the end backwards."""
    # Without the fraction of the second, which strftime rounds.
    second = f"CAST(strftime('%s', substr({row}.received_at, 1, 19)) AS INTEGER)"
    return f"((({second} >> {SPAN_BITS}) << {ID_BITS}) | {row}.id)"


def _document(row: str) -> str:
    """What the index knows of a message: whose it is (models/search.py account_mark), and its document."""
    points = ", ".join(f"57344 + ({row}.account_id >> {shift} & 4095)" for shift in (24, 12, 0))
    return f"char({points}) || {row}.search_text"


def _put(row: str) -> str:
    return f"INSERT INTO {FTS_TABLE}(rowid, document) VALUES ({_key(row)}, {_document(row)});"


def _take(row: str) -> str:
    return f"INSERT INTO {FTS_TABLE}({FTS_TABLE}, rowid, document) VALUES ('delete', {_key(row)}, {_document(row)});"


_CHANGED = " OR ".join(f"old.{name} IS NOT new.{name}" for name in ("search_text", "received_at", "account_id"))
TRIGGERS = {
    f"{FTS_TABLE}_{name}": f"CREATE TRIGGER {FTS_TABLE}_{name} AFTER {event} BEGIN {' '.join(steps)} END"
    for name, event, steps in (
        ("insert", f"INSERT ON {SMS}", [_put("new")]),
        (
            "update",
            f"UPDATE OF search_text, received_at, account_id ON {SMS} WHEN {_CHANGED}",
            [_take("old"), _put("new")],
        ),
        ("delete", f"DELETE ON {SMS}", [_take("old")]),
    )
}


def drop(connection: BaseDatabaseWrapper) -> None:
    """Take index and triggers away, for whoever writes very many rows at once; `ensure` brings them back."""
    with connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            cursor.execute(f"DROP INDEX IF EXISTS {GIN}, {NOTES_GIN}")
            return
        for name in TRIGGERS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        cursor.execute(f"DROP TABLE IF EXISTS {FTS_TABLE}")


def rebuild_sqlite(connection: BaseDatabaseWrapper) -> None:
    """Make the index anew from the stored documents, oldest first, in one transaction: there whole or not at all."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        drop(connection)
        cursor.execute(FTS_SQL)
        cursor.execute(
            f"INSERT INTO {FTS_TABLE}(rowid, document) SELECT {_key(SMS)}, {_document(SMS)} FROM {SMS} ORDER BY 1"
        )
        for statement in TRIGGERS.values():
            cursor.execute(statement)


# PostgreSQL.


def _make_gin(connection: BaseDatabaseWrapper) -> None:
    """Extension, index, and finer statistics, by which the planner tells common words from rare ones.

    Common ones are found by walking the list, rare ones by the index. The list of rows still to be put into the index
    is read by every search, so it is kept short.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        cursor.execute(f"ALTER TABLE {SMS} ALTER COLUMN search_text SET STATISTICS 300")
        schema.make_index(
            connection,
            GIN,
            f"ON {SMS} USING gin (search_text gin_trgm_ops) WITH (gin_pending_list_limit = 256)",
        )
        schema.make_index(
            connection,
            NOTES_GIN,
            "ON dashboard_booking USING gin (note_search gin_trgm_ops) WHERE NOT (note_search = '')",
        )
        # What the filter by sender compares: without it the planner takes any sender for a rare one.
        cursor.execute(f"CREATE STATISTICS IF NOT EXISTS {SMS}_sender ON (UPPER(sender)) FROM {SMS}")
        cursor.execute(f"ANALYZE {SMS}, dashboard_booking")
