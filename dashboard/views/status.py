"""Status: how the reading of each account goes: what is current, what failed since when, what comes next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from anosim_dashboard import shared_clock

from .. import audit
from ..access_rules import Rule, may
from ..health import checks
from ..live import topics
from ..models import Account, Alert, Purchase, SmsGap, SyncState
from ..sync import schedule
from ..sync.health import is_stale, stale_at
from .access import account_for, accounts_in_view
from .panels import Context, Panel

# Seconds after which the panel is rendered anew though nothing went wrong: successes move no topic.
ROUND = 20
MOST_GAPS = 50
ALERTS_OF = timedelta(days=7)


@dataclass(frozen=True)
class Row:
    """One kind of data of one account. `tone` is a badge's class."""

    state: SyncState
    word: str
    tone: str
    stale_after: datetime | None

    @property
    def is_current(self) -> bool:
        return self.tone == "ok"


@dataclass(frozen=True)
class Health:
    """One account: its rows in the order of SyncState.Kind, and its gaps, newest first."""

    account: Account
    rows: list[Row] = field(default_factory=list)
    gaps: list[SmsGap] = field(default_factory=list)
    breaker_open: bool = False

    @property
    def current(self) -> int:
        return sum(row.is_current for row in self.rows)

    @property
    def has_notes(self) -> bool:
        """Whether the account as a whole has something to tell."""
        account = self.account
        ready = account.enabled and account.sealed_key and account.key_ok is not False
        return not ready or self.breaker_open or self.silent_worker or bool(self.gaps)

    @property
    def silent_worker(self) -> bool:
        """Everything is late and nothing failed: the provider was not even asked."""
        late = [row for row in self.rows if row.word == _("Late")]
        return bool(late) and len(late) == len(self.rows)


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/status.html", PANEL.context(request))


@require_POST
def read_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Make every kind of the account due now. For admins; to others the address does not exist."""
    account = account_for(request, pk)
    if not account.enabled:
        messages.error(
            request,
            _("%(account)s is paused, so nothing is read. Switch it on in Admin first.") % {"account": account.name},
        )
    elif not account.sealed_key:
        messages.error(
            request,
            _("%(account)s has no API key, so nothing can be read. Put one in in Admin.") % {"account": account.name},
        )
    else:
        schedule.ensure_states()
        with transaction.atomic():
            schedule.read_all_now(account.pk)
            audit.record(request, "sync.read_now", account)
            topics.touch(account.pk, topics.SYNC)
        messages.success(request, _("%(account)s is being read now.") % {"account": account.name})
    return HttpResponseRedirect(reverse("status"))


def _build(request: HttpRequest) -> Context:
    now = shared_clock.now()
    accounts = Account.objects.filter(pk__in=accounts_in_view(request)).defer("sealed_fingerprint_key")
    healths = {account.pk: _health(account) for account in accounts}
    order = {kind: at for at, kind in enumerate(SyncState.Kind.values)}
    states = SyncState.objects.of_accounts(accounts_in_view(request))
    for state in sorted(states, key=lambda state: order.get(state.kind, len(order))):
        if health := healths.get(state.account_id):
            health.rows.append(_row(state, health.account, now))
    for gap in _gaps(request):
        if health := healths.get(gap.account_id):
            health.gaps.append(gap)
    return {
        # The syncs of the accounts stand below, kind by kind.
        "checks": checks([]),
        "alerts": _alerts(request, now),
        "healths": list(healths.values()),
        "may_administer": may(request.user, Rule.ADMIN),
        # Purchases of which nobody knows yet whether they were bought.
        "unsettled": Purchase.objects.of_accounts(accounts_in_view(request)).unsettled().count(),
        **_sum(healths),
    }


def _gaps(request: HttpRequest) -> list[SmsGap]:
    """Gaps that are open or cannot be filled, newest first. Two queries: each has an index, both together none."""
    gaps = SmsGap.objects.of_accounts(accounts_in_view(request)).order_by("-found_at")
    found = [*gaps.filter(closed_at=None)[:MOST_GAPS], *gaps.filter(lost=True)[:MOST_GAPS]]
    return sorted({gap.pk: gap for gap in found}.values(), key=lambda gap: gap.found_at, reverse=True)


def _alerts(request: HttpRequest, now: datetime) -> list[Alert]:
    """What needs a hand, and what was over within the last days; newest first."""
    rows = Alert.objects.of_accounts(accounts_in_view(request)).select_related("account")
    lately = Q(resolved_at=None) | Q(resolved_at__gt=now - ALERTS_OF)
    return list(rows.filter(lately).order_by("-opened_at", "-pk")[:MOST_GAPS])


def _health(account: Account) -> Health:
    return Health(account, breaker_open=account.breaker_until is not None)


def _sum(healths: dict[int, Health]) -> dict[str, Any]:
    """The one figure above all: how much of what should be read is current. Paused accounts do not count."""
    rows = [row for health in healths.values() if health.account.enabled for row in health.rows]
    current = sum(row.is_current for row in rows)
    return {
        "kinds": len(rows),
        "current": current,
        "percent": 100 * current // len(rows) if rows else None,
        "failing": [row for row in rows if row.tone == "end"],
    }


def _row(state: SyncState, account: Account, now: datetime) -> Row:
    word, tone = _word(state, account, now)
    return Row(state, word, tone, stale_at(state))


def _word(state: SyncState, account: Account, now: datetime) -> tuple[str, str]:
    if not account.enabled:
        return _("Paused"), ""
    if state.error and (state.last_success_at is None or is_stale(state, now)):
        return _("Failing"), "end"
    if state.error:
        # One fault and its retry are no news yet: what is shown is still as fresh as promised.
        return _("Retrying"), "wait"
    if state.last_success_at is None:
        return _("Not read yet"), "wait"
    return (_("Late"), "wait") if is_stale(state, now) else (_("Current"), "ok")


PANEL = Panel(
    "status", (topics.SYNC, topics.PURCHASES), _build, salt=lambda request: str(int(time.time() // ROUND)), every="20s"
)
