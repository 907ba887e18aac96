"""kill -9 of each process in turn while people work (reliability.md G19): all heals by itself, nothing is lost.

This is the embedded stack over SQLite; kills_on_postgres.py is the same over PostgreSQL, which is killed as well.
"""

from __future__ import annotations

import argparse
import http.client
import time
from collections import defaultdict
from datetime import UTC, datetime
from random import Random

from bench.bought import judge
from bench.figures import Report, main
from bench.healing import is_current
from bench.outages import Watch
from bench.postgres import Postgres
from bench.stack import Stack

from .load import COMPRESSED, SETTINGS, Form, Load, accounts, asked, sender_to, shop, until_known

GOALS = ("G19",)
QUESTION = "kill -9 of each process under load, SQLite: heals within 30 s, nothing lost"
ROUNDS = 6  # in each, every process is killed once; with those on PostgreSQL that makes 54 kills
APART = 16.0  # seconds from one kill to the next, at least
LONGEST = 90.0
# A page that is asked for meanwhile waits, or says what ails the database; with the others away every page opens.
PAGES_NEED = ("web", "postgres")


def measure(report: Report, options: argparse.Namespace) -> None:
    measure_on(report, options, None)


def measure_on(report: Report, options: argparse.Namespace, postgres: Postgres | None) -> None:
    environment = SETTINGS | {"DATABASE_URL": postgres.url() if postgres else ""}
    names = ["web", "worker", "beat", "redis", *(["postgres"] if postgres else [])]
    faults = {"latency": {"rate": 0.5, "only": "spends", "seconds": 0.8}}  # time to be killed in the middle of a call
    with shop(191, faults=faults) as sandbox, Stack(sandbox, environment=environment) as stack:
        stack.use_django()
        until_known()
        with Load(stack, sender_to(sandbox)) as load:
            kills = _Kills(stack, load, postgres)
            for name in _turns(names, 1 if options.quick else ROUNDS):
                kills.kill(name, 1.0 if options.quick else APART)
        load.wait_until_settled(150)
        kills.tell(report)
        _tell(report, load)
        judge(report, [sandbox], accounts())
        report.remark(COMPRESSED)


def _turns(names: list[str], rounds: int) -> list[str]:
    """Each name once in a round, in another order each time."""
    rng, turns = Random(19), list[str]()
    for _ in range(rounds):
        rng.shuffle(names)
        turns += names
    return turns


class _Kills:
    """Kills, and notes how long each takes to heal and which pages did not open meanwhile."""

    def __init__(self, stack: Stack, load: Load, postgres: Postgres | None) -> None:
        self._stack, self._load, self._postgres = stack, load, postgres
        self._rng = Random(191)
        self._healed: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._closed: dict[str, list[str]] = defaultdict(list)
        self._mid_call = 0

    def kill(self, name: str, apart: float) -> None:
        watch = Watch(self._stack)
        self._mid_call += self._wait_for_a_call()
        before: dict[int, int] = asked(_runs, {})
        since, began = datetime.now(UTC), time.monotonic()
        if name == "postgres":
            self._restart_postgres()
        else:
            self._stack.kill(name)
        mark, form = self._load.message(), self._load.order()
        awaited = last = "all"
        while awaited and time.monotonic() < began + LONGEST:
            last = awaited
            time.sleep(0.1)
            awaited = self._awaited(since, before, mark, form)
        self._healed[name].append((time.monotonic() - began, last))
        time.sleep(max(0.0, began + apart - time.monotonic()))
        watch.stop()
        self._closed[name] += watch.broken

    def _wait_for_a_call(self) -> bool:
        """Until a purchase is being sent, which is the worst moment; at any moment if there is none for a while."""
        ends = time.monotonic() + self._rng.uniform(0, 8)
        while time.monotonic() < ends:
            if asked(_is_sending, False):
                return True
            time.sleep(0.02)
        return False

    def _restart_postgres(self) -> None:
        """As a service manager does: killed, and started again at once."""
        assert self._postgres is not None
        self._postgres.kill()
        self._postgres.start()

    def _awaited(self, since: datetime, before: dict[int, int], mark: str, form: Form) -> str:
        """What of it is not well yet, "" if all is: order and message made after the kill, reads that beat hands out,
        pages."""

        def of_rows() -> str:
            if not form.is_settled():
                return "the order"
            # The first run after the kill may have been handed out before it.
            if not all(run >= before.get(pk, 0) + 2 for pk, run in _runs().items()):
                return "beat"
            return "" if is_current(since, mark) else "the sync"

        if awaited := asked(of_rows, "the database"):
            return awaited
        try:
            return "" if self._stack.get("/status/").status == 200 else "a page that is well"
        except (OSError, http.client.HTTPException):
            return "a page"

    def tell(self, report: Report) -> None:
        for name, times in sorted(self._healed.items()):
            slowest, last = max(times)
            spread = f"it waited for {last} last"
            report.add(f"{name} killed: healed, slowest", slowest, "s", 30, n=len(times), spread=spread)
            closed = self._closed[name]
            limit = None if name in PAGES_NEED else 0
            report.add(f"{name} killed: pages that did not open", len(closed), "pages", limit, spread=str(closed[:3]))
        report.add("kills", sum(map(len, self._healed.values())), "kills", spread=f"{self._mid_call} during a purchase")


def _runs() -> dict[int, int]:
    """How often each of what is read quickly was handed out."""
    from dashboard.models import SyncState

    return dict(SyncState.objects.filter(pace_seconds__lte=10).values_list("pk", "run"))


def _is_sending() -> bool:
    from dashboard.models import Purchase

    return Purchase.objects.filter(status="sending").exists()


def _tell(report: Report, load: Load) -> None:
    orders = len(load.forms)
    again = sum(form.tries > 1 for form in load.forms)
    not_taken = load.forms_not_taken()
    report.add(
        "orders that no form could place", len(not_taken), "orders", 0, n=orders, spread="; ".join(not_taken[:3])
    )
    report.add("forms that were sent more than once", again, "forms", n=orders)
    lost, doubled = load.sms_differences()
    report.add("SMS lost", lost, "SMS", 0, n=len(load.texts))
    report.add("SMS doubled", doubled, "SMS", 0, n=len(load.texts))


if __name__ == "__main__":
    main(QUESTION, measure)
