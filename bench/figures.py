"""What a measurement gives: figures with their limits, as a table for people and as JSON for the next run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Figure:
    """One measured value. `at_most`: the limit it is held to, None where it is only told. `spread`: in words."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    n: int = 1
    spread: str = ""

    @property
    def verdict(self) -> str:
        """ "ok", "FAILS", or "" without a limit."""
        if self.at_most is None:
            return ""
        return "ok" if self.value <= self.at_most else "FAILS"


@dataclass
class Report:
    """Figures of one question, and remarks that explain them."""

    question: str
    figures: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    finished: bool = False
    goals: tuple[str, ...] = ()  # of reliability.md

    def add(
        self, name: str, value: float, unit: str, at_most: float | None = None, *, n: int = 1, spread: str = ""
    ) -> Figure:
        """Note a figure and tell it at once: a long run should not look dead."""
        # A sum of money is a Decimal, which JSON does not know.
        figure = Figure(name, float(round(value, 3)), unit, at_most, n, spread)
        self.figures.append(figure)
        print(row(figure), flush=True)
        return figure

    def add_series(
        self, name: str, values: Sequence[float], unit: str, *, median: float | None = None, p95: float | None = None
    ) -> None:
        """Median and 95th percentile of a series, each with its limit."""
        spread = f"{min(values):.4g} to {max(values):.4g}, quartiles {_quartiles(values)}"
        self.add(f"{name}, median", statistics.median(values), unit, median, n=len(values), spread=spread)
        self.add(f"{name}, p95", percentile(values, 95), unit, p95, n=len(values))

    def remark(self, text: str) -> None:
        self.remarks.append(text)
        print(f"  {text}", flush=True)


def _quartiles(values: Sequence[float]) -> str:
    if len(values) < 4:
        return "none"
    first, _, third = statistics.quantiles(values, n=4)
    return f"{first:.4g} and {third:.4g}"


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def row(figure: Figure) -> str:
    """One line of the table."""
    limit = "" if figure.at_most is None else f"<= {figure.at_most:g}"
    value = f"{figure.value:g} {figure.unit}"
    count = f"n={figure.n}" if figure.n > 1 else ""
    return f"{figure.name:<58} {value:>16} {limit:>9} {figure.verdict:<5} {count:<7} {figure.spread}".rstrip()


def machine() -> dict[str, Any]:
    """What the figures depend on; `speed_mark` is the time of a fixed loop, to compare machines and moments."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "speed_mark_s": round(speed_mark(), 2),
        "commit": _commit(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def speed_mark() -> float:
    """Seconds of ten million additions in Python."""
    began, total = time.perf_counter(), 0
    for number in range(10_000_000):
        total += number
    return time.perf_counter() - began


def _commit() -> str:
    command = ["git", "-C", str(BASE_DIR), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def as_json(report: Report) -> dict[str, Any]:
    rows = [{**asdict(figure), "verdict": figure.verdict} for figure in report.figures]
    return {
        "question": report.question,
        "goals": report.goals,
        "finished": report.finished,
        "machine": machine(),
        "figures": rows,
        "remarks": report.remarks,
    }


def main(
    question: str,
    measure: Callable[[Report, argparse.Namespace], None],
    options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Run one module as a program: `--out FILE` writes JSON. Ends with 1 if a figure misses its limit."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures there as JSON")
    parser.add_argument("--quick", action="store_true", help="shorter series")
    if options is not None:
        options(parser)
    chosen = parser.parse_args()
    report = Report(question, goals=getattr(sys.modules[measure.__module__], "GOALS", ()))
    print(f"# {question}", flush=True)
    try:
        measure(report, chosen)
        report.finished = True
    finally:
        if chosen.out:
            chosen.out.write_text(json.dumps(as_json(report), indent=1))
    sys.exit(any(figure.verdict == "FAILS" for figure in report.figures))
