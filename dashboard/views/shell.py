"""What the frame around every page shows: navigation, accounts, balance, warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from ..access_rules import Rule, may
from ..live import topics
from ..live.topics import live_version
from ..models import Account, Alert
from ..sync.health import stale_sentences
from .access import ACCOUNT, accounts_in_view, named_account
from .doubtful import review_count
from .panels import Context, Panel, stored_versions_of
from .unread import read_version, unread_text

# Key, label, icon, URL. The first five are the bar of a phone.
NAVIGATION: tuple[tuple[str, str | Promise, str, str], ...] = (
    ("overview", gettext_lazy("Overview"), "layout-dashboard", "/"),
    ("inbox", gettext_lazy("Inbox"), "inbox", "/inbox/"),
    ("bookings", gettext_lazy("Bookings"), "smartphone", "/bookings/"),
    ("catalog", gettext_lazy("Catalogue"), "store", "/catalog/"),
    ("orders", gettext_lazy("Orders"), "receipt-text", "/orders/"),
    ("purchases", gettext_lazy("Purchases"), "wallet", "/purchases/"),
    ("sim-cards", gettext_lazy("SIM cards"), "cpu", "/sim-cards/"),
    ("activity", gettext_lazy("Activity"), "history", "/activity/"),
    ("status", gettext_lazy("Status"), "radio", "/status/"),
)

# Where a language needs a shorter word in the bar.
SHORT = {"inbox": pgettext_lazy("bar of a phone", "Inbox"), "orders": pgettext_lazy("bar of a phone", "Orders")}

INBOX, PURCHASES = (
    next(at for at, entry in enumerate(NAVIGATION) if entry[0] == key) for key in ("inbox", "purchases")
)

# Fields of an account that pages show; never its key.
SHOWN = (
    "name",
    "enabled",
    "is_demo",
    "balance_usd",
    "balance_at",
    "key_ok",
    "key_verdict",
    "low_balance_usd",
    "open_alerts",
)


SAID_BY_STALE = (Alert.Kind.KEY_REFUSED, Alert.Kind.SYNC_STALE)


@dataclass(frozen=True)
class Shell:
    nav: list[dict[str, Any]] = field(default_factory=list)
    # All that the person sees, to choose from; those that the page is about; the chosen one, if it is one of several.
    accounts: list[Account] = field(default_factory=list)
    in_view: list[Account] = field(default_factory=list)
    chosen: Account | None = None
    # What the URL says of the account, for what leads on from here; empty where it says nothing.
    named: str = ""
    demo: bool = False
    stale: list[str] = field(default_factory=list)
    # Where the moving parts of the frame are asked for; None before the sign-in.
    panel: dict[str, Any] | None = None
    # All that moves, as it was before the page's data were read: the stream says at its opening if that is still so.
    live_version: str = ""

    @property
    def alerts(self) -> list[dict[str, str]]:
        """What needs a hand, and is not said by `stale` already."""
        told = [alert for account in self.in_view for alert in account.open_alerts]
        return [alert for alert in told if alert["kind"] not in SAID_BY_STALE]

    @property
    def balance_is_low(self) -> bool:
        return any(account.balance_is_low for account in self.in_view)

    @property
    def balance(self) -> Decimal | None:
        """USD over the accounts in view that have one, or None before the first read."""
        known = [account.balance_usd for account in self.in_view if account.balance_usd is not None]
        return sum(known[1:], known[0]) if known else None


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `shell` (read only when a template asks, so a fragment pays nothing) and `theme`."""
    theme = getattr(request.user, "theme", "") if hasattr(request, "user") else ""
    return {"shell": SimpleLazyObject(lambda: _shell(request)), "theme": theme_of(request, theme)}


def theme_of(request: HttpRequest, else_theme: str = "") -> str:
    """What this browser has chosen, "" for what its system says."""
    chosen = request.COOKIES.get("theme", else_theme)
    return chosen if chosen in ("light", "dark") else ""


def accounts_of(request: HttpRequest) -> list[Account]:
    """The accounts that the person may see, by name, with the fields of SHOWN. One query a request."""
    known: list[Account] | None = getattr(request, "_accounts", None)
    if known is None:
        known = list(Account.objects.visible_to(request.user).only(*SHOWN))
        request._accounts = known  # type: ignore[attr-defined]
    return known


def in_view_of(request: HttpRequest) -> list[Account]:
    """Those of them that the pages are about, as the header says."""
    ids = accounts_in_view(request, Rule.READ)
    return [account for account in accounts_of(request) if account.pk in ids]


def names_of(request: HttpRequest) -> dict[int, str]:
    """Names of the accounts by id, to tell rows apart: none where all rows are of one."""
    several = len(accounts_in_view(request, Rule.READ)) > 1
    return {account.pk: account.name for account in in_view_of(request)} if several else {}


def stale_of(request: HttpRequest) -> list[str]:
    """What is not current, in sentences. One query a request."""
    known: list[str] | None = getattr(request, "_stale", None)
    if known is None:
        known = stale_sentences(in_view_of(request))
        request._stale = known  # type: ignore[attr-defined]
    return known


def _shell(request: HttpRequest) -> Shell:
    if not hasattr(request, "user") or not request.user.is_authenticated:
        return Shell()
    accounts, in_view = accounts_of(request), in_view_of(request)
    named = named_account(request)
    nav = _navigation(request, f"?{ACCOUNT}={named}" if named else "")
    nav[INBOX] |= {"count": unread_text(request), "count_of": _("unread"), "live": True}
    nav[PURCHASES]["count"] = review_count(request) or None
    nav[PURCHASES]["count_of"] = _("to decide")
    return Shell(
        nav=nav,
        accounts=accounts,
        in_view=in_view,
        chosen=in_view[0] if len(in_view) == 1 < len(accounts) else None,
        named=named,
        demo=any(account.is_demo for account in in_view),
        stale=stale_of(request),
        panel=PANEL.context(request)["panel"],
        live_version=live_version(request.user.visible_account_ids, stored_versions_of(request)),
    )


def _navigation(request: HttpRequest, query: str) -> list[dict[str, Any]]:
    """Where the person can go; what the URL says of the account goes with them."""
    entries: list[tuple[str, str | Promise, str, str, str]] = [(*entry, query) for entry in NAVIGATION]
    if may(request.user, Rule.MEMBERS):
        entries.append(("members", _("Members"), "users", "/members/", query))
    if may(request.user, Rule.ADMIN):
        entries.append(("admin", _("Admin"), "shield", "/admin/", ""))
    return [
        {
            "url": url + query,
            "label": label,
            "short": _short(key, label),
            "icon": icon,
            "current": _is_current(request.path, url),
            "key": key,
        }
        for key, label, icon, url, query in ((key, str(name), *rest) for key, name, *rest in entries)
    ]


def _short(key: str, label: str) -> str:
    """What the bar of a phone says in its place; empty where the whole label fits."""
    short = str(SHORT.get(key, ""))
    return "" if short == label else short


def _is_current(path: str, url: str) -> bool:
    return path == url or (url != "/" and path.startswith(url))


def _nothing_more(request: HttpRequest) -> Context:
    """The template reads `shell`."""
    return {}


# Staleness comes by itself as time passes, so no topic tells of it: it is part of the version.
PANEL = Panel(
    name="shell",
    topics=(topics.BALANCE, topics.SYNC, topics.SMS),
    build=_nothing_more,
    salt=lambda request: "\n".join([read_version(request), *stale_of(request)]),
    every="30s",
    keeps_query=False,
)
