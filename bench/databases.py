"""Both databases for a measurement: SQLite in a folder, PostgreSQL in a cluster of the measurement's own or on a server
that is named; and the measurement in a process of its own for each, since Django is set up once in a process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from .figures import BASE_DIR, Figure, Report
from .postgres import Postgres

NAMES = ("sqlite", "postgresql")
Environment = dict[str, str]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--databases", nargs="+", choices=NAMES, default=NAMES, help="which (both)")
    parser.add_argument("--postgresql", default="", metavar="URL", help="a server where databases may be made")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)


@contextlib.contextmanager
def database(name: str, server: str = "") -> Iterator[Callable[[str], Environment]]:
    """Gives a function that makes an empty database for a label, as the environment that names it.

    `server` is the URL of a PostgreSQL that runs already. Raises NoPostgres.
    """
    with contextlib.ExitStack() as opened:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        opened.callback(shutil.rmtree, folder, ignore_errors=True)
        if name == "postgresql" and not server:
            server = opened.enter_context(Postgres(max_wal_size="4GB")).url()

        def environment(label: str) -> Environment:
            data = folder / label
            data.mkdir()
            if name == "sqlite":
                return {"DATA_DIR": str(data), "DATABASE_URL": ""}
            for statement in (f"DROP DATABASE IF EXISTS bench_{label}", f"CREATE DATABASE bench_{label}"):
                _on_server(server, statement)
            return {"DATA_DIR": str(data), "DATABASE_URL": server.rsplit("/", 1)[0] + f"/bench_{label}"}

        yield environment


def measured(report: Report, module: str, name: str, environment: Environment, *arguments: str) -> list[Figure]:
    """Run `bench.MODULE --child NAME` over this database; its figures, which also join the report. All their names
    begin with that of the database.

    Raises RuntimeError if it broke off.
    """
    out = Path(environment["DATA_DIR"], "figures.json")
    command = [sys.executable, "-m", f"bench.{module}", "--child", name, "--out", str(out), *arguments]
    variables = {**os.environ, "REDIS_URL": "", "DJANGO_SETTINGS_MODULE": "anosim_dashboard.settings", **environment}
    subprocess.run(command, cwd=BASE_DIR, env=variables, check=False)
    found = json.loads(out.read_text()) if out.exists() else {"figures": [], "remarks": [], "finished": False}
    figures = [Figure(**{key: value for key, value in each.items() if key != "verdict"}) for each in found["figures"]]
    figures = [each if each.name.startswith(name) else replace(each, name=f"{name}: {each.name}") for each in figures]
    report.figures += figures
    report.remarks += found["remarks"]
    if not found["finished"]:
        raise RuntimeError(f"The measurement on {name} broke off.")
    return figures


def measured_on_each(report: Report, module: str, options: argparse.Namespace, *arguments: str) -> None:
    """`measured` once on each of the databases that are asked for, empty at its start."""
    for name in options.databases:
        with database(name, options.postgresql) as environment:
            measured(report, module, name, environment(module), *arguments)


def _on_server(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())
