"""Every failpoint × order, extend, reuse × SIGKILL, on SQLite and on PostgreSQL (reliability.md G2).

PostgreSQL is the one that DATABASE_URL names, where a database can be made, or a cluster of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.figures import BASE_DIR, Report, main
from bench.postgres import NoPostgres, Postgres

from .cases import LONGEST, all_cases, quick_cases

GOALS = ("G2",)
QUESTION = "Killed at every point of a purchase: 0 doubled, 0 lost, settled within 60 s"
SETTINGS = {
    "ANOSIM_MAX_CALLS_PER_SECOND": "50",
    "PURCHASE_DEADLINE_SECONDS": "3",
    "PURCHASE_SETTLE_SECONDS": "1",
    "LOG_LEVEL": "CRITICAL",
    "DJANGO_SETTINGS_MODULE": "anosim_dashboard.settings",
    "ANOSIM_API_KEY": "",
}
DATABASE = "purchases_crash"


def measure(report: Report, options: argparse.Namespace) -> None:
    _on(report, "SQLite", "", options)
    with ExitStack() as opened:
        url = os.environ.get("DATABASE_URL", "")
        if not url.startswith("postgres"):
            try:
                url = opened.enter_context(Postgres()).url()
            except NoPostgres as error:
                report.remark(str(error))
                return
        _on(report, "PostgreSQL", url, options)


def _on(report: Report, title: str, url: str, options: argparse.Namespace) -> None:
    """All cases in a process with a data folder, a Redis and a database of its own."""
    from anosim_dashboard import embedded_redis

    with tempfile.TemporaryDirectory(prefix="crash-") as folder, embedded_redis.running(Path(folder)) as redis_url:
        environment = {**os.environ, **SETTINGS, "DATA_DIR": folder, "REDIS_URL": redis_url}
        environment["DATABASE_URL"] = _made(url) if url else f"sqlite:///{folder}/crash.sqlite3"
        command = [sys.executable, "-m", __spec__.name, "--here", *(["--quick"] if options.quick else [])]
        done = subprocess.run(command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        if url:
            _drop(url)
    _judge(report, title, json.loads(done.stdout))


def _judge(report: Report, title: str, results: list[dict[str, Any]]) -> None:
    for each in results:
        words = "; ".join(each["wrong"]) or ("" if each["reached"] else "NOT REACHED")
        if words:
            report.remark(f"{title} {each['case']}  {each['status']}: {words}")
    kills = len(results)
    report.add(f"{title}: points not reached", sum(not each["reached"] for each in results), "points", 0, n=kills)
    report.add(f"{title}: doubled, lost or told wrongly", sum(bool(each["wrong"]) for each in results), "kills", 0)
    slowest = max(each["seconds"] for each in results)
    report.add(f"{title}: settled after the restart, slowest", slowest, "s", LONGEST, n=kills)


def _made(url: str) -> str:
    import psycopg

    _drop(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    return urlsplit(url)._replace(path=f"/{DATABASE}").geturl()


def _drop(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def _all_cases_here(quick: bool) -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from .killing import ground, run

    call_command("migrate", verbosity=0)
    results = []
    with ground(dict(os.environ)) as made:
        for case in quick_cases() if quick else all_cases():
            found = run(made, case)
            fields = {name: getattr(found, name) for name in ("reached", "seconds", "status", "wrong")}
            results.append({"case": str(case), **fields})
    print(json.dumps(results))


if __name__ == "__main__":
    if "--here" in sys.argv:
        _all_cases_here("--quick" in sys.argv)
    else:
        main(QUESTION, measure)
