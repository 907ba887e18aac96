"""What the pages of lists share: the state of their form, and the names of accounts in their rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from .access import accounts_in_view
from .paging import Sort
from .parameters import choice_of, text_of
from .shell import accounts_of

# The filter that every list has.
ACCOUNT = "account"


def form_state(request: HttpRequest, filters: tuple[str, ...], sorts: tuple[Sort, ...]) -> dict[str, Any]:
    """What the form shows as chosen. One query, for the names of the accounts."""
    accounts = accounts_of(request)
    in_view = accounts_in_view(request)
    return {
        "accounts": accounts if len(accounts) > 1 else [],
        "chosen_account": in_view[0] if len(in_view) == 1 else None,
        "set_filters": set_filters(request, filters),
        "sort": choice_of(request.GET, "sort", tuple(sort.key for sort in sorts)),
        "sorts": sorts,
    }


def set_filters(request: HttpRequest, filters: tuple[str, ...]) -> list[str]:
    """Names of the filters that narrow the list; a sort does not."""
    account = (ACCOUNT,) if accounts_in_view(request) != getattr(request.user, "visible_account_ids", ()) else ()
    return [*account, *(name for name in filters if text_of(request.GET, name))]


def name_accounts(request: HttpRequest, rows: Iterable[Any]) -> bool:
    """Give each row its account's name where the list is about several, and tell whether it is."""
    several = len(accounts_in_view(request)) > 1
    names = {account.pk: account.name for account in accounts_of(request)} if several else {}
    for row in rows:
        row.account_name = names.get(row.account_id, "")
    return several
