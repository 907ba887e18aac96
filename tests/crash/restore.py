"""Backups taken while everything is at work, and one of them taken back after fifty more orders (reliability.md G28).

Each backup must be one moment: a witness commits the same number into an early and a late table all the time. Taken
back into an empty install it must be equal row for row, and whoever starts on it must buy nothing a second time.
This is SQLite; restore_on_postgres.py is the same for PostgreSQL.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import BASE_DIR, Report, main
from bench.stack import Stack
from bench.truth import other_differences, sms_differences
from dashboard.sandbox import Sandbox

from .archived import Archived
from .faulty import People
from .load import COMPRESSED, SETTINGS, Load, sender_to, shop, until_known

GOALS = ("G28",)
QUESTION = "A backup under load is one moment; taken back 50 orders later nothing is bought again, on SQLite"
BACKUPS = 3
ORDERS = 50
UNCERTAIN = ("queued", "preparing", "sending", "unknown")
QUIET = 45.0  # seconds in which the restored dashboard could buy something; what waits is sent within five


def measure(report: Report, options: argparse.Namespace) -> None:
    def empty(stack: Stack) -> None:
        for file in stack.data_dir.glob("db.sqlite3*"):
            file.unlink()

    measure_on(report, options, "", empty)


def measure_on(report: Report, options: argparse.Namespace, url: str, empty: Callable[[Stack], None]) -> None:
    """`url` of the database ("" for SQLite in the data folder), which `empty` empties."""
    orders = 12 if options.quick else ORDERS
    faults = {"latency": {"rate": 1, "only": "spends", "seconds": 1.0}}  # so that a backup meets purchases under way
    with (
        tempfile.TemporaryDirectory(prefix="crash-") as folder,
        shop(281, faults=faults) as sandbox,
        Stack(sandbox, environment=SETTINGS | {"DATABASE_URL": url, "LOG_LEVEL": "ERROR"}) as stack,
    ):
        stack.use_django()
        until_known()
        with Load(stack, sender_to(sandbox), sms_every=0.1, order_every=None) as load:
            files = _back_up(report, stack, load, Path(folder), 1 if options.quick else BACKUPS)
            sandbox.set_faults({})
            load.wait_until_settled(150)
            known = {row["order"] for row in sandbox.ledger}
            for _ in range(orders):
                load.order()
            load.wait_until_settled(150)
        report.add("orders made after the backup", len(sandbox.ledger) - len(known), "orders")
        restored = _Restored(stack, sandbox, files[-1], 10.0 if options.quick else QUIET)
        restored.come_back(report, empty, Path(folder))
        restored.tell(report, {row["order"] for row in sandbox.ledger} - known)
        report.remark(COMPRESSED)


def _back_up(report: Report, stack: Stack, load: Load, folder: Path, count: int) -> list[Path]:
    """So many backups, each while purchases are under way, messages come, and people read and write."""
    files, wrong, met = [], list[str](), dict[str, int]()
    seconds = []
    with People(stack, load.a_product()) as people, Witness() as witness:
        for number in range(count):
            file, first, began = folder / f"backup-{number}", witness.committed, time.monotonic()
            with ThreadPoolExecutor(1) as taker:
                taken = taker.submit(manage, stack, "backup", str(file))
                while not taken.done():
                    load.order()
                    time.sleep(1.2)
            taken.result()
            seconds.append(time.monotonic() - began)
            with Archived(file) as archived:
                wrong += archived.contradictions()
                wrong += witness.contradictions(archived, first)
                for status in archived.statuses():
                    met[status] = met.get(status, 0) + 1
            files.append(file)
    report.add("backup under load", max(seconds), "s", n=count, spread=f"{witness.committed} commits of the witness")
    report.add("contradictions in the backups", len(wrong), "rows", 0, n=count, spread="; ".join(wrong[:3]))
    waiting = {status: met.get(status, 0) for status in UNCERTAIN}
    report.add("purchases under way in the backups", sum(waiting.values()), "purchases", spread=str(waiting))
    bad = people.counts["bare"] + people.counts["silent"]
    report.add("pages that failed meanwhile", bad, "answers", 0, n=people.counts.total())
    return files


def manage(stack: Stack, *words: str) -> str:
    """Run `manage.py WORDS` on the data of the stack. Raises CalledProcessError."""
    command = [sys.executable, "manage.py", *words]
    told = subprocess.run(command, cwd=BASE_DIR, env=stack.environment, check=True, stdout=subprocess.PIPE, text=True)
    return told.stdout


class Witness:
    """Commits the same rising number into two tables at once, of which a backup writes one early and one late."""

    def __init__(self) -> None:
        self.committed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        from django.db import connection, transaction

        from dashboard.models import AlertChannel, User

        user = User.objects.create_user("witness")
        channel = AlertChannel.objects.create(user=user, name="Witness", sealed_address="none")
        while not self._stop.wait(0.01):
            number = self.committed + 1
            with transaction.atomic():
                AlertChannel.objects.filter(pk=channel.pk).update(verdict=str(number))
                User.objects.filter(pk=user.pk).update(last_name=str(number))
            self.committed = number
        connection.close()

    def contradictions(self, archived: Archived, first: int) -> list[str]:
        """What the backup shows of us: one number, neither older than its beginning nor newer than its end."""
        early = archived.value("dashboard_alertchannel", "name", "Witness", "verdict")
        late = archived.value("dashboard_user", "username", "witness", "last_name")
        if early == late and first <= int(early or 0) <= self.committed + 1:
            return []
        return [f"the witness wrote {first} to {self.committed}, the backup has {early} and {late}"]


@dataclass
class _Restored:
    """The install that was emptied and is made again from the file."""

    stack: Stack
    sandbox: Sandbox
    file: Path
    quiet: float

    def come_back(self, report: Report, empty: Callable[[Stack], None], folder: Path) -> None:
        from django.db import connection

        self.stack.stop()
        connection.close()
        empty(self.stack)
        began = time.monotonic()
        manage(self.stack, "restore", str(self.file))
        report.add("restore", time.monotonic() - began, "s")
        manage(self.stack, "backup", str(folder / "again"))
        with Archived(self.file) as before, Archived(folder / "again") as after:
            unlike = before.unlike(after)
            rows = before.rows
        report.add("rows that are not as in the backup", len(unlike), "tables", 0, n=rows, spread="; ".join(unlike))
        self._bought = len(_bought(self.sandbox))
        self._posts = len(_posts(self.sandbox))
        self.stack.start()
        self.stack.sign_in_again()
        began = time.monotonic()
        while time.monotonic() < began + 120 and (time.monotonic() < began + self.quiet or not self._has_all()):
            time.sleep(1)

    def _has_all(self) -> bool:
        return not other_differences(self.sandbox) and not sms_differences(self.sandbox)["lost"]

    def tell(self, report: Report, since: set[int]) -> None:
        from dashboard.models import Order, Purchase

        again = len(_bought(self.sandbox)) - self._bought
        report.add("ordered again", again, "orders", 0, n=self._bought)
        report.add("spending calls after the restore", len(_posts(self.sandbox)) - self._posts, "calls", 0)
        orders = {row.remote_id: row for row in Order.objects.filter(remote_id__in=since)}
        linked = set(Purchase.objects.exclude(order=None).values_list("order__remote_id", flat=True))
        report.add("orders since that were not read again", len(since) - len(orders), "orders", 0, n=len(since))
        unflagged = [pk for pk in since if pk in linked or not self._is_called_external(orders.get(pk))]
        report.add("orders since that are not flagged as external", len(unflagged), "orders", 0, n=len(since))
        differences = other_differences(self.sandbox)
        report.add(
            "orders, bookings unlike the provider's", len(differences), "rows", 0, spread="; ".join(differences[:3])
        )
        sms = sms_differences(self.sandbox)
        report.add("SMS lost", sms["lost"], "SMS", 0)
        report.add("SMS doubled", sms["doubled"], "SMS", 0)
        left = Purchase.objects.filter(status__in=("queued", "preparing", "sending")).count()
        report.add("purchases that would still be sent", left, "purchases", 0)
        told = manage(self.stack, "check_audit").strip().splitlines()
        report.remark(f"check_audit: {told[-1] if told else 'nothing to say'}")

    def _is_called_external(self, order: Any) -> bool:
        return order is not None and "elsewhere with this account" in self.stack.get(f"/orders/{order.pk}/").text


def _bought(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [row for row in sandbox.ledger if row["origin"] == "api"]


def _posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [call for call in sandbox.calls if call["method"] == "POST"]


if __name__ == "__main__":
    main(QUESTION, measure)
