"""Changing tables while others use them: one host at a time, and nobody waits for long (issue 6).

On PostgreSQL a change of a table waits until nobody uses it, and everybody else queues behind it. So each statement
waits for a moment only and gives way; the migration, a transaction, starts again. What takes long (an index) is made
in a way that blocks neither readers nor writers. tests/migration_rules.py holds new migrations to what this needs.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import OperationalError, migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.state import ProjectState

# Far below PostgreSQL's deadlock_timeout (a second): of a page and a migration that wait for each other, we give way.
LOCK_MS = 300
TRIES = 100
PAUSE = 2.0  # seconds at the most in which those who queued behind us get their turn
ASK_EVERY = 0.5
TURN = 7_401_066  # a number of our own among PostgreSQL's advisory locks
# lock_not_available, deadlock_detected
_BUSY = frozenset({"55P03", "40P01"})


@contextmanager
def turn(connection: BaseDatabaseWrapper, say: Callable[[str], object]) -> Iterator[None]:
    """Wait until no other host changes tables, and keep them waiting meanwhile. Ends with the process at the latest."""
    if connection.vendor != "postgresql":
        with _folder_of(connection) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        return
    import psycopg

    # A connection of its own. It asks again and again instead of waiting inside of a statement: that would be a
    # transaction, for whose end the building of an index by the other host waits, and that host never ends.
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as lock:
        told = False
        while not lock.execute("SELECT pg_try_advisory_lock(%s)", [TURN]).fetchone()[0]:  # type: ignore[index]
            if not told:
                say("Another host brings the database up to date; waiting for it.")
            told = True
            time.sleep(ASK_EVERY)
        yield


@contextmanager
def _folder_of(connection: BaseDatabaseWrapper) -> Iterator[int]:
    """A descriptor of the folder of SQLite's file, to lock by."""
    descriptor = os.open(Path(connection.settings_dict["NAME"]).parent, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def patiently(connection: BaseDatabaseWrapper, change: Callable[[], object]) -> None:
    """Call `change` until it got its locks; what it did already it must find done. Raises CommandError."""
    if connection.vendor != "postgresql":
        change()
        return
    for _ in range(TRIES):
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {LOCK_MS}")
        try:
            change()
            return
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in _BUSY:
                raise
        finally:
            with suppress(OperationalError), connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
        time.sleep(random.uniform(PAUSE / 4, PAUSE))
    raise CommandError(
        "A table was in use all the time, so the database is not up to date; nothing is left half done. Stop what "
        "holds it (a long query: SELECT * FROM pg_stat_activity ORDER BY xact_start), then start again."
    )


@contextmanager
def without_hurry(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """For statements that nobody waits for: they may wait themselves, for a backup that is being taken, say."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        before = cursor.fetchone()[0]
        cursor.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])


def make_index(connection: BaseDatabaseWrapper, name: str, statement: str) -> None:
    """PostgreSQL: make the index `name` as `statement` says, unless it is there."""
    if not _is_to_be_made(connection, name):
        return
    if connection.in_atomic_block:  # nobody else is there, and CONCURRENTLY would be refused
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE INDEX {name} {statement}")
        return
    with without_hurry(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX CONCURRENTLY {name} {statement}")


def _is_to_be_made(connection: BaseDatabaseWrapper, name: str) -> bool:
    """Whether PostgreSQL has no such index. Half a one, of a start that was killed, is taken away."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
        found = cursor.fetchone()
        if found == (False,):
            cursor.execute(f"DROP INDEX {name}")
    return bool(found != (True,))


def _has_index(editor: Any, model: Any, name: str) -> bool:
    with editor.connection.cursor() as cursor:
        known = editor.connection.introspection.get_constraints(cursor, model._meta.db_table)
    return name in known


class AddIndexBeside(migrations.AddIndex):
    """AddIndex for a table that is in use: nobody waits while it is built. The migration says `atomic = False` and
    does nothing else, for half of it cannot be taken back."""

    atomic = False

    def database_forwards(self, app_label: str, editor: Any, from_state: ProjectState, to_state: ProjectState) -> None:
        if editor.connection.vendor != "postgresql":
            # Killed between the index and the note that the migration is done, the next start finds it made.
            if not _has_index(editor, to_state.apps.get_model(app_label, self.model_name), self.index.name):
                super().database_forwards(app_label, editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        if editor.collect_sql:
            editor.add_index(model, self.index, concurrently=True)
        elif _is_to_be_made(editor.connection, self.index.name):
            with without_hurry(editor.connection):
                editor.add_index(model, self.index, concurrently=True)

    def database_backwards(self, app_label: str, editor: Any, from_state: ProjectState, to_state: ProjectState) -> None:
        if editor.connection.vendor != "postgresql":
            if _has_index(editor, from_state.apps.get_model(app_label, self.model_name), self.index.name):
                super().database_backwards(app_label, editor, from_state, to_state)
            return
        with without_hurry(editor.connection):
            editor.remove_index(from_state.apps.get_model(app_label, self.model_name), self.index, concurrently=True)
