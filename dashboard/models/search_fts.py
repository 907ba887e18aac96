"""The first messages of a search, newest or oldest first, from SQLite's full-text table (../search_index.py).

The table's row numbers follow the time, so it gives them in the order of the list, and no more than are taken: a word
of every message costs no more than a rare one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connections
from django.db.models import lookups
from django.db.models.expressions import Col
from django.db.models.sql.where import AND, WhereNode

from .search import FTS_ID, FTS_KEY, FTS_TABLE, ID_BITS, SPAN_BITS, Found, account_mark, founds, match_of

# A trigram's newest messages are counted up to so many, to learn which trigrams are rare.
COUNTED = 100
TRIGRAMS = 16
# So many messages are read to see what they hold, found by so many characters around the rarest trigram.
READ = 1000
WIDTHS = (5, 8)


class Joined(Found):
    """The same condition for a statement that has the full-text table among its own; `asked` is FTS5's language."""

    asked: str
    within: tuple[int, int]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        sql = f'"{FTS_TABLE}" MATCH %s AND {self.own_id(compiler)} = {FTS_ID} AND {FTS_KEY} BETWEEN %s AND %s'
        return sql, [self.asked, *self.within]


class Read(Found):
    """The same condition, by reading the document."""

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection)


def first_ids(rows: Any, *, backwards: bool, limit: int) -> list[int]:
    """Ids of the first messages found by their text, by (received_at, id), the last ones first if `backwards`."""
    wanted = founds(rows)
    pieces = [piece for each in wanted for piece in each.rhs]
    within = _rows_within(rows.query.where)
    if narrow := _narrow(pieces, within, connections[rows.db]):
        reading = [Read(each.lhs, each.rhs) for each in wanted]
        found = list(_joined(rows, narrow, within, "rowid", reading))
    else:
        marks = [account_mark(pk) for pk in rows.account_ids or ()]
        key = "-rowid" if backwards else "rowid"
        found = _until_full(_joined(rows, match_of(*pieces, any_of=marks), within, key).iterator(limit), limit)
    return [pk for _, pk in sorted(found, reverse=backwards)[:limit]]


def _joined(rows: Any, asked: str, within: tuple[int, int], key: str, more: Iterable[Found] = ()) -> Any:
    """(received_at, id) of the rows that the table gives for `asked`, in the order of its row numbers."""
    joined = Joined(founds(rows)[0].lhs, ())
    joined.asked, joined.within = asked, within
    rows = rows.extra(tables=[FTS_TABLE], order_by=[key.replace("rowid", f"{FTS_TABLE}.rowid")])  # noqa: S610
    others = [child for child in rows.query.where.children if not isinstance(child, Found)]
    rows.query.where.children[:] = [joined, *more, *others]
    return rows.values_list("received_at", "pk")


def _until_full(rows: Iterable[tuple[datetime, int]], limit: int) -> list[tuple[datetime, int]]:
    found: list[tuple[datetime, int]] = []
    for received_at, pk in rows:
        # Row numbers know the time by spans: the one in which the page ends is read to its end.
        if len(found) >= limit and _span(received_at) != _span(found[-1][0]):
            break
        found.append((received_at, pk))
    return found


def _narrow(pieces: list[str], within: tuple[int, int], connection: Any) -> str:
    """What to ask for instead of the pieces, where few enough messages have it; "" where very many do.

    The table finds a long piece by walking the lists of all its trigrams: those of +49 152 hold every message. So it
    is asked for the rarest trigram and some characters around it alone.
    """
    places = {piece[at : at + 3]: (piece, at) for piece in pieces for at in range(len(piece) - 2)}
    if len(places) < 3:
        return ""
    some = f'SELECT 1 FROM "{FTS_TABLE}" WHERE "{FTS_TABLE}" MATCH %s AND rowid BETWEEN %s AND %s LIMIT {READ}'  # noqa: S608
    with connection.cursor() as cursor:
        piece, at = places[_rarest(list(places), cursor)]
        for part in dict.fromkeys(_around(piece, at, width) for width in WIDTHS):
            match: str = match_of(part)
            cursor.execute(f"SELECT COUNT(*) FROM ({some})", [match, *within])  # noqa: S608
            if cursor.fetchone()[0] < READ:
                return match
    return ""


def _around(piece: str, at: int, width: int) -> str:
    """So many characters of the piece with the trigram `at` in the middle, or near it."""
    first = max(0, min(at + 1 - width // 2, len(piece) - width))
    return piece[first : first + width]


def _rarest(trigrams: list[str], cursor: Any) -> str:
    """The one with the fewest messages, or whose newest messages go back furthest."""
    some = trigrams[:: len(trigrams) // TRIGRAMS + 1]
    newest = f"SELECT rowid FROM {FTS_TABLE} WHERE {FTS_TABLE} MATCH %s ORDER BY rowid DESC LIMIT {COUNTED}"  # noqa: S608
    cursor.execute(
        " UNION ALL ".join(f"SELECT {at}, COUNT(*), MIN(rowid) FROM ({newest})" for at in range(len(some))),  # noqa: S608
        [match_of(each) for each in some],
    )
    place: int = min((count, oldest or 0, at) for at, count, oldest in cursor.fetchall())[2]
    return some[place]


def _span(moment: datetime) -> int:
    return int(moment.timestamp() // 1) >> SPAN_BITS


def _rows_within(where: Any) -> tuple[int, int]:
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
