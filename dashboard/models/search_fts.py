"""The first messages of a search, newest or oldest first, from SQLite's full-text table (../search_index.py).

The table's row numbers follow the time, so it gives them in the order of the list, and no more than are taken: a word
of every message costs no more than a rare one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import lookups
from django.db.models.expressions import Col
from django.db.models.sql.where import AND, WhereNode

from .search import FTS_TABLE, ID_BITS, SPAN_BITS, halves, place_of_search


def first_ids(rows: Any, *, backwards: bool, limit: int) -> list[int]:
    """Ids of the first messages of a search by (received_at, id), the last ones first if `backwards`."""
    text, *notes = halves(rows)
    found: list[tuple[datetime, int]] = []
    for received_at, pk in _in_order(text, backwards, limit):
        # Row numbers know the time by spans: the one in which the page ends is read to its end.
        if len(found) >= limit and _span(received_at) != _span(found[-1][0]):
            break
        found.append((received_at, pk))
    order = ("-received_at", "-id") if backwards else ("received_at", "id")
    for half in notes:
        found += half.order_by(*order).values_list("received_at", "pk")[:limit]
    return [pk for _, pk in sorted(set(found), reverse=backwards)[:limit]]


def _in_order(rows: Any, backwards: bool, chunk: int) -> Iterator[tuple[datetime, int]]:
    rows = rows.extra(tables=[FTS_TABLE], order_by=[f"{'-' if backwards else ''}{FTS_TABLE}.rowid"])  # noqa: S610
    conditions, place = place_of_search(rows.query.where)
    conditions[place] = conditions[place].as_joined(_rows_within(rows.query.where), rows.account_ids or ())
    found: Iterator[tuple[datetime, int]] = rows.values_list("received_at", "pk").iterator(chunk_size=chunk)
    return found


def _span(moment: datetime) -> int:
    return int(moment.timestamp() // 1) >> SPAN_BITS


def _rows_within(where: WhereNode) -> tuple[int, int]:
    """First and last row number of the time that the conditions leave: what lies before a cursor is not read again."""
    first, last = -(2**63), 2**63 - 1
    child: Any
    for child in where.children:
        if isinstance(child, WhereNode) and child.connector == AND and not child.negated:
            inner = _rows_within(child)
            first, last = max(first, inner[0]), min(last, inner[1])
        elif isinstance(getattr(child, "rhs", None), datetime) and _is_of_time(child.lhs):
            if isinstance(child, (lookups.GreaterThan, lookups.GreaterThanOrEqual)):
                first = max(first, _span(child.rhs) << ID_BITS)
            elif isinstance(child, (lookups.LessThan, lookups.LessThanOrEqual)):
                last = min(last, (_span(child.rhs) + 1 << ID_BITS) - 1)
    return first, last


def _is_of_time(column: Any) -> bool:
    return isinstance(column, Col) and column.target.name == "received_at"
