"""The overview: figures, what runs now, and the newest messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_safe

from ..access_rules import Rule, accounts_with, may
from ..live import topics
from ..local_time import Clock, iso
from ..models import BalanceReading, Booking, Order, Sms, SyncState
from ..reading import unread_of
from ..sync.health import is_stale, stale_at
from .access import accounts_in_view
from .bookings import next_end
from .paging import first_rows
from .panels import Context, Panel
from .rows import Row, booking_rows, joined, sms_rows
from .shell import accounts_of, in_view_of, names_of
from .sparkline import points
from .unread import read_version, states_of

RUNNING, NEWEST_SMS = 12, 8
LINE_DAYS = 30
# An open page asks for its figures so often; a figure is called old only if that failed too.
FIGURES_EVERY = 60
UNANSWERED = timedelta(seconds=2 * FIGURES_EVERY + 10)
# Ages shown in the figures' footnote, by what people call them.
SHOWN_KINDS = (
    (SyncState.Kind.SMS, "SMS"),
    (SyncState.Kind.CURRENT, gettext_noop("bookings")),
    (SyncState.Kind.ORDERS, gettext_noop("orders")),
)


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    panels = {"figures": FIGURES, "running": RUNNING_NOW, "newest": NEWEST}
    context: dict[str, Any] = {name: panel.context(request) for name, panel in panels.items()}
    context["has_accounts"] = bool(accounts_of(request))
    context["may_administer"] = may(request.user, Rule.ADMIN)
    return render(request, "dashboard/overview.html", context)


def _build_figures(request: HttpRequest) -> Context:
    clock = Clock()
    in_view = accounts_in_view(request)
    orders = Order.objects.of_accounts(in_view)
    states = list(SyncState.objects.of_accounts(in_view))
    running = Booking.objects.of_accounts(in_view).running(clock.at)
    return {
        "balance": _balance(request, states, clock),
        "running": running.aggregate(
            count=Count("pk"),
            waiting=Count("pk", filter=Q(newest_sms=None)),
            ending=Count("pk", filter=Q(runs_until__lte=clock.at + timedelta(hours=1))),
        ),
        "spent_today": orders.spent_since(clock.day_start()),
        "spent_this_month": orders.spent_since(clock.month_start()),
        "health": _health(request, states, clock),
    }


def _balance(request: HttpRequest, states: list[SyncState], clock: Clock) -> Row:
    """Sum over the accounts in view, when the oldest part of it was read, and its line over LINE_DAYS days."""
    in_view = accounts_in_view(request)
    accounts = in_view_of(request)
    known = [account.balance_usd for account in accounts if account.balance_usd is not None]
    total: Decimal | None = sum(known[1:], known[0]) if known else None
    since = clock.at - timedelta(days=LINE_DAYS)
    readings = BalanceReading.objects.of_accounts(in_view).filter(hour__gte=since).order_by("hour")
    line = points(readings.values_list("account_id", "hour", "balance_usd"), since, clock.at, total)
    mine = [state for state in states if state.kind == SyncState.Kind.BALANCE]
    return {"usd": total, "line": line, "days": LINE_DAYS, **_age(mine, clock)}


def _age(states: list[SyncState], clock: Clock) -> Row:
    """When the oldest of these was read, and from when on it is old even if no answer of ours says so."""
    read = [state.last_success_at for state in states if state.last_success_at]
    stale = [moment for state in states if (moment := stale_at(state))]
    return {
        "read_at": min(read, default=None),
        "stale_after": iso(max(min(stale), clock.at + UNANSWERED)) if stale else "",
        "is_stale": any(is_stale(state, clock.at) for state in states),
    }


def _health(request: HttpRequest, states: list[SyncState], clock: Clock) -> Row:
    """How the reading goes: what is not current and since when, and the ages of what people look at most."""
    in_view = accounts_in_view(request)
    paused = {each.pk for each in accounts_of(request) if not each.enabled and each.pk in in_view}
    read = [state for state in states if state.account_id not in paused]
    stale = [state for state in read if is_stale(state, clock.at)]
    failing = [state for state in read if state.failures and state.last_success_at is None]
    ages = []
    for kind, name in SHOWN_KINDS:
        moments = [each.last_success_at for each in read if each.kind == kind and each.last_success_at]
        if moments:
            ages.append({"name": _(name), "at": min(moments)})
    since: datetime | None = min((each.last_success_at for each in stale if each.last_success_at), default=None)
    return {
        "never_read": not any(state.last_success_at for state in states),
        "paused": len(paused) == len(in_view) and bool(in_view),
        "stale": sorted({each.get_kind_display() for each in stale + failing}),
        "since": since,
        "ages": ages,
        "stale_after": iso(clock.at + UNANSWERED),
    }


def _figures_salt(request: HttpRequest) -> str:
    """Ages and what "today" is move by themselves: an open page gets them anew at each of its slow questions."""
    return str(int(Clock().at.timestamp()) // (FIGURES_EVERY - 5))


def _build_running(request: HttpRequest) -> Context:
    clock = Clock()
    rows = Booking.objects.of_accounts(accounts_in_view(request)).running(clock.at).for_list()
    soonest = first_rows(rows, ("runs_until", "id"), RUNNING + 1)
    return {
        "rows": booking_rows(soonest[:RUNNING], clock, names_of(request), accounts_with(request.user, Rule.ACT)),
        "more": len(soonest) > RUNNING,
    }


def _build_newest(request: HttpRequest) -> Context:
    rows = Sms.objects.of_accounts(accounts_in_view(request)).for_list()
    newest = first_rows(rows, ("-received_at", "-id"), NEWEST_SMS)
    unread = unread_of(request.user.pk or 0, states_of(request), newest)
    return {"rows": joined(sms_rows(newest, Clock(), names_of(request), unread))}


FIGURES = Panel(
    "figures",
    (topics.BALANCE, topics.BOOKINGS, topics.SMS, topics.ORDERS, topics.SYNC),
    _build_figures,
    salt=_figures_salt,
    every=f"{FIGURES_EVERY}s",
)
RUNNING_NOW = Panel("running", (topics.BOOKINGS,), _build_running, salt=next_end)
NEWEST = Panel("newest", (topics.SMS,), _build_newest, salt=lambda request: f"{Clock().today} {read_version(request)}")
