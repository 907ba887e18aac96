"""Pages of a list by keyset: any page costs the same, and rows that arrive meanwhile shift nothing."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from dataclasses import field as kept
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.http import QueryDict
from django.utils.functional import Promise

from ..models.visibility import AccountQuerySet

PAGE_SIZE = 50
# Parameters that say where in a list one is, not which list.
CURSORS = ("after", "before", "back", "down", "v")
# Rows of a page that reaches down to a given place, and about the most of one that grows.
WINDOW = 500


@dataclass(frozen=True)
class Sort:
    """An order that a list offers: by an indexed column, then perhaps `then`, ties by `tie`, the primary key.

    Rows without a value are left out of it.
    """

    key: str
    # Said in the language of the reader: no part of what the order is.
    label: str | Promise = kept(compare=False)
    field: str
    descending: bool = True
    nullable: bool = False
    then: str = ""
    tie: str = "id"

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field, self.then) if self.then else (self.field,)


@dataclass(frozen=True)
class Page:
    rows: list[Any]
    sort: Sort
    sorts: tuple[Sort, ...]
    # Query strings (with "?") of the neighbours, empty where there is none.
    newer: str
    older: str
    # Query string of the first page, empty on it ("?" when it has none).
    first: str = ""
    # The place that the page reaches down to, empty when it is a page of the usual size.
    down: str = ""
    # The place of the last row, also where none is older: what `down` takes. Empty without rows.
    end: str = ""

    @property
    def is_first(self) -> bool:
        return not self.first


def page_of(queryset: QuerySet[Any], query: QueryDict, sorts: tuple[Sort, ...], size: int = PAGE_SIZE) -> Page:
    """The page that `query` asks for (`sort`, `after` or `before`).

    A cursor of another sort or one that cannot be read is the first page: the nearest sense, never an error.
    With `down`, a cursor too, the page has all rows down to that place, if they are no more than WINDOW: what
    somebody has scrolled through. One query; a second one only for who comes back to the first page by "newer", or
    asks for too much. Rows may be model instances or named tuples (`values_list(…, named=True)`) that hold `id` and
    the sorted columns.
    """
    sort = sort_of(query, sorts)
    if sort.nullable:
        queryset = queryset.exclude(**{sort.field: None})
    after, before = (_read_cursor(queryset.model, sort, query.get(name, "")) for name in ("after", "before"))
    backwards = before is not None and after is None
    cursor = before if backwards else after
    if (window := _window(queryset, sort, query, cursor)) is not None:
        return window
    found = first_rows(_beyond(queryset, sort, cursor, backwards), _columns(sort, backwards), size + 1)
    more, rows = len(found) > size, found[:size]
    if backwards and not more:
        # Back at the top: show the first page whole, and as what it is.
        return page_of(queryset, without(query, "before"), sorts, size)
    if backwards:
        rows.reverse()
    return Page(
        rows=rows,
        sort=sort,
        sorts=sorts,
        newer=_link(query, "before", sort, rows[0]) if cursor is not None and rows else "",
        older=_link(query, "after", sort, rows[-1]) if rows and (backwards or more) else "",
        first=_query_text(without(query, *CURSORS)) if cursor is not None else "",
        end=_cursor(sort, rows[-1]) if rows else "",
    )


def _window(queryset: QuerySet[Any], sort: Sort, query: QueryDict, after: tuple[Any, ...] | None) -> Page | None:
    place = query.get("down", "")
    down = None if query.get("before") else _read_cursor(queryset.model, sort, place)
    if down is None:
        return None
    within = _beyond(_beyond(queryset, sort, after, False), sort, down, True, inclusive=True)
    rows = first_rows(within, _columns(sort, False), WINDOW + 1)
    if len(rows) > WINDOW:
        return None
    older = without(query, *CURSORS)
    older["after"] = place
    newer = _link(query, "before", sort, rows[0]) if after is not None and rows else ""
    first = _query_text(without(query, *CURSORS)) if after is not None else ""
    return Page(rows, sort, (sort,), newer=newer, older=_query_text(older), first=first, down=place, end=place)


def sort_of(query: QueryDict, sorts: tuple[Sort, ...]) -> Sort:
    """The order that `query` asks for, or the first one."""
    return next((each for each in sorts if each.key == query.get("sort")), sorts[0])


def rows_beyond(queryset: QuerySet[Any], sort: Sort, last: Any | None, limit: int) -> list[Any]:
    """The next rows of a list behind its row `last`, or its first ones. One query, the same for any `last`."""
    cursor = None if last is None else tuple(getattr(last, name) for name in (*sort.fields, sort.tie))
    return first_rows(_beyond(queryset, sort, cursor, backwards=False), _columns(sort, backwards=False), limit)


def growing_page(queryset: QuerySet[Any], query: QueryDict, sorts: tuple[Sort, ...]) -> Page:
    """A page that grows at its end: with `back` in the query all rows down to that cursor and a page beyond it.

    So nothing that is being read moves. Its `older` grows it on; from WINDOW on it leads to a page of its own,
    where `after` and `before` lead on as in `page_of`. One query, two with `back`.
    """
    sort, back = sorts[0], _read_cursor(queryset.model, sorts[0], query.get("back", ""))
    if back is None or "after" in query or "before" in query:
        page = page_of(queryset, without(query, "back"), sorts)
        grows = page.is_first and page.older
        return replace(page, older=_link(query, "back", sort, page.rows[-1])) if grows else page
    above, below = _beyond(queryset, sort, back, True, inclusive=True), _beyond(queryset, sort, back, False)
    head = first_rows(above, _columns(sort, False), 2 * WINDOW)
    tail = first_rows(below, _columns(sort, False), PAGE_SIZE + 1)
    more, rows = len(tail) > PAGE_SIZE, head + tail[:PAGE_SIZE]
    if len(head) == 2 * WINDOW:  # so much came meanwhile that it is better read from the top
        return growing_page(queryset, without(query, "back"), sorts)
    name = "back" if len(rows) < WINDOW else "after"
    return Page(rows, sort, sorts, "", _link(query, name, sort, rows[-1]) if more else "")


def first_rows(queryset: QuerySet[Any], columns: tuple[str, ...], limit: int) -> list[Any]:
    """The first rows in the order of `columns` ("-" before a name: descending), in one query.

    Of several accounts it joins the first rows of each: so it never sorts more than those (see by_account).
    """
    parts = queryset.parts(columns, limit) if isinstance(queryset, AccountQuerySet) else [queryset]
    if len(parts) == 1:
        queryset = parts[0]
    else:
        try:
            firsts = _ids_of_each(parts, columns, limit)
        except EmptyResultSet:  # the conditions can hold for no row at all
            return []
        # The conditions held in the parts. Said again, they would tempt SQLite to walk another index.
        queryset = queryset.all()
        queryset.query.clear_where()
        queryset = queryset.filter(pk__in=firsts)
    return list(queryset.order_by(*columns)[:limit])


def _ids_of_each(parts: list[Any], columns: tuple[str, ...], limit: int) -> RawSQL:
    """Ids of the first rows of each part, as a subquery. Of Django's own SQL, put together by hand: its union() takes
    no LIMIT in a part on SQLite, and the way around that costs more than the whole query."""
    pieces: list[str] = []
    values: list[Any] = []
    for at, part in enumerate(parts):
        key = part.model._meta.pk
        sql, params = part.order_by(*columns).values(key.attname)[:limit].query.sql_with_params()
        pieces.append(f'SELECT "part_{at}"."{key.column}" FROM ({sql}) AS "part_{at}"')  # noqa: S608 (values stay apart)
        values += params
    return RawSQL(" UNION ALL ".join(pieces), values)  # noqa: S611 (as above)


def count_up_to(queryset: QuerySet[Any], limit: int = 1000) -> str:
    """How many rows there are, as text; "1,000+" beyond the limit: counting never reads a whole table."""
    found = queryset.order_by()[: limit + 1].count()
    return f"{limit:,}+" if found > limit else f"{found:,}"


def without(query: QueryDict, *names: str) -> QueryDict:
    """A copy of the query without these parameters and without empty ones."""
    copy = query.copy()
    for name in list(copy):
        if name in names or not copy.get(name, "").strip():
            del copy[name]
    return copy


def _columns(sort: Sort, backwards: bool) -> tuple[str, ...]:
    sign = "-" if sort.descending != backwards else ""
    return tuple(sign + name for name in (*sort.fields, sort.tie))


def _beyond(
    queryset: QuerySet[Any], sort: Sort, cursor: tuple[Any, ...] | None, backwards: bool, inclusive: bool = False
) -> QuerySet[Any]:
    if cursor is None:
        return queryset
    way = "lt" if sort.descending != backwards else "gt"
    first, *rest = zip((*sort.fields, sort.tie), cursor, strict=True)
    # Column by column: beyond in the first, or equal in it and beyond in the next.
    condition = Q(**{f"{first[0]}__{way}": first[1]})
    equal = Q(**{first[0]: first[1]})
    for name, value in rest:
        condition |= equal & Q(**{f"{name}__{way}": value})
        equal &= Q(**{name: value})
    if inclusive:
        condition |= equal
    # The first half looks redundant; it is what lets the index be entered at the cursor.
    return queryset.filter(Q(**{f"{first[0]}__{way}e": first[1]}) & condition)


def _query_text(query: QueryDict) -> str:
    return "?" + query.urlencode()


def _link(query: QueryDict, name: str, sort: Sort, row: Any) -> str:
    copy = without(query, *CURSORS)
    copy[name] = _cursor(sort, row)
    return _query_text(copy)


def _cursor(sort: Sort, row: Any) -> str:
    values = (getattr(row, field) for field in sort.fields)
    texts = [value.isoformat() if isinstance(value, datetime) else str(value) for value in values]
    tie = getattr(row, sort.tie)
    cursor = json.dumps([sort.key, *texts, tie if sort.tie == "id" else str(tie)]).encode()
    return base64.urlsafe_b64encode(cursor).decode().rstrip("=")


def _read_cursor(model: type[Model], sort: Sort, text: str) -> tuple[Any, ...] | None:
    if not text or len(text) > 1000:
        return None
    try:
        key, *values, pk = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if sort.tie == "uuid":
            pk = UUID(pk) if isinstance(pk, str) else None
        elif type(pk) is not int or abs(pk) >= 2**63:
            pk = None
        if key != sort.key or pk is None:
            return None
        return *(_value(model, *pair) for pair in zip(sort.fields, values, strict=True)), pk
    except (ValueError, TypeError, OverflowError, InvalidOperation, RecursionError):
        return None


def _value(model: type[Model], field: str, text: Any) -> Any:
    if not isinstance(text, str) or "\x00" in text:
        raise ValueError("a cursor's value is text without NUL")
    text.encode()  # raises for half of a pair of surrogates, which JSON can spell and no database takes
    kind = model._meta.get_field(field).get_internal_type()
    if kind == "DateTimeField":
        value = datetime.fromisoformat(text)
        if value.tzinfo is None:
            raise ValueError("a cursor's time has a zone")
        # In UTC: near the ends of the calendar not every time has one.
        return value.astimezone(UTC)
    if kind == "DecimalField":
        number = Decimal(text)
        if not number.is_finite() or abs(number) >= 10**12:
            raise ValueError("a cursor's number fits the column")
        return number
    if kind.endswith(("IntegerField", "AutoField")):
        number_value = int(text)
        if abs(number_value) >= 2**63:
            raise ValueError("a cursor's number fits the column")
        return number_value
    return text
