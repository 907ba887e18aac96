"""Hundreds of purchases through real workers against a provider that fails in every way, and workers that are killed:
is anything bought twice, lost, told wrongly, or out by a cent? (reliability.md G1, G3, G9)
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

from dashboard.sandbox import Sandbox

from . import databases
from .accounts import accounts_at
from .bought import judge
from .figures import Report, main
from .stack import Stack, age_of

QUESTION = "Purchases under faults: 0 doubled, 0 lost, 0 wrong verdicts, sums equal to the cent"
SETTINGS = {
    "PURCHASE_DEADLINE_SECONDS": "2",
    "PURCHASE_SETTLE_SECONDS": "15",
    "ANOSIM_MAX_CALLS_PER_SECOND": "50",
    "LOG_LEVEL": "WARNING",
}
# Every kind of G1; each meets an equal share of the spending calls. Seconds: longer than the deadline of a call.
FAULTS: dict[str, dict[str, float]] = {
    "timeout-before": {"seconds": 6},
    "timeout-after": {"seconds": 6},
    "error-after": {},
    "throttle-after": {},
    "reset-before": {},
    "reset-after": {},
    "truncated-after": {},
    "cut-after": {},
    "html-after": {},
    "empty-after": {},
    "trickle": {"seconds": 0.3},
    "redirect": {},
    "redirect-after": {},
    "late-commit": {"seconds": 9},
    "latency": {"seconds": 1.2},  # not a fault, but time in which a worker can be killed mid-call
}
FAULTY = 0.35
ACCOUNTS = 4
KILL_EVERY = 20.0
GROWN_UP = 12.0  # seconds that a worker has lived before it is killed: one that never starts proves nothing
PATIENCE = 240.0


@dataclass
class Shops:
    """The providers, an account of ours at each."""

    sandboxes: list[Sandbox]
    accounts: list[Any] = field(default_factory=list)

    def failing(self) -> None:
        rate = FAULTY / len(FAULTS)
        for sandbox in self.sandboxes:
            left, faults = 1.0, {}
            for name, options in FAULTS.items():
                # A fault is only asked when those before it passed.
                faults[name] = {"rate": rate / left, "only": "spends", **options}
                left -= rate
            sandbox.set_faults(faults)

    def healthy(self) -> None:
        for sandbox in self.sandboxes:
            sandbox.set_faults({})


def add_options(parser: argparse.ArgumentParser) -> None:
    databases.add_options(parser)
    parser.add_argument("-n", type=int, default=0, help="how many purchases (500; with --quick 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of what is bought")


def measure(report: Report, options: argparse.Namespace) -> None:
    if options.child:
        _measure_here(report, options)
        return
    arguments = [*(["--quick"] if options.quick else []), "-n", str(options.n), "--seed", str(options.seed)]
    databases.measured_on_each(report, "purchases", options, *arguments)


def _measure_here(report: Report, options: argparse.Namespace) -> None:
    count = options.n or (60 if options.quick else 500)
    rng = Random(options.seed)
    with ExitStack() as opened:
        sandboxes = [opened.enter_context(_sandbox(options.seed * 100 + number)) for number in range(ACCOUNTS)]
        environment = SETTINGS | {"DATABASE_URL": os.environ.get("DATABASE_URL", "")}
        stack = opened.enter_context(Stack(sandboxes[0], environment=environment))
        stack.use_django()
        shops = Shops(sandboxes)
        _open_accounts(shops)
        wishes = _wishes(shops, count, rng)
        shops.failing()
        began = time.monotonic()
        killer = _Killer(stack)
        try:
            _buy(wishes, rng)
            most = _wait(count, patience=PATIENCE + count)
        finally:
            kills = killer.stop()
        # The last ones wait for the end of their doubt, which is a matter of settings.
        report.add("settled a minute, until nine in ten were", 0.9 * count / (most - began) * 60, "purchases", n=count)
        report.add("workers killed", kills["worker"], "times", spread=f"{kills['mid-call']} of them mid-call")
        report.add("Redis killed", kills["redis"], "times")
        report.add("until all were settled", time.monotonic() - began, "s")
        shops.healthy()
        judge(report, shops.sandboxes, shops.accounts)


def _sandbox(seed: int) -> Sandbox:
    return Sandbox(seed=seed, size={"orders": 20, "bookings": 40, "sms": 20}, balance="90000.00")


def _open_accounts(shops: Shops) -> None:
    """An account of ours at each provider, read once, and what is extended and reused bought before."""
    from dashboard.models import Booking, Product
    from dashboard.sync import schedule

    for sandbox in shops.sandboxes:
        for product in sandbox.world.products.values():
            for provider in product.providers:
                provider.available = 500
        _buy_before(sandbox)
    shops.accounts = accounts_at(shops.sandboxes)
    schedule.read_all_now(shops.accounts[0].pk)
    ends = time.monotonic() + 90
    while time.monotonic() < ends:
        known = [Product.objects.filter(account=each).exists() for each in shops.accounts]
        # What was bought before is known, too.
        known += [Booking.objects.filter(account=each).count() >= 30 for each in shops.accounts]
        if all(known):
            return
        time.sleep(0.5)
    raise AssertionError("the accounts were not read")


def _buy_before(sandbox: Sandbox) -> None:
    world = sandbox.world
    for product in list(world.products.values()):
        if (
            product.rental_type == "RentalService"
            and product.minutes == 1440
            and product.country in ("Germany", "Sweden")
        ):
            world.order(product.id)
        if product.service == "Kleinanzeigen" and product.rental_type == "Activation":
            order = world.order(product.id)
            booking = world.bookings[order.bookings[0]]
            world.receive_sms(booking.id, "It was used.")
            booking.ends_at = world.now()
    world.settle()


def _wishes(shops: Shops, count: int, rng: Random) -> list[Any]:
    """So many wishes over the accounts, each with a product of its own: 1 in 8 extends or reuses."""
    from dashboard.models import Booking, Product, User
    from dashboard.purchases.intents import Wish

    user = User.objects.get(username="bench")
    wishes: list[Any] = []
    for number, account in enumerate(shops.accounts):
        share = count // ACCOUNTS + (number < count % ACCOUNTS)
        products = list(Product.objects.filter(account=account, on_sale=True).select_related("account"))
        rng.shuffle(products)
        mine: list[Any] = []
        for booking in Booking.objects.filter(account=account, extends=None):
            like = [each for each in products if _is_of(each, booking)]
            kind = "extend" if booking.rental_type == "RentalService" else "reuse"
            wanted = booking.runs_until.timestamp() > time.time() + 3600 if kind == "extend" else _can_reuse(booking)
            if like and wanted and len(mine) < share // 8:
                minutes = like[0].duration_minutes if kind == "extend" else None
                fields = {"kind": kind, "booking": booking, "minutes": minutes}
                mine.append(Wish(user=user, product=like[0], price=like[0].price_usd, token=_token(), **fields))
                products.remove(like[0])
        for product in products[: share - len(mine)]:
            amount = rng.choice((1, 1, 1, 2, 3))
            price = product.price_usd * amount
            mine.append(Wish(user=user, product=product, price=price, token=_token(), amount=amount, note="bench"))
        wishes += mine
    assert len(wishes) == count, f"the catalogue has products for {len(wishes)} purchases only"
    rng.shuffle(wishes)
    return wishes


def _is_of(product: Any, booking: Any) -> bool:
    names = ("country", "service", "rental_type", "duration_minutes")
    return all(getattr(product, name) == getattr(booking, name) for name in names)


def _can_reuse(booking: Any) -> bool:
    return booking.service == "Kleinanzeigen" and booking.rental_type == "Activation" and booking.is_closed


def _token() -> Any:
    from uuid import uuid4

    return uuid4()


def _buy(wishes: list[Any], rng: Random) -> None:
    """As the pages do: write it, ring the bell; now and then twice."""
    from dashboard import tasks
    from dashboard.dispatch import enqueue
    from dashboard.purchases import intents

    for wish in wishes:
        purchase = intents.queue(wish)
        for _ in range(rng.choice((1, 1, 2))):
            enqueue(tasks.send_purchase, str(purchase.pk), expires=30)  # type: ignore[arg-type]


def _wait(count: int, patience: float) -> float:
    """Until all are settled, or patience is over; gives the moment (monotonic) at which nine in ten were."""
    from django.db import close_old_connections

    from dashboard.models import Purchase

    ends, told, most = time.monotonic() + patience, 0.0, 0.0
    while time.monotonic() < ends:
        open_ones = Purchase.objects.filter(status__in=("queued", "preparing", "sending", "unknown")).count()
        if not most and open_ones <= count / 10:
            most = time.monotonic()
        if open_ones == 0:
            break
        if time.monotonic() - told > 20:
            told = time.monotonic()
            print(f"  {count - open_ones} of {count} are settled", flush=True)
        time.sleep(0.5)
        close_old_connections()
    return most or time.monotonic()


class _Killer:
    """Kills the worker every few seconds, in the middle of a call if there is one; each third time Redis instead."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._kills = Counter[str]()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(KILL_EVERY):
            turn += 1
            self._kill("redis" if turn % 3 == 0 else "worker")

    def _kill(self, name: str) -> None:
        from django.db import connection

        from dashboard.models import Purchase

        ends = time.monotonic() + 5
        under_way = False
        while not under_way and time.monotonic() < ends and not self._stop.is_set():
            under_way = Purchase.objects.filter(status="sending").exists()
            time.sleep(0.02)
        connection.close()
        pid = self._stack.pids().get(name)
        if pid and age_of(pid) > GROWN_UP and not self._stop.is_set():
            self._stack.kill(name)
            self._kills[name] += 1
            self._kills["mid-call"] += under_way and name == "worker"

    def stop(self) -> Counter[str]:
        self._stop.set()
        self._thread.join()
        return self._kills


if __name__ == "__main__":
    main(QUESTION, measure, add_options)
