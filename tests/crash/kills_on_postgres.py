"""kills.py over PostgreSQL, whose postmaster is killed in its turn too (reliability.md G19)."""

from __future__ import annotations

import argparse

from bench.figures import Report, main
from bench.postgres import Postgres

from . import kills

GOALS = ("G19",)
QUESTION = "kill -9 of each process under load, PostgreSQL: heals within 30 s, nothing lost"


def measure(report: Report, options: argparse.Namespace) -> None:
    with Postgres() as server:
        kills.measure_on(report, options, server)


if __name__ == "__main__":
    main(QUESTION, measure)
