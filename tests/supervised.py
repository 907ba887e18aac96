"""Small real programs for the supervisor's tests, and the supervisor over them.

`python -m tests.supervised FOLDER [OPTIONS]` (JSON) runs the supervisor over five fakes. They write what happens
to them into FOLDER/events, one `what name pid` a line. `… --fake NAME FOLDER [OPTIONS]` is one of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anosim_dashboard import supervisor
from anosim_dashboard.children import Child
from anosim_dashboard.environment import BadEnvironment
from anosim_dashboard.programs import Plan

READY = "Ready: http://127.0.0.1:1/"


def note(folder: Path, what: str, name: str) -> None:
    with (folder / "events").open("a") as events:
        events.write(f"{what} {name} {os.getpid()}\n")


def fake(name: str, folder: Path, options: dict[str, Any]) -> None:
    """A program that notes its start and its SIGTERM; `options` make it misbehave."""

    def on_term(*_: object) -> None:
        note(folder, "term", name)
        if name not in options.get("stubborn", []):
            time.sleep(0.05)
            note(folder, "end", name)
            os._exit(0)

    signal.signal(signal.SIGTERM, on_term)
    if name in options.get("with_grandchild", []):
        grandchild = subprocess.Popen(["sleep", "600"])
        (folder / "grandchild").write_text(str(grandchild.pid))
    if name in options.get("broken", []):
        sys.exit(3)
    note(folder, "start", name)
    if name == "worker":
        (folder / "worker.alive").touch()
    while True:
        time.sleep(60)


def prepare(folder: Path, options: dict[str, Any]) -> None:
    note(folder, "start", "prepare")
    time.sleep(options.get("prepare_takes", 0))
    if sentence := options.get("prepare_says_no"):
        print(sentence, file=sys.stderr)
        sys.exit(2)
    print("Sandbox: needed" if options.get("sandbox") else "", "Admin: admin secret", "Migrated.", sep="\n")


def up(folder: Path, names: Sequence[str]) -> str:
    """What is not up yet of these, as Plan.awaited tells it."""
    events = (folder / "events").read_text() if (folder / "events").exists() else ""
    return next((name for name in names if f"start {name} " not in events), "")


def supervise(folder: Path, options: dict[str, Any]) -> int:
    def child(name: str) -> Child:
        return Child(name, [sys.executable, "-m", "tests.supervised", "--fake", name, *sys.argv[1:]])

    supervisor.STOP_SECONDS = options.get("stop_seconds", supervisor.STOP_SECONDS)
    supervisor._SILENT_WORKER = options.get("silent_worker", supervisor._SILENT_WORKER)
    plan = Plan(
        address=READY.removeprefix("Ready: "),
        data_dir=folder,
        redis=child("redis"),
        redis_answers=lambda: not up(folder, ["redis"]),
        prepare=[sys.executable, "-m", "tests.supervised", "--fake", "prepare", *sys.argv[1:]],
        sandbox=child("sandbox"),
        programs=[child("worker"), child("web"), child("beat")],
        awaited=lambda: up(folder, ["web", "worker"]),
        worker_file=folder / "worker.alive",
    )
    try:
        with supervisor.sole_owner(folder):
            return supervisor.Supervisor(plan).run()
    except BadEnvironment as error:
        print(error, file=sys.stderr)
        return 2
    except supervisor.PrepareFailed as error:
        return error.status


def main() -> int:
    arguments = sys.argv[1:]
    name = arguments[1] if arguments[0] == "--fake" else ""
    folder, *rest = arguments[2:] if name else arguments
    options = json.loads(rest[0]) if rest else {}
    if name == "prepare":
        prepare(Path(folder), options)
    elif name:
        fake(name, Path(folder), options)
    else:
        return supervise(Path(folder), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
