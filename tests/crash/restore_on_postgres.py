"""restore.py over PostgreSQL (reliability.md G28)."""

from __future__ import annotations

import argparse

from bench.figures import Report, main
from bench.postgres import Postgres
from bench.stack import Stack

from . import restore

GOALS = ("G28",)
QUESTION = "A backup under load is one moment; taken back 50 orders later nothing is bought again, on PostgreSQL"
NAME = "shop"


def measure(report: Report, options: argparse.Namespace) -> None:
    with Postgres() as server:
        server.sql(f"CREATE DATABASE {NAME}")

        def empty(stack: Stack) -> None:
            server.sql(f"DROP DATABASE {NAME} WITH (FORCE)")
            server.sql(f"CREATE DATABASE {NAME}")

        restore.measure_on(report, options, server.url(NAME), empty)


if __name__ == "__main__":
    main(QUESTION, measure)
