"""From .env to a signed-in page with SMS moving; three workers; a backup taken and taken back, all in containers."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from typing import Any

from bench import truth
from dashboard.sandbox import Sandbox
from tests.stack import Session
from tests.streaming import Listener

from .course import Course
from .engine import EngineError
from .project import OURS, Project, seconds_until

SHOWN_WITHIN = 10.0
WORKERS = 3
LOADED = 40.0  # seconds of SMS for the three workers
SLACK = 3  # calls in ten seconds: those that a person waits for may take their turn in advance
INSIDE = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines() if ":\\t" in line)
written = []
for folder in ("/", "/app", "/venv", "/etc", "/home", "/usr", "/var", "/secrets", "/data", "/tmp"):
    try:
        open(folder + "/.probe", "w").close()
        os.remove(folder + "/.probe")
        written.append(folder)
    except OSError:
        pass
print(json.dumps({"uid": status["Uid"].split()[0], "rights": int(status["CapEff"], 16),
    "privileges": status["NoNewPrivs"], "written": written}))
"""
COUNTED = """
import json
from anosim_dashboard.celery import app
print(json.dumps(app.control.inspect(timeout=3).stats()))
"""


def come_up(course: Course, project: Project) -> None:
    """`up -d`, and what is to be true of the containers then."""
    with course.part("b. up"):
        course.report.add("until all are healthy", project.up(), "s", 120)
        course.hold("lines of .env", *_too_many_lines(project))
        ended = project.engine.told(project.container("migrate"), "{{.State.ExitCode}}")
        course.hold("migrate is done", *([] if ended == "0" else [f"ended with {ended}"]))
        for service in ("web", "worker", "beat"):
            said = project.python(service, INSIDE)
            wanted = {"uid": "10001", "rights": 0, "privileges": "1", "written": ["/data", "/tmp"]}
            course.hold(f"{service} is shut in", *(f"{key}: {said[key]}" for key in wanted if said[key] != wanted[key]))


def _too_many_lines(project: Project) -> list[str]:
    lines = (project.folder / ".env").read_text().splitlines()
    return [] if len(lines) <= 5 else [f"{len(lines)} lines"]


def see_sms(course: Course, project: Project, sandbox: Sandbox) -> Session:
    """Sign in with the password that migrate told; an SMS comes to the page, and a nudge to the open stream."""
    with course.part("b. SMS to the page"):
        session = Session(project, "admin", project.first_password())  # type: ignore[arg-type]
        first = seconds_until(lambda: session.get("/inbox/")[1].count(b"data-row") > 20, 60)
        course.report.add("first SMS on the page after the sign-in", first, "s", 45)
        with Listener(project.port(), session.key) as listener:
            listener.event("sync", 15)
            began = time.monotonic()
            receive(sandbox, "Your code is 731904")
            listener.event("nudge", SHOWN_WITHIN)
            course.report.add("SMS to nudge", time.monotonic() - began, "s", SHOWN_WITHIN)
            shown = seconds_until(lambda: b"731904" in session.get("/inbox/")[1], SHOWN_WITHIN)
            course.report.add("nudge to page", shown, "s", SHOWN_WITHIN)
        return session
    raise EngineError("nobody could sign in: the parts that follow make no sense")


def receive(sandbox: Sandbox, text: str) -> None:
    """A message comes to the booking that runs longest."""
    rows = [row for row in sandbox.world.running() if row.extends is None]
    sandbox.world.receive_sms(max(rows, key=lambda row: row.ends_at).id, text, "Bank")


def scale(course: Course, project: Project, sandbox: Sandbox) -> None:
    """Three workers share the account: within its budget, nothing doubled, each has its share."""
    with course.part("c. three workers"):
        course.report.add("until three are healthy", project.up("--scale", f"worker={WORKERS}"), "s", 90)
        before, done = len(sandbox.calls), _done_by(project)
        ends, number = time.monotonic() + LOADED, 0
        while time.monotonic() < ends:
            number += 1
            receive(sandbox, f"Three workers {number}: 55{number:04}")
            time.sleep(0.4)
        settled = seconds_until(lambda: truth.sms_differences(sandbox)["lost"] == 0, 30)
        course.report.add("all SMS stored after the last", settled, "s", 20, n=number)
        course.report.add("doubled", truth.sms_differences(sandbox)["doubled"], "SMS", 0, n=number)
        course.report.add("most calls in ten seconds", most_in_ten(sandbox.calls[before:]), "calls", 40 + SLACK)
        shares = {name: count - done.get(name, 0) for name, count in _done_by(project).items()}
        mean = sum(shares.values()) / WORKERS
        course.hold("all three do work", *(f"{name}: {count}" for name, count in shares.items() if count < mean / 3))
        course.report.remark(f"tasks done by each worker: {sorted(shares.values())}")


def _done_by(project: Project) -> dict[str, int]:
    """Tasks that each worker has done, by Celery's own count."""
    said: dict[str, Any] = project.python("web", COUNTED)
    assert len(said) == WORKERS, f"{len(said)} workers answer"
    return {name: sum(stats["total"].values()) for name, stats in said.items()}


def most_in_ten(calls: list[dict[str, Any]]) -> int:
    """The most calls of any ten seconds."""
    times = [datetime.fromisoformat(call["at"]).timestamp() for call in calls]
    return max((sum(0 <= other - one < 10 for other in times) for one in times), default=0)


def back_up(course: Course, project: Project, sandbox: Sandbox) -> None:
    """Take a backup while all runs, go on, take it back: equal, and nothing is ordered again."""
    from django.db import connection

    with course.part("f. backup and restore"):
        sold = len(sandbox.ledger)
        # All is read, so that the backup is of what is counted.
        assert seconds_until(lambda: truth.sms_differences(sandbox)["lost"] == 0, 90) < 90, "SMS are missing before it"
        then = _counts(project)
        began = time.monotonic()
        course.report.remark(project.exec("web", "python", "manage.py", "backup", "/data/backup.zip").splitlines()[0])
        course.report.add("backup", time.monotonic() - began, "s", 60)
        receive(sandbox, "After the backup 616161")
        assert seconds_until(lambda: _counts(project) != then, 20) < 20, "the dashboard does not go on"
        connection.close()
        project.compose("stop", *OURS[1:], seconds=300)
        time.sleep(21)  # restore refuses while the last sign of life is younger than that
        began = time.monotonic()
        said = project.compose(
            "run", "--rm", "--no-deps", "web", "python", "manage.py", "restore", "/data/backup.zip", "--replace"
        )
        course.report.add("restore", time.monotonic() - began, "s", 120)
        course.hold("restore compared all rows", *([] if "all of them compared" in said else [said[-300:]]))
        differ = _counts(project) - then + (then - _counts(project))
        course.hold("equal after the restore", *differ)
        project.up()
        caught_up = seconds_until(lambda: truth.sms_differences(sandbox)["lost"] == 0, 60)
        course.report.add("what came after the backup is there again", caught_up, "s", 60)
        differences = truth.sms_differences(sandbox)
        course.hold("SMS after the restore", *(f"{key} {n}" for key, n in differences.items() if n))
        course.report.add("ordered again", len(sandbox.ledger) - sold, "purchases", 0)


def _counts(project: Project) -> Counter[str]:
    tables = ("sms", "order", "booking", "product", "purchase", "account", "user")
    rows = project.sql(" UNION ALL ".join(f"SELECT '{name}', count(*) FROM dashboard_{name}" for name in tables))
    return Counter(rows.splitlines())
