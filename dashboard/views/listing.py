"""What the pages of lists share: the state of their form, and the names of accounts in their rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from .paging import Sort
from .parameters import choice_of, text_of
from .shell import names_of


def form_state(request: HttpRequest, filters: tuple[str, ...], sorts: tuple[Sort, ...]) -> dict[str, Any]:
    """What the form shows as chosen."""
    return {
        "set_filters": set_filters(request, filters),
        "sort": choice_of(request.GET, "sort", tuple(sort.key for sort in sorts)),
        "sorts": sorts,
    }


def set_filters(request: HttpRequest, filters: tuple[str, ...]) -> list[str]:
    """Names of the filters that narrow the list; a sort does not."""
    return [name for name in filters if text_of(request.GET, name)]


def name_accounts(request: HttpRequest, rows: Iterable[Any]) -> bool:
    """Give each row its account's name where the list is about several, and tell whether it is."""
    names = names_of(request)
    for row in rows:
        row.account_name = names.get(row.account_id, "")
    return bool(names)
