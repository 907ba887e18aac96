"""The file: a zip with `manifest.json` and one member a table, each line a JSON array of one row's columns."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import models

FORMAT = 1
MANIFEST = "manifest.json"


class BadArchive(Exception):
    """The file is no backup that can be used; the text says why, for people."""


@dataclass
class Manifest:
    """What the file holds: rows and columns by table name, and the migrations (app, name) that had been applied."""

    taken_at: str
    migrations: list[list[str]]
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(int(table["rows"]) for table in self.tables.values())


class Writer:
    """Writes tables one after the other, then the manifest; a file without one is not whole."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._zip = zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, compresslevel=6)

    def add(self, table: str, columns: list[str], rows: Iterable[tuple[Any, ...]]) -> int:
        count = 0
        with self._zip.open(f"{table}.jsonl", "w", force_zip64=True) as member:
            for row in rows:
                line = json.dumps([_plain(value) for value in row], ensure_ascii=False, separators=(",", ":"))
                member.write(line.encode() + b"\n")
                count += 1
        self.manifest.tables[table] = {"rows": count, "columns": columns}
        return count

    def close(self) -> None:
        self._zip.writestr(MANIFEST, json.dumps({"format": FORMAT, **vars(self.manifest)}))
        self._zip.close()


class Reader:
    """Raises BadArchive for a file that is not whole, or not ours."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
            told = json.loads(self._zip.read(MANIFEST))
            if told.pop("format") != FORMAT:
                raise BadArchive(f"{path} was written by another version of the dashboard than this one can read.")
            self.manifest = Manifest(**told)
        except FileNotFoundError:
            raise BadArchive(f"There is no file {path}.") from None
        except OSError as error:
            raise BadArchive(f"{path} cannot be read ({error.strerror}).") from None
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError):
            raise BadArchive(f"{path} is not a whole backup of the dashboard.") from None

    def rows(self, table: str) -> Iterator[list[Any]]:
        """Raises BadArchive where the file is damaged."""
        try:
            with self._zip.open(f"{table}.jsonl") as member:
                for line in member:
                    yield json.loads(line)
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError):
            raise BadArchive(f"The file is damaged: its table {table} cannot be read.") from None

    def close(self) -> None:
        self._zip.close()


def _plain(value: Any) -> Any:
    """A column's value as JSON knows it; `restored` is the way back."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return value


def restored(column: models.Field[Any, Any], value: Any) -> Any:
    """The value as the model's field has it."""
    if value is None or isinstance(column, models.JSONField):
        return value
    if isinstance(column, models.BinaryField):
        return base64.b64decode(value)
    if isinstance(column, models.ForeignKey):
        return restored(column.target_field, value)
    return column.to_python(value)
