"""Taking a backup back, into either database; what was there is set aside, and nothing is bought again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import DatabaseError, connection, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from anosim_dashboard import shared_clock

from .. import audit
from ..models import Account, AlertNotice, BookingChange, Heartbeat, Invite, Purchase, SyncState
from ..purchases.settling import TAKEN_BACK
from ..purchases.transitions import move
from .archive import BadArchive, Manifest, Reader, restored
from .taking import tables

CHUNK = 1000
RUNS_UNTIL = 20  # seconds: a canary younger than this was written by workers that run
WORDS = "Taken back from a backup."


class CannotRestore(Exception):
    """Nothing was changed; the text says why, for people."""


def restore(path: Path, replace: bool) -> tuple[Manifest, str]:
    """Make the database what the backup says; gives what was in it and where the old data are ("" for none).

    Into an empty database, or with `replace` into one whose data are set aside first. A backup of an older version is
    loaded as it was and then brought up to date. Raises CannotRestore, BadArchive, django.db.Error; the old data are
    back in place then.
    """
    reader = Reader(path)
    try:
        refuse_if_running()
        if not replace and _has_data():
            raise CannotRestore("The database is not empty. With --replace its data are set aside first.")
        known = MigrationExecutor(connection).loader.disk_migrations
        if unknown := [key for key in reader.manifest.migrations if tuple(key) not in known]:
            names = ", ".join(".".join(key) for key in unknown[:3])
            raise CannotRestore(f"The backup is of a newer version than this one ({names}): update first.")
        with _aside() as where:
            _come_to_rest(_load(reader))
        return reader.manifest, where()
    finally:
        reader.close()


def refuse_if_running() -> None:
    """Raises CannotRestore while workers of the dashboard work on the present database."""
    with suppress(DatabaseError):
        age = Heartbeat.objects.age(shared_clock.now())
        if age is not None and age.total_seconds() < RUNS_UNTIL:
            raise CannotRestore(
                "The dashboard is running on this database. Stop web, worker and beat, wait 20 seconds, try again."
            )


def _has_data() -> bool:
    names = set(connection.introspection.table_names())
    return any(
        model._meta.db_table in names and model._base_manager.exists()
        for model in apps.get_app_config("dashboard").get_models()
    )


def _load(reader: Reader) -> list[int]:
    """Make the tables as they were when the backup was taken, fill them, bring them up to date. Raises BadArchive.

    Gives the accounts whose spending it has stopped: should we be killed before all has come to rest, what waits in
    these tables must not be bought by whoever starts the dashboard on them.
    """
    executor = MigrationExecutor(connection)
    applied = {(app, name) for app, name in reader.manifest.migrations}
    newest = [key for key in applied if not any(child.key in applied for child in _children(executor, key))]
    state = executor.migrate(sorted(newest))
    # A migration may leave rows of its own; the backup has them too.
    found = {model._meta.db_table: model for model in tables(state.apps)}
    with transaction.atomic():
        for table in reader.manifest.tables:
            if table not in found:
                raise BadArchive(f"The backup has a table that is not known: {table}.")
            found[table]._base_manager.all().delete()
        for table, told in reader.manifest.tables.items():
            count = _fill(found[table], told["columns"], reader.rows(table))
            if count != told["rows"] or found[table]._base_manager.count() != count:
                raise BadArchive(f"Table {table}: {told['rows']} rows were to come, {count} came.")
        spending = found[Account._meta.db_table]._base_manager.filter(spending_stopped=False)
        stopped = list(spending.values_list("pk", flat=True))
        spending.update(spending_stopped=True)
        statements = connection.ops.sequence_reset_sql(no_style(), list(found.values()))
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    call_command("migrate", interactive=False, verbosity=0)
    return stopped


def _children(executor: MigrationExecutor, key: tuple[str, str]) -> Any:
    """The migrations of the same app that come after `key`."""
    return [child for child in executor.loader.graph.node_map[key].children if child.key[0] == key[0]]


def _fill(model: type[models.Model], columns: list[str], rows: Iterator[list[Any]]) -> int:
    fields = {column.attname: column for column in model._meta.concrete_fields}
    wanted = [(name, fields[name]) for name in columns]
    count = 0
    while chunk := list(islice(rows, CHUNK)):
        model._base_manager.bulk_create(
            model(**{name: restored(column, value) for (name, column), value in zip(wanted, row, strict=True)})
            for row in chunk
        )
        count += len(chunk)
    return count


def _come_to_rest(stopped: list[int]) -> None:
    """Time has passed since the backup was taken: what waited then may have been done since, so it is not done again.

    What may have been bought is found out by reading, as ever; orders made since come as placed elsewhere. Then the
    accounts that were `stopped` may spend again.
    """
    for purchase in Purchase.objects.filter(status=Purchase.Status.PREPARING):
        move(purchase, Purchase.Status.QUEUED, WORDS)
    for purchase in Purchase.objects.filter(status=Purchase.Status.QUEUED):
        words = f"{WORDS} It waited when that was taken, and may have been bought since: see what stands under Orders."
        move(purchase, Purchase.Status.CANCELLED, words)
    for purchase in Purchase.objects.filter(status=Purchase.Status.SENDING):
        move(purchase, Purchase.Status.UNKNOWN, WORDS, next_check_at=shared_clock.now(), checks=0)
    for purchase in Purchase.objects.filter(status=Purchase.Status.UNKNOWN):
        # An order that fits may be of a purchase made since, of which these tables know nothing.
        Purchase.objects.filter(pk=purchase.pk).update(before=purchase.before | {TAKEN_BACK: True})
    open_changes = BookingChange.objects.open()
    open_changes.update(status=BookingChange.Status.UNKNOWN, words=WORDS, status_at=shared_clock.now())
    # A link that was used since would work a second time.
    Invite.objects.open().update(revoked_at=timezone.now())
    SyncState.objects.update(due_at=shared_clock.now(), reading=False, body_digest="")
    Heartbeat.objects.all().delete()
    # What was to be told then has been told, or is over.
    AlertNotice.objects.filter(sent_at=None).update(next_try_at=None)
    audit.by_console("backup.restored")
    Account.objects.filter(pk__in=stopped).update(spending_stopped=False)


# --- setting the old data aside


@contextmanager
def _aside() -> Iterator[Callable[[], str]]:
    """Set the old data aside while the new ones are made; if that fails, put them back. Gives where they are."""
    if connection.vendor == "postgresql":
        with _schema_aside() as where:
            yield where
    else:
        with _file_aside() as where:
            yield where


@contextmanager
def _file_aside() -> Iterator[Callable[[], str]]:
    """SQLite: the new data grow in a file of their own, which takes the old one's place at the end."""
    name = Path(connection.settings_dict["NAME"])
    growing, kept = name.with_name(f"{name.name}.restoring"), name.with_name(f"{name.name}.{_stamp()}")
    had = name.exists() and _has_data()
    _switch_to(growing)
    _remove(growing)
    try:
        yield lambda: str(kept) if had else ""
        # All of it into the file itself, so that one name carries everything.
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _switch_to(name)
        if had:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            name.replace(kept)
        _remove(name)
        growing.replace(name)
    finally:
        _switch_to(name)
        _remove(growing)


