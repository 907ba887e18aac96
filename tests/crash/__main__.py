"""`python -m tests.crash`: every failpoint × order, extend, reuse × SIGKILL, on SQLite, and on PostgreSQL if
DATABASE_URL names a server where a database can be made. Prints a table; ends with 1 if anything is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

SETTINGS = {
    "ANOSIM_MAX_CALLS_PER_SECOND": "50",
    "PURCHASE_DEADLINE_SECONDS": "3",
    "PURCHASE_SETTLE_SECONDS": "1",
    "LOG_LEVEL": "CRITICAL",
    "DJANGO_SETTINGS_MODULE": "anosim_dashboard.settings",
    "ANOSIM_API_KEY": "",
}
DATABASE = "purchases_crash"


def main() -> int:
    if "--here" in sys.argv:
        return _all_cases_here()
    url = os.environ.get("DATABASE_URL", "")
    databases = [""] + ([url] if url.startswith("postgres") else [])
    return max(_on(database) for database in databases)


def _on(url: str) -> int:
    """All cases in a process with a data folder, a Redis and a database of its own."""
    from anosim_dashboard import embedded_redis

    with tempfile.TemporaryDirectory(prefix="crash-") as folder, embedded_redis.running(Path(folder)) as redis_url:
        environment = {**os.environ, **SETTINGS, "DATA_DIR": folder, "REDIS_URL": redis_url}
        environment["DATABASE_URL"] = _made(url) if url else f"sqlite:///{folder}/crash.sqlite3"
        try:
            return subprocess.run([sys.executable, "-m", "tests.crash", "--here"], env=environment).returncode
        finally:
            if url:
                _drop(url)


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


def _all_cases_here() -> int:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from .cases import all_cases
    from .killing import ground, run

    call_command("migrate", verbosity=0)
    cases = list(all_cases())
    bad, slowest = 0, 0.0
    with ground(dict(os.environ)) as made:
        for case in cases:
            result = run(made, case)
            slowest = max(slowest, result.seconds)
            bad += not result.fine
            words = "; ".join(result.wrong) or ("" if result.reached else "NOT REACHED")
            print(f"{connection.vendor:10} {case}  {result.status:12} {result.seconds:5.1f} s  {words}", flush=True)
    print(f"{connection.vendor}: {len(cases)} kills, {bad} wrong, settled at most {slowest:.1f} s after the restart")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
