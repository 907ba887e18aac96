"""How long a backup, its way back, and the move from SQLite to PostgreSQL take, and how large the file is."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import databases
from .figures import BASE_DIR, Report, main

QUESTION = "Backups: seconds and MB of backup and restore on both databases, and of the move to PostgreSQL"
SIZES = (100_000, 1_000_000)
MOVED = 300_000
ROWS = re.compile(r"([\d,]+)\s+rows, all of them compared")


def measure(report: Report, options: argparse.Namespace) -> None:
    sizes, moved = (SIZES[:1], SIZES[0] // 10) if options.quick else (options.sms, options.moved)
    with contextlib.ExitStack() as opened:
        kinds = {name: opened.enter_context(databases.database(name, options.postgresql)) for name in options.databases}
        for name, environment in kinds.items():
            for sms in sizes:
                _there_and_back(report, name, sms, environment(f"full_{sms}"), environment(f"empty_{sms}"))
        if len(kinds) == len(databases.NAMES):
            _move(report, moved, kinds["sqlite"]("moving"), kinds["postgresql"]("moved"))


def _there_and_back(
    report: Report, name: str, sms: int, full: databases.Environment, empty: databases.Environment
) -> None:
    """Back up a filled database, and take that into an empty one."""
    _timed(full, "-m", "bench.fill", "--sms", str(sms))
    file = Path(full["DATA_DIR"], "backup")
    title = f"{name}, {sms:,} SMS"
    seconds, work, _ = _timed(full, "manage.py", "backup", str(file))
    report.add(f"{title}: backup", seconds, "s", spread=work)
    report.add(f"{title}: file", file.stat().st_size / 1e6, "MB")
    seconds, work, told = _timed(empty, "manage.py", "restore", str(file))
    report.add(f"{title}: restore", seconds, "s", spread=f"{work}; {_rows(told):,} rows compared")
    file.unlink()


def _move(report: Report, sms: int, source: databases.Environment, target: databases.Environment) -> None:
    _timed(source, "-m", "bench.fill", "--sms", str(sms))
    seconds, work, told = _timed(source, "manage.py", "move_database", target["DATABASE_URL"])
    report.add(f"move of {sms:,} SMS to PostgreSQL", seconds, "s", spread=f"{work}; {_rows(told):,} rows compared")


def _rows(told: str) -> int:
    """How many rows the command says it compared. Raises AssertionError if it does not say so."""
    found = ROWS.search(told)
    assert found, told
    return int(found[1].replace(",", ""))


def _timed(environment: databases.Environment, *words: str) -> tuple[float, str, str]:
    """Run it; seconds, its work in words, and what it said. Raises AssertionError if it failed."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=BASE_DIR, env={**os.environ, **environment}, stdout=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        told = output.read()
    assert process.returncode == 0, told
    work = f"{usage.ru_utime + usage.ru_stime:.1f} s of processor time, {usage.ru_maxrss / 1000:.0f} MB of memory"
    return time.monotonic() - began, work, told


def add_options(parser: argparse.ArgumentParser) -> None:
    databases.add_options(parser)
    parser.add_argument("--sms", type=int, nargs="+", default=SIZES, help="messages stored (%(default)s)")
    parser.add_argument("--moved", type=int, default=MOVED, help="messages that move to PostgreSQL (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, add_options)
