"""Redis, the worker and the provider stopped for a minute without ending (reliability.md G20).

A frozen process keeps its connections: nothing is refused, nothing is answered.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from bench.bought import judge
from bench.figures import Report, main
from bench.healing import is_current
from bench.outages import Watch
from bench.stack import Stack

from .far_provider import FarProvider
from .load import COMPRESSED, SETTINGS, Load, accounts, asked, until_known

GOALS = ("G20",)
QUESTION = "Redis, worker, provider frozen for 60 s: health red within 90 s, normal within 60 s"
FROZEN = 60.0
ROUNDS = 2
ORDERS = 40  # products that are bought at most
RED_WITHIN, NORMAL_WITHIN = 90.0, 60.0


def measure(report: Report, options: argparse.Namespace) -> None:
    environment = SETTINGS | {"DATABASE_URL": os.environ.get("DATABASE_URL", "")}
    with FarProvider(seed=20) as provider, Stack(provider, environment=environment) as stack:
        stack.use_django()
        until_known()
        with Load(stack, provider.send, sms_every=None, order_every=None) as load:
            provider.fill_up(load.next_products(ORDERS))
            for _ in range(1 if options.quick else ROUNDS):
                for name in ("redis",) if options.quick else ("redis", "worker", "provider"):
                    _freeze(report, name, stack, provider, load, 8.0 if options.quick else FROZEN)
        load.wait_until_settled(120)
        lost, doubled = load.sms_differences()
        report.add("SMS lost", lost, "SMS", 0, n=len(load.texts))
        report.add("SMS doubled", doubled, "SMS", 0, n=len(load.texts))
        report.add("orders that no form could place", len(load.forms_not_taken()), "orders", 0, n=len(load.forms))
        judge(report, [provider], accounts())
        report.remark(COMPRESSED)


def _freeze(report: Report, name: str, stack: Stack, provider: FarProvider, load: Load, seconds: float) -> None:
    seconds_until(_is_well, 30)
    load.message()
    load.order()  # under way when it freezes
    time.sleep(0.3)
    watch = Watch(stack)
    with frozen(provider.process.pid if name == "provider" else stack.pids()[name]):
        began = time.monotonic()
        load.order()
        red = seconds_until(lambda: not _is_well(), seconds)
        report.add(f"{name} frozen: health red after", red, "s", RED_WITHIN)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        report.add(f"{name} frozen: health was green at the end", _is_well(), "times", 0)
    since, began = datetime.now(UTC), time.monotonic()
    mark, form = load.message(), load.order()
    normal = seconds_until(lambda: _is_well() and is_current(since, mark) and form.is_settled(), 120)
    report.add(f"{name} frozen: all normal after", normal, "s", NORMAL_WITHIN)
    watch.stop()
    report.add(f"{name} frozen: pages that did not open", len(watch.broken), "pages", 0, spread=str(watch.broken[:3]))
    report.add(f"{name} frozen: slowest page", max(watch.times), "ms", n=len(watch.times))
    load.wait_until_settled(120)
    settled = time.monotonic() - began
    report.add(f"{name} frozen: every order of before and meanwhile settled after", settled, "s")


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _is_well() -> bool:
    """As `manage.py health` and the status page say it."""
    from dashboard import health
    from dashboard.models import Account

    return all(check.ok for check in health.checks(Account.objects.all()))


def seconds_until(question: Callable[[], bool], patience: float) -> float:
    """Seconds until the question is answered by yes; 999 if it never is."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        if asked(question, False):
            return time.monotonic() - began
        time.sleep(0.1)
    return 999.0


if __name__ == "__main__":
    main(QUESTION, measure)
