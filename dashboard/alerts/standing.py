"""What stands now: pure reading, a fixed number of queries for all accounts together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ..models import Account, Alert, Booking, Purchase, SmsGap, SyncState
from ..sync.health import stale_at
from ..wording import usd

Kind = Alert.Kind
# A purchase that is looked into for so long needs a person, one that a manager decides at once.
UNKNOWN_FOR = timedelta(minutes=15)
STALE_FOR = timedelta(minutes=2)
# A read that takes longer is not one that is just being made.
ANSWERED_WITHIN = timedelta(seconds=10)
# What is lost for good is told, and is no news any more after a day.
LOST_FOR = timedelta(days=1)
# Other providers renew two days before the end (users.md, row 19).
RENEWS_WITHIN = timedelta(days=3)


@dataclass(frozen=True)
class Standing:
    account_id: int
    kind: str
    key: str
    words: str


def standing(accounts: list[Account], now: datetime) -> list[Standing]:
    """What needs a hand in these accounts, which are not paused."""
    named = {account.pk: account for account in accounts}
    return [
        *_of_accounts(accounts),
        *_of_purchases(named, now),
        *_of_syncs(named, now),
        *_of_gaps(named, now),
        *_of_renewals(named, now),
    ]


def _of_accounts(accounts: list[Account]) -> Iterator[Standing]:
    for account in accounts:
        if account.balance_is_low:
            words = f"The balance of {account.name} is low: under {usd(account.low_balance_usd)}."
            yield Standing(account.pk, Kind.LOW_BALANCE, "", words)
        if account.key_ok is False:
            words = f"ANOSIM refuses the key of {account.name}. {account.key_verdict}"
            yield Standing(account.pk, Kind.KEY_REFUSED, "", words)


def _of_purchases(named: dict[int, Account], now: datetime) -> Iterator[Standing]:
    rows = Purchase.objects.of_accounts(named).filter(status__in=Purchase.UNSETTLED)
    for purchase in rows.only("account_id", "status", "sent_at", "price_usd"):
        review = purchase.status == Purchase.Status.NEEDS_REVIEW
        if review or (purchase.sent_at and purchase.sent_at < now - UNKNOWN_FOR):
            price, name = usd(purchase.price_usd), named[purchase.account_id].name
            end = "A manager decides." if review else "Do not order again."
            words = f"It is not known whether a purchase for {price} in {name} was made. {end}"
            yield Standing(purchase.account_id, Kind.UNKNOWN_PURCHASE, str(purchase.pk), words)


def _of_syncs(named: dict[int, Account], now: datetime) -> Iterator[Standing]:
    late: dict[int, list[str]] = {}
    for state in SyncState.objects.of_accounts(named).order_by("kind"):
        if _stays_stale(state, now):
            late.setdefault(state.account_id, []).append(state.get_kind_display())
    for account_id, kinds in late.items():
        account = named[account_id]
        if account.key_ok is not False:
            words = f"{account.name} is not current: {', '.join(kinds)}."
            yield Standing(account_id, Kind.SYNC_STALE, "", words)


def _stays_stale(state: SyncState, now: datetime) -> bool:
    """Old for a while, and not because nobody asked: after a night switched off everything is old, and read at once."""
    at = stale_at(state)
    if at is None or at + STALE_FOR >= now:
        return False
    if state.error_since is not None:
        return state.error_since + STALE_FOR < now
    # Asked, and neither an answer nor an error came: whoever asked was killed, or hangs.
    return state.last_attempt_at is not None and at < state.last_attempt_at < now - ANSWERED_WITHIN


def _of_gaps(named: dict[int, Account], now: datetime) -> Iterator[Standing]:
    for gap in SmsGap.objects.of_accounts(named).filter(lost=True, found_at__gt=now - LOST_FOR):
        words = f"SMS of {named[gap.account_id].name} before {gap.to_at:%d %b %H:%M} UTC are lost: see Status."
        yield Standing(gap.account_id, Kind.SMS_LOST, str(gap.pk), words)


def _of_renewals(named: dict[int, Account], now: datetime) -> Iterator[Standing]:
    """Rentals that renew soon, at what they cost last, against the balance."""
    soon = Booking.objects.of_accounts(named).running(now).filter(runs_until__lte=now + RENEWS_WITHIN)
    due: dict[int, list[Decimal]] = {}
    for account_id, price in soon.filter(auto_renewal=True).values_list("account_id", "price_usd"):
        due.setdefault(account_id, []).append(price or Decimal(0))
    for account_id, prices in due.items():
        account, needed = named[account_id], sum(prices, Decimal(0))
        if account.balance_usd is not None and account.balance_usd < needed:
            where, cost = account.name, usd(needed)
            words = f"{len(prices)} rentals renew in {where} within 3 days for {cost}; the balance is not enough."
            if len(prices) == 1:
                words = f"1 rental renews in {where} within 3 days for {cost}; the balance is not enough."
            yield Standing(account_id, Kind.RENEWAL_SHORT, "", words)
