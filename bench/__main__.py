"""`python -m bench`: every question in turn, each in a process of its own; a table, and the figures as JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .figures import BASE_DIR, Figure, row

RESULTS = BASE_DIR / "test-results" / "bench.json"
QUESTIONS = ("lifecycle", "pages", "browser", "streams", "fan_out", "freshness", "outages", "convergence")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("questions", nargs="*", default=QUESTIONS, help=f"of {', '.join(QUESTIONS)} (all)")
    parser.add_argument("--full", action="store_true", help="the long series, not the quick ones")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE", help="JSON (%(default)s)")
    options = parser.parse_args()
    if unknown := set(options.questions) - set(QUESTIONS):
        parser.error(f"there is no question {sorted(unknown)[0]!r}")
    reports = [_run(name, quick=not options.full) for name in options.questions]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(reports, indent=1))
    print(f"\n{'=' * 40}\nAll figures with a limit; {options.out} has the rest.")
    figures = [_figure(each) for report in reports for each in report["figures"]]
    for figure in figures:
        if figure.at_most is not None:
            print(row(figure))
    unfinished = [report["question"] for report in reports if not report.get("finished")]
    for question in unfinished:
        print(f"Did not finish: {question}")
    return int(bool(unfinished) or any(figure.verdict == "FAILS" for figure in figures))


def _figure(fields: dict[str, Any]) -> Figure:
    return Figure(**{name: value for name, value in fields.items() if name != "verdict"})


def _run(name: str, *, quick: bool) -> dict[str, Any]:
    """One module; its figures, also when it broke off half-way."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out = Path(folder, "figures.json")
        command = [sys.executable, "-m", f"bench.{name}", "--out", str(out), *(["--quick"] if quick else [])]
        subprocess.run(command, cwd=BASE_DIR, check=False)
        found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"question": name, "figures": []}
    return found


if __name__ == "__main__":
    sys.exit(main())
