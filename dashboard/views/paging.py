"""Pages of a list by keyset: any page costs the same, and rows that arrive meanwhile shift nothing."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import F, Model, Q, QuerySet
from django.http import QueryDict

PAGE_SIZE = 50


@dataclass(frozen=True)
class Sort:
    """An order that a list offers: by an indexed column, then perhaps `then`, ties by id.

    Rows without a value are left out of it.
    """

    key: str
    label: str
    field: str
    descending: bool = True
    nullable: bool = False
    then: str = ""

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

    @property
    def is_first(self) -> bool:
        return not self.newer


def page_of(
    queryset: QuerySet[Any], query: QueryDict, sorts: tuple[Sort, ...], size: int = PAGE_SIZE
) -> Page:
    """The page that `query` asks for (`sort`, `after` or `before`).

    A cursor of another sort or one that cannot be read is the first page: the nearest sense, never an error.
    """
    sort = next((each for each in sorts if each.key == query.get("sort")), sorts[0])
    if sort.nullable:
        queryset = queryset.exclude(**{sort.field: None})
    after, before = (_read_cursor(queryset.model, sort, query.get(name, "")) for name in ("after", "before"))
    backwards = before is not None and after is None
    cursor = before if backwards else after
    descending = sort.descending != backwards
    if cursor is not None:
        queryset = queryset.filter(_beyond((*sort.fields, "id"), cursor, descending))
    columns = (F(name).desc() if descending else F(name).asc() for name in (*sort.fields, "id"))
    found = list(queryset.order_by(*columns)[: size + 1])
    more, rows = len(found) > size, found[:size]
    if backwards:
        rows.reverse()
    has_newer = more if backwards else after is not None
    has_older = cursor is not None if backwards else more
    return Page(
        rows=rows,
        sort=sort,
        sorts=sorts,
        newer=_link(query, "before", sort, rows[0]) if has_newer and rows else "",
        older=_link(query, "after", sort, rows[-1]) if has_older and rows else "",
    )


def count_up_to(queryset: QuerySet[Any], limit: int = 1000) -> str:
    """How many rows there are, as text; "1,000+" beyond the limit: counting never reads a whole table."""
    found = queryset.order_by()[: limit + 1].count()
    return f"{limit:,}+" if found > limit else f"{found:,}"


def without(query: QueryDict, *names: str) -> QueryDict:
    """A copy of the query without these parameters and without empty ones."""
    copy = query.copy()
    for name in list(copy):
        if name in names or not copy[name].strip():
            del copy[name]
    return copy


def _beyond(fields: tuple[str, ...], cursor: tuple[Any, ...], descending: bool) -> Q:
    way = "lt" if descending else "gt"
    first, *rest = zip(fields, cursor, strict=True)
    # Column by column: beyond in the first, or equal in it and beyond in the next.
    condition = Q(**{f"{first[0]}__{way}": first[1]})
    equal = Q(**{first[0]: first[1]})
    for name, value in rest:
        condition |= equal & Q(**{f"{name}__{way}": value})
        equal &= Q(**{name: value})
    # The first half looks redundant; it is what lets the index be entered at the cursor.
    return Q(**{f"{first[0]}__{way}e": first[1]}) & condition


def _link(query: QueryDict, name: str, sort: Sort, row: Model) -> str:
    copy = without(query, "after", "before", "v")
    values = (getattr(row, field) for field in sort.fields)
    texts = [value.isoformat() if isinstance(value, datetime) else str(value) for value in values]
    cursor = json.dumps([sort.key, *texts, row.pk]).encode()
    copy[name] = base64.urlsafe_b64encode(cursor).decode().rstrip("=")
    return "?" + copy.urlencode()


def _read_cursor(model: type[Model], sort: Sort, text: str) -> tuple[Any, ...] | None:
    if not text or len(text) > 1000:
        return None
    try:
        key, *values, pk = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if key != sort.key or type(pk) is not int or abs(pk) >= 2**63:
            return None
        return *(_value(model, *pair) for pair in zip(sort.fields, values, strict=True)), pk
    except (ValueError, TypeError, InvalidOperation, RecursionError):
        return None


def _value(model: type[Model], field: str, text: Any) -> Any:
    if not isinstance(text, str) or "\x00" in text:
        raise ValueError("a cursor's value is text without NUL")
    kind = model._meta.get_field(field).get_internal_type()
    if kind == "DateTimeField":
        value = datetime.fromisoformat(text)
        if value.tzinfo is None:
            raise ValueError("a cursor's time has a zone")
        return value
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
