"""Columns that are searched, and the condition on messages that finds by them (../search_form.py)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.lookups import Lookup
from django.db.models.sql.where import OR, WhereNode

from ..search_form import document_of

# The index of SQLite (../search_index.py): its row numbers grow with the time, and end in the message's id.
FTS_TABLE = "dashboard_sms_search"
ID_BITS = 30
# So many seconds, as a power of two, share the upper part of a row number. Few bits in common make a large index.
SPAN_BITS = 10
FTS_KEY = f'"{FTS_TABLE}"."rowid"'
FTS_ID = f"({FTS_KEY} & {2**ID_BITS - 1})"


class SearchField(models.TextField):
    """What can be found of a row: `sources`, fields of it, in the form that is searched. Filled whenever it is saved.

    That goes with save(), bulk_create() and get_or_create(). Who changes a source by a queryset's update(), or saves
    only some fields, gives this one too.
    """

    def __init__(self, *sources: str, longest: int | None = None, **options: Any) -> None:
        # A document is cut at `longest` characters: PostgreSQL's B-trees take no more than 2,700 bytes.
        self.sources, self.longest = sources, longest
        # The default of the database lets others write rows without it.
        super().__init__(**{"default": "", "db_default": "", "editable": False, **options})

    def deconstruct(self) -> Any:
        name, path, _, options = super().deconstruct()
        return name, path, self.sources, options | ({"longest": self.longest} if self.longest else {})

    def document(self, *texts: str) -> str:
        """The sources' texts as this column holds them."""
        return document_of(*texts)[: self.longest]

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        document = self.document(*(getattr(model_instance, name) or "" for name in self.sources))
        setattr(model_instance, self.attname, document)
        return document


def holding(field: str, pieces: tuple[str, ...]) -> Q:
    """The condition that the document in `field` holds what is wanted, without any index."""
    return Q(*((f"{field}__contains", piece) for piece in pieces))


class Found(Lookup):
    """Condition that the document of a message holds what is wanted: `Found(F("search_text"), wanted(typed))`.

    PostgreSQL's trigram index serves the plain LIKE. SQLite asks the full-text table for ids, which gives all there
    are; search_fts.py gives the first ones.
    """

    lookup_name = "found"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        column, params = compiler.compile(self.lhs)
        values: list[Any] = []
        for piece in self.rhs:
            values += [*params, f"%{connection.ops.prep_for_like_query(piece)}%"]
        return " AND ".join([f"{column} LIKE %s"] * len(self.rhs)), values

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        asked = f'SELECT {FTS_ID} FROM "{FTS_TABLE}" WHERE "{FTS_TABLE}" MATCH %s'  # noqa: S608
        return f"{self.own_id(compiler)} IN ({asked})", [match_of(*self.rhs)]

    def own_id(self, compiler: Any) -> str:
        return f'{compiler.quote_name_unless_alias(self.lhs.alias)}."id"'


def match_of(*pieces: str, any_of: Iterable[str] = ()) -> str:
    """All the pieces, and any of those, in FTS5's language: all quoted, so that nothing is one of its words."""
    parts = [f'"{piece}"' for piece in pieces]
    if marks := [f'"{mark}"' for mark in any_of]:
        parts.append(f"({' OR '.join(marks)})")
    return " AND ".join(parts)


def account_mark(pk: int) -> str:
    """Three characters that no text has, in the full-text table before each message: whose it is."""
    return "".join(chr(0xE000 + (pk >> shift & 0xFFF)) for shift in (24, 12, 0))


def founds(rows: Any) -> tuple[Found, ...]:
    """The conditions of this kind that every row has to meet."""
    return tuple(child for child in rows.query.where.children if isinstance(child, Found))


def halves(rows: Any) -> list[Any]:
    """The rows found by their text, then, if any booking's note holds what is wanted, those found by that."""
    place, width = _alternative(rows)
    parts = []
    for number in range(width):
        part = rows.all()
        conditions = part.query.where.children
        conditions[place] = conditions[place].children[number]
        parts.append(part)
    return parts or [rows]


def _alternative(rows: Any) -> tuple[int, int]:
    """Where among the conditions "by text or by note" stands, and how many are in it: 0 if there is none."""
    for place, child in enumerate(rows.query.where.children):
        is_choice = isinstance(child, WhereNode) and child.connector == OR
        if is_choice and any(isinstance(each, Found) for each in child.children):
            return place, len(child.children)
    return 0, 0
