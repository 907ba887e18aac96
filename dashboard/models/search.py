"""Columns that are searched, and the condition on messages that finds by them (../search_form.py)."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.lookups import Lookup
from django.db.models.sql.where import OR, WhereNode

from ..search_form import Wanted, document_of

# The index of SQLite (../search_index.py): its row numbers grow with the time, and end in the message's id.
FTS_TABLE = "dashboard_sms_search"
ID_BITS = 30
# So many seconds, as a power of two, share the upper part of a row number. Few bits in common make a large index.
SPAN_BITS = 10


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


def holding(field: str, wanted: Wanted) -> Q:
    """The condition that the document in `field` holds what is wanted, without any index."""
    found = Q()
    for choice in wanted.choices:
        found |= Q(*((f"{field}__contains", piece) for piece in choice))
    return found


class Found(Lookup):
    """Condition that the document of a message holds what is wanted: `Found(F("search_text"), wanted)`.

    PostgreSQL's trigram index serves the plain LIKE. SQLite asks the full-text table for ids; or, when `joined`, the
    statement has that table among its own, which lets it give the newest first without looking for the rest.
    """

    lookup_name = "found"
    prepare_rhs = False
    joined = False
    # Row numbers of the joined table that can be among those looked for.
    rows: tuple[int, int] = (-(2**63), 2**63 - 1)
    # Only messages of these accounts, where the joined table shall know it; the rows themselves are not asked.
    accounts: tuple[int, ...] = ()

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        column, params = compiler.compile(self.lhs)
        likes = []
        values: list[Any] = []
        for choice in self.rhs.choices:
            likes.append(" AND ".join([f"{column} LIKE %s"] * len(choice)))
            for piece in choice:
                values += [*params, f"%{connection.ops.prep_for_like_query(piece)}%"]
        return f"({' OR '.join(likes)})", values

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        own_id = f'{compiler.quote_name_unless_alias(self.lhs.alias)}."id"'
        key = f'"{FTS_TABLE}"."rowid"'
        id_of_key = f"({key} & {2**ID_BITS - 1})"
        asked = f'"{FTS_TABLE}" MATCH %s'
        if not self.joined:
            return f'{own_id} IN (SELECT {id_of_key} FROM "{FTS_TABLE}" WHERE {asked})', [self.match]  # noqa: S608
        return f"{asked} AND {own_id} = {id_of_key} AND {key} BETWEEN %s AND %s", [self.match, *self.rows]

    @property
    def match(self) -> str:
        """What is wanted in FTS5's own language: every piece is quoted, so that nothing in it is one of its words."""
        choices = [" AND ".join(map(_quoted, choice)) for choice in self.rhs.choices]
        asked = " OR ".join(f"({choice})" for choice in choices)
        if self.accounts:
            accounts = " OR ".join(_quoted(account_mark(pk)) for pk in self.accounts)
            asked = f"({asked}) AND ({accounts})"
        return asked

    def as_joined(self, rows: tuple[int, int], accounts: tuple[int, ...]) -> Self:
        clone = copy.copy(self)
        clone.joined, clone.rows, clone.accounts = True, rows, accounts
        return clone


def _quoted(piece: str) -> str:
    return '"' + piece.replace('"', '""') + '"'


def account_mark(pk: int) -> str:
    """Three characters that no text has, in the full-text table before each message: whose it is."""
    return "".join(chr(0xE000 + (pk >> shift & 0xFFF)) for shift in (24, 12, 0))


def place_of_search(where: Any) -> tuple[list[Any], int]:
    """Where among the conditions the search stands: Found itself, or its alternative with the noted bookings.

    The list of conditions and the place in it, which may be written. Raises LookupError if there is none.
    """
    for place, child in enumerate(where.children):
        if isinstance(child, Found):
            return where.children, place
        if isinstance(child, WhereNode):
            if child.connector == OR and any(isinstance(each, Found) for each in child.children):
                return where.children, place
            with suppress(LookupError):
                return place_of_search(child)
    raise LookupError("these rows are not searched")


def halves(rows: Any) -> list[Any]:
    """The rows found by their text, then, if any booking's note holds what is wanted, those found by that."""
    conditions, place = place_of_search(rows.query.where)
    if isinstance(conditions[place], Found):
        return [rows]
    parts = []
    for number in range(len(conditions[place].children)):
        part = rows.all()
        conditions, place = place_of_search(part.query.where)
        conditions[place] = conditions[place].children[number]
        parts.append(part)
    return parts
