"""Running measuring modules, each in a process of its own: `python -m bench` and `python -m tests.crash`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .figures import BASE_DIR, Figure, row

LONGEST = 45 * 60.0  # seconds; a module that takes longer hangs
TIDY = 60.0  # seconds in which it then ends what it started


@dataclass(frozen=True)
class Suite:
    """Modules of one package, each a program as `figures.main` makes it.

    Of `waiting`, which leave the processors idle most of the time, two run side by side, after the others. `quick`: the
    short series unless --full is given; else the full ones unless --quick is.
    """

    package: str
    about: str
    modules: tuple[str, ...]
    quick: bool
    waiting: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.modules + self.waiting

    @property
    def results(self) -> Path:
        return BASE_DIR / "test-results" / f"{self.package.rpartition('.')[2]}.json"

    def run(self) -> int:
        """Run those that the command line names, or all; 1 if a figure misses its limit or a module broke off."""
        options = self._options()
        quick = options.quick if "quick" in options else not options.full
        reports = [self._report(name, quick) for name in self.modules if name in options.names]
        with ThreadPoolExecutor(2) as lanes:
            waiting = [name for name in self.waiting if name in options.names]
            reports += lanes.map(lambda name: self._report(name, quick, said_by=name), waiting)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(reports, indent=1))
        print(f"\n{'=' * 40}\nAll figures with a limit; {options.out} has the rest.")
        return _tell(reports)

    def _options(self) -> argparse.Namespace:
        parser = argparse.ArgumentParser(prog=f"python -m {self.package}", description=self.about)
        parser.add_argument("names", nargs="*", default=self.names, help=f"of {', '.join(self.names)} (all)")
        if self.quick:
            parser.add_argument("--full", action="store_true", help="the long series, not the quick ones")
        else:
            parser.add_argument("--quick", action="store_true", help="shorter series")
        parser.add_argument("--out", type=Path, default=self.results, metavar="FILE", help="JSON (%(default)s)")
        options = parser.parse_args()
        if unknown := set(options.names) - set(self.names):
            parser.error(f"there is no {sorted(unknown)[0]!r}")
        return options

    def _report(self, name: str, quick: bool, said_by: str = "") -> dict[str, Any]:
        """Run one module; its figures, also when it broke off half-way."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            out = Path(folder, "figures.json")
            command = [sys.executable, "-m", f"{self.package}.{name}", "--out", str(out)]
            _run([*command, "--quick"] if quick else command, said_by)
            broken: dict[str, Any] = {"question": name, "figures": []}
            found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else broken
        return {"module": name, **found}


def _run(command: list[str], said_by: str) -> None:
    """Until its end, or until it has hung; what it prints is told at once, of one of several by its name."""
    output = subprocess.PIPE if said_by else None
    with subprocess.Popen(command, cwd=BASE_DIR, stdout=output, text=True) as process, ThreadPoolExecutor(1) as ear:
        if process.stdout is not None:
            ear.submit(_pass_on, process.stdout, said_by)
        _wait(process)


def _pass_on(lines: Any, said_by: str) -> None:
    for line in lines:
        print(f"{said_by}: {line}", end="", flush=True)


def _wait(process: subprocess.Popen[str]) -> None:
    for number, patience in ((signal.SIGINT, LONGEST), (signal.SIGKILL, TIDY)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return
        os.kill(process.pid, number)
    process.wait()


def _tell(reports: list[dict[str, Any]]) -> int:
    """The table of what has a limit; 1 if anything is wrong."""
    wrong = False
    for report in reports:
        figures = [_figure(each) for each in report["figures"]]
        print(f"\n{' '.join([*report.get('goals', ()), report['question']])}")
        for figure in figures:
            if figure.at_most is not None:
                print(row(figure))
        if not report.get("finished"):
            print("DID NOT FINISH")
        wrong |= not report.get("finished") or any(figure.verdict == "FAILS" for figure in figures)
    print(f"\n{'Something misses its limit: see above.' if wrong else 'Every limit is kept.'}")
    return int(wrong)


def _figure(fields: dict[str, Any]) -> Figure:
    return Figure(**{name: value for name, value in fields.items() if name != "verdict"})
