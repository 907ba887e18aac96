"""Fitting what came into our columns: the database must never refuse a row because the provider was generous."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Model

LARGEST_INTEGER = 2**31 - 1
CHUNK = 500  # rows per statement, so that SQLite's one writer is never held for long


def fitted(model: type[Model], name: str, value: Any) -> Any:
    """The value as the column takes it: text without NUL (PostgreSQL has none) and cut to its length, small numbers."""
    column = model._meta.get_field(name)
    if isinstance(value, str):
        value = value.replace("\x00", "\u2400")
        limit = getattr(column, "max_length", None)
        return value[:limit] if limit else value
    if column.get_internal_type() == "PositiveIntegerField" and value is not None and value > LARGEST_INTEGER:
        return None
    return value


def write_changed(rows: Iterable[Any], fields: Iterable[str]) -> None:
    """Update `fields` of these rows, in chunks."""
    rows = list(rows)
    if rows:
        type(rows[0]).objects.bulk_update(rows, list(fields), batch_size=CHUNK)