def _switch_to(file: Path) -> None:
    connection.close()
    connection.settings_dict["NAME"] = str(file)


def _remove(file: Path) -> None:
    for tail in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + tail).unlink(missing_ok=True)


@contextmanager
def _schema_aside() -> Iterator[Callable[[], str]]:
    """PostgreSQL: the old tables go to a schema of their own, which costs nothing and can be looked at."""
    schema = _stamp()
    old = connection.introspection.table_names()
    had = bool(old)
    if had:
        _run(f'CREATE SCHEMA "{schema}"')
        _move_tables(old, f'"{schema}"', "public")
    try:
        yield lambda: f"schema {schema}" if had else ""
    except BaseException:
        for table in connection.introspection.table_names():
            _run(f'DROP TABLE public."{table}" CASCADE')
        if had:
            _move_tables(old, "public", schema)
            _run(f'DROP SCHEMA "{schema}"')
        raise


def _move_tables(names: list[str], to: str, now_in: str) -> None:
    with transaction.atomic():
        for name in names:
            _run(f'ALTER TABLE "{now_in}"."{name}" SET SCHEMA {to}')
        # Statistics of columns do not go with their table, and would stand in the way of the new one's.
        with connection.cursor() as cursor:
            known = (
                "SELECT stxname FROM pg_statistic_ext JOIN pg_class ON pg_class.oid = stxrelid "
                "WHERE stxnamespace = %s::regnamespace AND relnamespace <> stxnamespace"
            )
            cursor.execute(known, [f'"{now_in}"'])
            left_behind = [row[0] for row in cursor.fetchall()]
        for name in left_behind:
            _run(f'ALTER STATISTICS "{now_in}"."{name}" SET SCHEMA {to}')


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _stamp() -> str:
    return f"before_restore_{timezone.now():%Y%m%d_%H%M%S}"
