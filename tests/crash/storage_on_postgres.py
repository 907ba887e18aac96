"""storage.py over PostgreSQL: its disk full, only reading, its tables locked, and restarted in the middle (G27)."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator

from bench.figures import Report, main
from bench.postgres import Postgres
from bench.stack import Stack

from .faulty import fault
from .load import SETTINGS, Load
from .storage import FULL_SECONDS, LOCKED_SECONDS, at_work, hold
from .volumes import Volume, is_root

GOALS = ("G27",)
QUESTION = "Storage faults on PostgreSQL: nothing sent without a committed intent, clear words, heals by itself"
MEGABYTES = 400
AWAY_SECONDS = 8.0


def measure(report: Report, options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as opened:
        volume = opened.enter_context(Volume(MEGABYTES)) if is_root() else None
        folder = None
        if volume is not None:
            folder = volume.path / "postgres"
            folder.mkdir()
        # Small, so that the log of changes is not what fills the disk first.
        server = opened.enter_context(Postgres(folder, max_wal_size="64MB", wal_recycle="off"))
        with at_work(report, 272, SETTINGS | {"DATABASE_URL": server.url()}) as (stack, load):
            _break(report, stack, load, server, volume, quick=options.quick)


def _break(report: Report, stack: Stack, load: Load, server: Postgres, volume: Volume | None, *, quick: bool) -> None:
    with fault(report, "restarted", stack, load):
        server.stop()
        time.sleep(AWAY_SECONDS)
        server.start()
    if quick:
        return
    with fault(report, "killed and started at once", stack, load):
        server.kill()
        server.start()
    with fault(report, "read-only", stack, load), _read_only(server):
        hold(FULL_SECONDS)
    with fault(report, "locked", stack, load), _locked(server):
        hold(LOCKED_SECONDS)
    if volume is None:
        report.remark("Not root: the full disk was left out.")
        return
    with fault(report, "disk full", stack, load), _full(server, volume) as again:
        hold(FULL_SECONDS, again)


@contextlib.contextmanager
def _read_only(server: Postgres) -> Iterator[None]:
    """As a server that has become the standby of another one."""
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    server.sql("SELECT pg_reload_conf()")
    yield
    server.sql("ALTER SYSTEM RESET default_transaction_read_only")
    server.sql("SELECT pg_reload_conf()")


@contextlib.contextmanager
def _locked(server: Postgres) -> Iterator[None]:
    """Somebody changes the tables of the purchases, and takes long."""
    import psycopg

    with psycopg.connect(server.url()) as connection:
        connection.execute("LOCK TABLE dashboard_account, dashboard_purchase IN ACCESS EXCLUSIVE MODE")
        yield


@contextlib.contextmanager
def _full(server: Postgres, volume: Volume) -> Iterator[Callable[[], object]]:
    """The server may end over it; then it is started again and again, as a service manager would."""

    def again() -> None:
        volume.fill()
        if not server.pid:
            _try_to_start(server)

    yield again
    volume.make_room()
    while not server.pid:
        _try_to_start(server)


def _try_to_start(server: Postgres) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):
        server.start()


if __name__ == "__main__":
    main(QUESTION, measure)
