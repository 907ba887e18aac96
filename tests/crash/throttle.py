"""A provider that answers 429 or 5xx to everything for ten minutes (reliability.md G24): how many calls does it still
get, does any come before it allows, is money sent, and how soon is all normal afterwards?

Each account has a provider of its own with another storm, all at once in one stack. People go on working meanwhile:
they buy, switch renewals and open products.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from bench.accounts import open_accounts, rent
from bench.figures import Report, main
from bench.stack import Stack
from dashboard.sandbox import Sandbox

GOALS = ("G24",)
QUESTION = "429 and 5xx for 10 minutes: calls <= 5 % of the usual, none before Retry-After, no spending, soon normal"
STORM, USUAL = 600.0, 60.0
ALLOWED = 5.0  # percent of the usual calls
NORMAL_AFTER = 60.0
# A call that had left before the 429 was read came too late to be stopped.
UNDER_WAY = timedelta(seconds=0.25)


@dataclass
class Storm:
    """What one provider answers, and what came of it."""

    name: str
    faults: dict[str, float]
    retry_after: str
    sandbox: Sandbox
    account: Any = None
    usual: float = 0.0  # calls a second
    calls: list[dict[str, Any]] = field(default_factory=list)
    purchases: list[Any] = field(default_factory=list)

    @property
    def silence(self) -> timedelta:
        return timedelta(seconds=float(self.retry_after) if self.retry_after.isdecimal() else 0.0)

    def calls_between(self, since: datetime, until: datetime) -> list[dict[str, Any]]:
        return [call for call in self.sandbox.calls if since <= datetime.fromisoformat(call["at"]) < until]

    def early(self) -> int:
        """Calls that came after an answer had told us to be silent, and before that was over."""
        found, until, since = 0, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        for call in self.calls:
            at = datetime.fromisoformat(call["at"])
            found += since < at < until
            if call["status"] == 429:
                told = at + timedelta(seconds=call.get("seconds") or 0.0)
                since, until = min(since, told + UNDER_WAY) if at < until else told + UNDER_WAY, told + self.silence
        return found


def _storms(opened: ExitStack, quick: bool) -> list[Storm]:
    kinds: list[tuple[str, dict[str, float], str]] = [
        ("429, Retry-After 1 s", {"throttle-before": 1.0}, "1"),
        ("5xx", {"error-before": 1.0}, "absent"),
        ("429, Retry-After 45 s", {"throttle-before": 1.0}, "45"),
        ("429 without Retry-After", {"throttle-before": 1.0}, "absent"),
        ("429 and 5xx by turns", {"throttle-before": 0.5, "error-before": 1.0}, "5"),
    ]
    size = {"orders": 10, "bookings": 20, "sms": 20}
    storms = []
    for seed, (name, faults, retry_after) in enumerate(kinds[: 2 if quick else None], start=21):
        sandbox = opened.enter_context(Sandbox(seed=seed, size=size, retry_after=retry_after, balance="900.00"))
        rent(sandbox, 6)
        storms.append(Storm(name, faults, retry_after, sandbox))
    return storms


def measure(report: Report, options: argparse.Namespace) -> None:
    seconds, usual = (20.0, 8.0) if options.quick else (STORM, USUAL)
    with ExitStack() as opened:
        storms = _storms(opened, options.quick)
        stack = opened.enter_context(Stack(storms[0].sandbox))
        stack.use_django()
        for storm, account in zip(storms, open_accounts([storm.sandbox for storm in storms]), strict=True):
            storm.account = account
        time.sleep(5 if options.quick else 20)
        _note_usual(storms, usual)
        began, ended = _rage(storms, seconds)
        took = _normal_again(storms, ended)
        for storm in storms:
            storm.calls = storm.calls_between(began, ended)
            _tell(report, storm, seconds, options.quick)
            report.add(f"{storm.name}: all normal after", took[storm.name], "s", NORMAL_AFTER)
        _tell_purchases(report, storms)
    report.remark(
        "the accounts have running numbers; one without is asked 9 times a minute, and probed as often as these"
    )
    if options.quick:
        report.remark(f"a storm of {seconds:g} s says nothing about the share of calls: told, not judged")


def _note_usual(storms: list[Storm], seconds: float) -> None:
    began = datetime.now(UTC)
    time.sleep(seconds)
    for storm in storms:
        storm.usual = len(storm.calls_between(began, datetime.now(UTC))) / seconds


def _rage(storms: list[Storm], seconds: float) -> tuple[datetime, datetime]:
    """The storm, with people who buy at its very start, and ask for all sorts of things in its middle and its end."""
    began = datetime.now(UTC)
    for storm in storms:
        storm.sandbox.set_faults(storm.faults)
    for turn, share in enumerate((0.0, 0.5, 0.95)):
        time.sleep(max(0.0, seconds * share - (datetime.now(UTC) - began).total_seconds()))
        for storm in storms:
            _buy(storm)
            if turn:
                _switch_and_look(storm, turn)
    time.sleep(max(0.0, seconds - (datetime.now(UTC) - began).total_seconds()))
    ended = datetime.now(UTC)
    for storm in storms:
        storm.sandbox.set_faults({})
    return began, ended


def _buy(storm: Storm) -> None:
    from dashboard import tasks
    from dashboard.dispatch import enqueue
    from dashboard.models import Product, User
    from dashboard.purchases import intents

    offers = Product.objects.filter(account=storm.account, rental_type="Activation", on_sale=True).order_by("pk")
    product = offers.select_related("account")[len(storm.purchases)]
    assert product.price_usd is not None
    user = User.objects.get(username="bench")
    storm.purchases.append(
        intents.queue(intents.Wish(user=user, product=product, price=product.price_usd, token=uuid4()))
    )
    enqueue(tasks.send_purchase, str(storm.purchases[-1].pk), expires=30)


def _switch_and_look(storm: Storm, number: int) -> None:
    """Switch the renewal of a number on, open the page of a product."""
    from dashboard import tasks
    from dashboard.dispatch import enqueue
    from dashboard.models import Booking, Product, User
    from dashboard.purchases import changing

    user = User.objects.get(username="bench")
    rental = Booking.objects.filter(account=storm.account, extends=None).running().exclude(rental_type="Activation")
    booking = rental.order_by("pk")[number]
    change = changing.queue(user, storm.account, "renewal_on", booking)
    enqueue(tasks.change_booking, change.pk, expires=30)
    product = Product.objects.filter(account=storm.account, on_sale=True).order_by("pk")[number]
    enqueue(tasks.refresh_product, product.pk, expires=30)


def _normal_again(storms: list[Storm], ended: datetime) -> dict[str, float]:
    """Seconds until nothing of an account fails and all that is read each minute was read since; a silence that was
    asked for last is waited for first."""
    from django.db import close_old_connections

    from dashboard.models import SyncState

    took: dict[str, float] = {}
    began = time.monotonic()
    while len(took) < len(storms) and time.monotonic() - began < 150:
        for storm in storms:
            states = SyncState.objects.filter(account=storm.account)
            # What is read each quarter of an hour or seldomer is only due again if a read of it failed.
            quick = [state.last_success_at for state in states if state.pace_seconds <= 60]
            current = all(at and at >= ended for at in quick)
            if current and not any(state.error for state in states):
                took.setdefault(storm.name, max(0.0, time.monotonic() - began - _silence_left(storm, ended)))
        time.sleep(0.2)
        close_old_connections()
    return {storm.name: took.get(storm.name, 999.0) for storm in storms}


def _silence_left(storm: Storm, ended: datetime) -> float:
    """Seconds for which the last 429 of the storm still asked for silence when the storm was over."""
    told = [datetime.fromisoformat(call["at"]) for call in storm.sandbox.calls if call["status"] == 429]
    return max(0.0, (max(told) + storm.silence - ended).total_seconds()) if told else 0.0


def _tell(report: Report, storm: Storm, seconds: float, quick: bool) -> None:
    reads = [call for call in storm.calls if call["kind"] == "reads"]
    share = 100 * len(reads) / (storm.usual * seconds)
    spread = f"{len(reads)} calls; usual {storm.usual * 60:.0f} a minute"
    report.add(f"{storm.name}: calls", share, "%", None if quick else ALLOWED, spread=spread)
    report.add(f"{storm.name}: calls before Retry-After", storm.early(), "calls", 0, n=len(storm.calls))
    changes = [call for call in storm.calls if call["kind"] != "reads"]
    report.add(f"{storm.name}: POST and PATCH", len(changes), "calls", 0, n=max(1, len(storm.purchases)))
    first = [datetime.fromisoformat(call["at"]) for call in storm.calls]
    opening = sum(at < first[0] + timedelta(seconds=30) for at in first) if first else 0
    report.remark(f"{storm.name}: {opening} of the calls in the first 30 s")


def _tell_purchases(report: Report, storms: list[Storm]) -> None:
    from collections import Counter

    from dashboard.models import Purchase

    mine = [purchase.pk for storm in storms for purchase in storm.purchases]
    ends = time.monotonic() + 60
    open_ones = Purchase.objects.filter(pk__in=mine, status__in=("queued", "preparing", "sending", "unknown"))
    while open_ones.exists() and time.monotonic() < ends:
        time.sleep(0.5)
    words = dict(Counter(Purchase.objects.filter(pk__in=mine).values_list("status", flat=True)))
    report.add("purchases not decided 60 s after", open_ones.count(), "purchases", 0, n=len(mine), spread=str(words))
    sold = sum(row["origin"] == "api" for storm in storms for row in storm.sandbox.ledger)
    told = Purchase.objects.filter(pk__in=mine, status="confirmed").count()
    report.add("sold without a purchase that says so", abs(sold - told), "sales", 0, n=max(1, sold))


if __name__ == "__main__":
    main(QUESTION, measure)
