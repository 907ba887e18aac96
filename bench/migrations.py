"""How long each migration makes others wait: 300,000 SMS in PostgreSQL, while pages are read and SMS are written.

Each migration runs as an upgrade runs it (`manage.py migrate`), from the first release's tables on. Beside it readers
and writers do what the dashboard does all day; told is the longest that any of them waited.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg

from .figures import BASE_DIR, Report, main
from .postgres import Postgres

QUESTION = "Migrations: the longest wait of readers and writers, while each runs"
LONGEST = 1.0  # seconds that a page may wait
# Those before tests/migration_rules.py are told and held to nothing.
BEFORE = 11
FIRST = "0001_initial"
EVENTS = 5_000
READS = {
    "inbox": "SELECT id, text FROM dashboard_sms WHERE account_id = 1 ORDER BY received_at DESC, id DESC LIMIT 50",
    "bookings": "SELECT id, number FROM dashboard_booking WHERE account_id = 1 ORDER BY starts_at DESC LIMIT 50",
    "activity": "SELECT id, action FROM dashboard_auditevent ORDER BY id DESC LIMIT 50",
    "accounts": "SELECT id, name FROM dashboard_account",
}
WRITES = {
    "an SMS": "INSERT INTO dashboard_sms (account_id, booking_id, number, sender, text, received_at, code, fingerprint,"
    " ordinal, seen_at) SELECT account_id, booking_id, number, sender, text, now(), code, md5(random()::text), 1, now()"
    " FROM dashboard_sms WHERE id = 1000",
    "a booking": "UPDATE dashboard_booking SET read_at = now() WHERE id = (SELECT max(id) FROM dashboard_booking)",
    "an account": "UPDATE dashboard_account SET balance_at = now()",
}


class Probe(threading.Thread):
    """Says one statement over and over, and remembers the longest that it took."""

    def __init__(self, url: str, statement: str) -> None:
        super().__init__(daemon=True)
        self._url, self._statement = url, statement.encode()
        self._ended = threading.Event()
        self.longest, self.failures = 0.0, 0

    def run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._ended.wait(0.05):
                began = time.perf_counter()
                try:
                    connection.execute(self._statement)
                except psycopg.Error:
                    self.failures += 1
                self.longest = max(self.longest, time.perf_counter() - began)

    def stop(self) -> None:
        self._ended.set()
        self.join(60)


def measure(report: Report, options: argparse.Namespace) -> None:
    with Postgres() as server, tempfile.TemporaryDirectory(prefix="bench-migrations-") as folder:
        url = server.url()
        environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": folder}
        count = options.sms // 10 if options.quick else options.sms
        _run(environment, "-m", "bench.fill", "--sms", str(count))
        _run(environment, "manage.py", "migrate", "-v0", "dashboard", FIRST)
        server.sql(
            "INSERT INTO dashboard_auditevent (at, action, object_text, details, address) SELECT now(), 'sms.exported',"
            f" 'Archive', '{{}}', '127.0.0.1' FROM generate_series(1, {EVENTS})"
        )
        report.remark(f"{count:,} SMS, {count // 10:,} bookings, {EVENTS:,} audit events of before 0005")
        for name in _names():
            held, began = int(name[:4]) > BEFORE, time.monotonic()
            probes = _while_it_runs(url, environment, name)
            took = time.monotonic() - began
            for kind, statements in (("reader", READS), ("writer", WRITES)):
                worst = max(statements, key=lambda each: probes[each].longest)
                report.add(
                    f"{name}: {kind}",
                    probes[worst].longest,
                    "s",
                    LONGEST if held else None,
                    spread=f"{worst}; it ran for {took:.1f} s",
                )
            report.add(
                f"{name}: statements that failed",
                sum(each.failures for each in probes.values()),
                "",
                0 if held else None,
            )


def _names() -> list[str]:
    files = sorted(Path(BASE_DIR, "dashboard", "migrations").glob("0*.py"))
    return [file.stem for file in files if re.match(r"\d{4}_", file.stem) and file.stem != FIRST]


def _while_it_runs(url: str, environment: dict[str, str], name: str) -> dict[str, Probe]:
    probes = {what: Probe(url, statement) for what, statement in {**READS, **WRITES}.items()}
    for probe in probes.values():
        probe.start()
    try:
        _run(environment, "manage.py", "migrate", "-v0", "dashboard", name)
    finally:
        for probe in probes.values():
            probe.stop()
    return probes


def _run(environment: dict[str, str], *words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=BASE_DIR, env=environment, check=True)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sms", type=int, default=300_000, help="messages (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, _options)
