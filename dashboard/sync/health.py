"""Whether what we show is fresh: read from the sync rows, for the page header, the status page and the overview."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from anosim_dashboard import shared_clock

from ..models import Account, SyncState
from ..sayings import said

# A kind is stale when it was not read for three of its paces and this grace: one fault and its retry are no news.
GRACE = timedelta(seconds=20)
KINDS = dict(SyncState.Kind.choices)
# All that a sentence is made of: every page asks for it.
_SAID = ("account", "kind", "last_success_at", "pace_seconds", "error", "error_since")


def stale_at(state: SyncState) -> datetime | None:
    """The moment from which the kind counts as stale, or None before its first success."""
    if state.last_success_at is None:
        return None
    return state.last_success_at + timedelta(seconds=3 * state.pace_seconds) + GRACE


def is_stale(state: SyncState, now: datetime) -> bool:
    at = stale_at(state)
    return at is not None and at < now


def stale_sentences(accounts: Iterable[Account], now: datetime | None = None) -> list[str]:
    """One sentence for each account whose data are old, with why; empty while all is current. One query."""
    now = now or shared_clock.now()
    named = {account.pk: account for account in accounts}
    states: dict[int, list[SyncState]] = {}
    for state in SyncState.objects.of_accounts(named).only(*_SAID):
        states.setdefault(state.account_id, []).append(state)
    sentences = [_sentence(named[pk], of_account, now) for pk, of_account in states.items()]
    return [sentence for sentence in sentences if sentence]


def _kind(state: SyncState) -> str:
    """What the kind is called; Django's own way looks up the names of all of them each time."""
    return str(KINDS[state.kind])


def _sentence(account: Account, states: list[SyncState], now: datetime) -> str:
    if not account.enabled:
        return _("%(account)s is paused: nothing is read from ANOSIM.") % {"account": account.name}
    if account.key_ok is False:
        return f"{account.name}: {said(account.key_verdict)}"
    failing = [state for state in states if state.error and (is_stale(state, now) or state.last_success_at is None)]
    if failing:
        worst = min(failing, key=lambda state: state.error_since or now)
        names = {"account": account.name, "kind": _kind(worst)}
        return _("%(account)s: %(kind)s are not current.") % names + f" {said(worst.error)}"
    stale = [state for state in states if is_stale(state, now)]
    if stale:
        kinds = ", ".join(_kind(state) for state in stale)
        words = _("%(account)s: no answer from our own worker. Not current: %(kinds)s.")
        return words % {"account": account.name, "kinds": kinds}
    return ""
