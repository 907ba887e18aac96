"""Taking a backup while everything runs: all tables as they were at one moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection, connections, models, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from .archive import Manifest, Writer

# A session is somebody's open browser: nobody is to be signed in again by a file.
LEFT_OUT = frozenset({"django_session", "usersessions_usersession"})
SNAPSHOT = "snapshot"
CHUNK = 2000


def take(path: Path) -> Manifest:
    """Write a backup to `path` (replacing a file of that name once it is whole) and tell what is in it.

    Readable for its owner alone. Raises OSError, django.db.Error.
    """
    path = path.resolve()
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _snapshot(path.parent) as alias:
            manifest = _write(unfinished, alias)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def tables(registry: Any = apps) -> list[type[models.Model]]:
    """The models whose tables are in a backup, by name."""
    found = registry.get_models(include_auto_created=True)
    kept = [model for model in found if model._meta.managed and model._meta.db_table not in LEFT_OUT]
    return sorted(kept, key=lambda model: model._meta.db_table)


def _write(path: Path, alias: str) -> Manifest:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    path.unlink()
    applied = MigrationRecorder(connections[alias]).applied_migrations()
    manifest = Manifest(timezone.now().isoformat(), [list(key) for key in sorted(applied)])
    with _private():
        writer = Writer(path, manifest)
    for model in tables():
        columns = [column.attname for column in model._meta.concrete_fields]
        rows = model._base_manager.using(alias).order_by("pk").values_list(*columns)
        writer.add(model._meta.db_table, columns, rows.iterator(CHUNK))
    writer.close()
    return manifest


@contextmanager
def _private() -> Iterator[None]:
    """Files made inside are readable for their owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _snapshot(folder: Path) -> Iterator[str]:
    """The alias of a database that stands still: one moment of ours, while ours goes on.

    PostgreSQL shows a transaction such a moment. SQLite's file is copied first, in one go: its writers go on (with a
    write-ahead log) or wait for the copy alone, not for the whole of our reading.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield connection.alias
        return
    copy = folder / f".snapshot.{os.getpid()}.sqlite3"
    with _private():
        _copy_sqlite(copy)
    connections.databases[SNAPSHOT] = {**connection.settings_dict, "NAME": str(copy)}
    try:
        yield SNAPSHOT
    finally:
        connections[SNAPSHOT].close()
        del connections[SNAPSHOT]
        del connections.databases[SNAPSHOT]
        for file in (copy, *(copy.with_name(copy.name + tail) for tail in ("-wal", "-shm", "-journal"))):
            file.unlink(missing_ok=True)


def _copy_sqlite(path: Path) -> None:
    from django.db.backends.sqlite3.base import Database  # type: ignore[attr-defined]

    connection.ensure_connection()
    target = Database.connect(str(path))
    try:
        connection.connection.backup(target)
    finally:
        target.close()
