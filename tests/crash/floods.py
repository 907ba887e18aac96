"""Bursts that the list of the last 100 cannot hold (reliability.md G13): what the numbers' own lists hold is fetched
from there; of what the provider itself dropped each message lies in a span that is told as lost.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from bench import truth
from bench.accounts import open_accounts, rent
from bench.figures import Report, main
from bench.stack import Stack
from dashboard.sandbox import Sandbox

from .traffic import wait_until

GOALS = ("G13",)
QUESTION = "Bursts of more than 100 SMS: 0 lost where a number's own list holds them, else every loss told"
SETTINGS = {"ANOSIM_MAX_CALLS_PER_SECOND": "50", "LOG_LEVEL": "WARNING"}
SPREAD, ONE, BOTH, NEW = "spread over 20 numbers", "all to one number", "both", "to a number rented a moment ago"
KINDS = (SPREAD, ONE, BOTH, NEW)
PAUSES = (0.0, 1.0, 4.0, 9.0)  # seconds between two bursts: on top of each other, while it is filled, and after
FLOOD = (101, 400)
FILLED_WITHIN = 60.0


@dataclass
class Flood:
    """One kind of burst at a provider of its own."""

    kind: str
    sandbox: Sandbox
    account: Any = None
    sent: int = 0
    rng: Random = field(default_factory=lambda: Random(13))

    def burst(self) -> None:
        world = self.sandbox.world
        numbers = [row.id for row in world.running() if row.extends is None]
        if self.kind == NEW:
            rent(self.sandbox, 1)
            numbers = [max(world.bookings)]
        elif self.kind == ONE:
            numbers = [self.rng.choice(numbers)]
        count = self.rng.randint(*FLOOD)
        for number in range(count):
            self._send(numbers[number % len(numbers)])
        if self.kind == BOTH:
            crowded = self.rng.choice(numbers)
            for _ in range(count // 2):
                self._send(crowded)

    def _send(self, booking: int) -> None:
        self.sandbox.world.receive_sms(booking, f"Your code is {100_000 + self.sent}", "Bank")
        self.sent += 1


def measure(report: Report, options: argparse.Namespace) -> None:
    rounds = 2 if options.quick else 14
    with ExitStack() as opened:
        floods = []
        for seed, kind in enumerate(KINDS, start=131):
            size = {"orders": 6, "bookings": 8, "sms": 30}
            floods.append(Flood(kind, opened.enter_context(Sandbox(seed=seed, size=size, balance="9000.00"))))
            rent(floods[-1].sandbox, 20)
        environment = SETTINGS | {"DATABASE_URL": os.environ.get("DATABASE_URL", "")}
        stack = opened.enter_context(Stack(floods[0].sandbox, environment=environment))
        stack.use_django()
        for flood, account in zip(floods, open_accounts([flood.sandbox for flood in floods]), strict=True):
            flood.account = account
        for number in range(rounds):
            for flood in floods:
                flood.burst()
            time.sleep(PAUSES[number % len(PAUSES)])
        ended = datetime.now(UTC)
        report.add("gaps filled or told after the last", wait_until(lambda: _is_quiet(ended), 240), "s", FILLED_WITHIN)
        for flood in floods:
            _judge(report, flood)
        _judge_alerts(report, stack, floods)


def _is_quiet(since: datetime) -> bool:
    """Whether no gap is open and no list wanted, and the lists were read since the last burst."""
    from dashboard.models import Booking, SmsGap, SyncState

    read = SyncState.objects.filter(kind__in=("sms", "current_bookings"))
    lately = all(state.last_success_at and state.last_success_at > since for state in read)
    return lately and not SmsGap.objects.open().exists() and not Booking.objects.sms_wanted().exists()


def _lost(flood: Flood) -> list[Any]:
    """The messages of a provider that are not stored; of equal ones the older."""
    from dashboard.models import Sms

    rows = Sms.objects.filter(account=flood.account).values_list("number", "sender", "text", "received_at")
    stored = Counter(truth.key_of(*row) for row in rows.iterator())
    lost = []
    for row in reversed(flood.sandbox.world.sms):
        key = truth.key_of(row.number, row.sender, row.text, row.at)
        stored[key] -= 1
        if stored[key] < 0:
            lost.append(row)
    return lost


def _judge(report: Report, flood: Flood) -> None:
    from dashboard.models import Sms, SmsGap

    lost = _lost(flood)
    spans = list(SmsGap.objects.filter(account=flood.account, lost=True))
    still_open = SmsGap.objects.filter(account=flood.account).open().count()
    if still_open:
        report.remark(f"{flood.kind}: {still_open} gap is still open, so what it holds is told as missing for now")
    silent = [row for row in lost if not any((gap.from_at or row.at) <= row.at <= gap.to_at for gap in spans)]
    empty = [gap for gap in spans if not any((gap.from_at or row.at) <= row.at <= gap.to_at for row in lost)]
    if flood.kind == SPREAD:
        report.add(f"{flood.kind}: lost", len(lost), "SMS", 0, n=flood.sent)
    else:
        told = f"{len(lost)} were dropped by the provider, {len(spans)} spans tell so"
        report.add(f"{flood.kind}: lost in silence", len(silent), "SMS", 0, n=flood.sent, spread=told)
    stored = Sms.objects.filter(account=flood.account).count()
    doubled = stored + len(lost) - len(flood.sandbox.world.sms)
    report.add(f"{flood.kind}: doubled", doubled, "SMS", 0, n=flood.sent)
    report.add(f"{flood.kind}: spans told as lost in which nothing is", len(empty), "spans", n=max(1, len(spans)))


def _judge_alerts(report: Report, stack: Stack, floods: list[Flood]) -> None:
    """Whoever looks must see it: the status page says so, and an alert is open for each account that lost some."""
    from dashboard.models import Alert, SmsGap

    concerned = set(SmsGap.objects.filter(lost=True).values_list("account_id", flat=True))

    def untold() -> set[int]:
        return concerned - set(Alert.objects.filter(kind="sms_lost").values_list("account_id", flat=True))

    wait_until(lambda: not untold(), 60)
    report.add("accounts with losses and no alert", len(untold()), "accounts", 0, n=max(1, len(concerned)))
    told = stack.get("/status/").text.count("Some SMS are lost")
    report.add("losses that the status page does not tell", 0 if told or not concerned else 1, "pages", 0)
    report.remark(f"the status page shows {told} lost spans in {len(concerned)} of {len(floods)} accounts")


if __name__ == "__main__":
    main(QUESTION, measure)
