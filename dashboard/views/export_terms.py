"""Whose SMS an export of the inbox holds, in words: those of the accounts in view that the person manages."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from ..access_rules import Rule, may
from ..models import Account
from .paging import CURSORS, without
from .shell import in_view_of


@dataclass(frozen=True)
class Terms:
    """`accounts` are exported, `left_out` are in view as well but not the person's to export. `url` asks, and does."""

    accounts: tuple[Account, ...]
    left_out: tuple[Account, ...]
    url: str

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(account.pk for account in self.accounts)

    @property
    def names(self) -> str:
        return _joined(self.accounts)

    @property
    def left_out_names(self) -> str:
        return _joined(self.left_out)


def terms_of(request: HttpRequest) -> Terms:
    """What the person of `request` may export of what its URL shows. One query a request, shared with the shell."""
    shown = in_view_of(request)
    query = without(request.GET, *CURSORS).urlencode()
    return Terms(
        tuple(account for account in shown if may(request.user, Rule.EXPORT, account.pk)),
        tuple(account for account in shown if not may(request.user, Rule.EXPORT, account.pk)),
        reverse("export-inbox") + (f"?{query}" if query else ""),
    )


def _joined(accounts: tuple[Account, ...]) -> str:
    *most, last = [account.name for account in accounts] or [""]
    return _("%(names)s and %(last)s") % {"names": ", ".join(most), "last": last} if most else last
