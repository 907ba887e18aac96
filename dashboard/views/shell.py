"""What the frame around every page shows: navigation, accounts, balance, warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from ..models import Account
from ..sync.health import stale_sentences
from .access import may_administer

NAVIGATION = (
    ("overview", "Overview", "layout-dashboard", "/"),
    ("inbox", "Inbox", "inbox", "/inbox/"),
    ("bookings", "Bookings", "smartphone", "/bookings/"),
    ("catalog", "Catalogue", "store", "/catalog/"),
    ("orders", "Orders", "receipt-text", "/orders/"),
    ("sim-cards", "SIM cards", "cpu", "/sim-cards/"),
    ("status", "Status", "radio", "/status/"),
)


@dataclass(frozen=True)
class Shell:
    nav: list[dict[str, Any]]
    accounts: list[Account] = field(default_factory=list)
    demo: bool = False
    stale: list[str] = field(default_factory=list)

    @property
    def balance(self) -> Any:
        """USD over all accounts that have one, or None before the first read."""
        known = [account.balance_usd for account in self.accounts if account.balance_usd is not None]
        return sum(known[1:], known[0]) if known else None

    @property
    def balance_at(self) -> Any:
        """The oldest of the readings that `balance` adds up."""
        return min((account.balance_at for account in self.accounts if account.balance_at), default=None)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `shell` (read only when a template asks, so a fragment pays nothing) and `theme`."""
    theme = getattr(request.user, "theme", "") if hasattr(request, "user") else ""
    chosen = request.COOKIES.get("theme", theme)
    return {
        "shell": SimpleLazyObject(lambda: _shell(request)),
        "theme": chosen if chosen in ("light", "dark") else "",
    }


def _shell(request: HttpRequest) -> Shell:
    if not hasattr(request, "user") or not request.user.is_authenticated:
        return Shell(nav=[])
    entries = [*NAVIGATION]
    if may_administer(request.user):
        entries.append(("admin", "Admin", "shield", "/admin/"))
    nav = [
        {"url": url, "label": label, "icon": icon, "current": _is_current(request.path, url), "key": key}
        for key, label, icon, url in entries
    ]
    accounts = list(Account.objects.visible_to(request.user).defer("sealed_key", "sealed_fingerprint_key"))
    return Shell(
        nav=nav,
        accounts=accounts,
        demo=any(account.is_demo for account in accounts),
        stale=stale_sentences(accounts),
    )


def _is_current(path: str, url: str) -> bool:
    return path == url or (url != "/" and path.startswith(url))
