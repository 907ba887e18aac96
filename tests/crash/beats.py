"""Two beats, none, and one that was away for long (reliability.md G21)."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import fmean

from bench.figures import BASE_DIR, Report, main
from bench.stack import Stack
from dashboard.sandbox import Sandbox

from .freezes import frozen, seconds_until
from .load import until_known

GOALS = ("G21",)
QUESTION = "Two beats: no call more; none: alarm within two intervals; after a pause: one catch-up run"
WINDOW = 50.0  # seconds with one beat, then with two, and so on
WINDOWS = 6
PAUSE = 60.0
WATCHED = 10.0  # seconds after a pause
DAY = timedelta(days=1)
CELERY = ("-m", "celery", "--quiet", "--app", "anosim_dashboard.beat:app")
PROGRAM = (sys.executable, *CELERY, "beat", "--scheduler", "celery.beat:Scheduler")
SMALL = {"orders": 8, "bookings": 12, "sms": 20}
Times = dict[str, list[float]]


def measure(report: Report, options: argparse.Namespace) -> None:
    environment = {"LOG_LEVEL": "WARNING", "DATABASE_URL": os.environ.get("DATABASE_URL", "")}
    with Sandbox(seed=21, size=SMALL) as sandbox, Stack(sandbox, environment=environment) as stack:
        stack.use_django()
        until_known()
        _two_beats(report, sandbox, stack, options.quick)
        _no_beat(report, sandbox, stack, 0.0 if options.quick else PAUSE)
        if not options.quick:
            _worker_away(report, sandbox, stack)
            _a_day_off(report, sandbox, stack)
        report.remark("compressed: an hour with two beats to two and a half minutes; 24 hours to rows a day old")


def _two_beats(report: Report, sandbox: Sandbox, stack: Stack, quick: bool) -> None:
    """Calls a minute by the mean distance of two calls of a kind: it hardly depends on where a window is cut."""
    found: dict[bool, list[Times]] = {False: [], True: []}
    for turn in range(2 if quick else WINDOWS):
        doubled = turn % 2 == 1
        with _second_beat(stack) if doubled else contextlib.nullcontext():
            time.sleep(2)
            began = time.time()
            time.sleep(5 if quick else WINDOW)
            found[doubled].append(_calls(sandbox, began))
    one, two = (_a_minute(found[doubled]) for doubled in (False, True))
    report.add("calls a minute that the schedule asks for", _asked_for(), "calls", spread="fewer: the ticks come late")
    report.add("calls a minute with one beat", one, "calls")
    report.add("calls a minute with two beats", two, "calls")
    # A few seconds say nothing about one percent.
    report.add("more calls with two beats", 100 * (two / one - 1), "%", None if quick else 1)
    near = sum(_too_near(times) for times in found[True])
    report.add("reads that two beats made twice", near, "reads", 0)


@contextlib.contextmanager
def _second_beat(stack: Stack) -> Iterator[None]:
    with subprocess.Popen(PROGRAM, cwd=BASE_DIR, env=stack.environment) as process:
        try:
            time.sleep(4)
            yield
        finally:
            # Asked to stop in the middle of a call to Redis it goes on for ever (Celery takes the exit for a failure).
            process.kill()


def _calls(sandbox: Sandbox, since: float) -> Times:
    """When each path was called."""
    found: Times = defaultdict(list)
    for call in sandbox.calls:
        at = datetime.fromisoformat(call["at"]).timestamp()
        if at >= since:
            found[call["path"]].append(at)
    return found


def _a_minute(windows: list[Times]) -> float:
    gaps: dict[str, list[float]] = defaultdict(list)
    for times in windows:
        for path, moments in times.items():
            gaps[path] += [after - before for before, after in pairwise(moments)]
    return sum(60 / fmean(each) for each in gaps.values() if each)


def _asked_for() -> float:
    """By the paces of what is read at least each minute."""
    from dashboard.models import SyncState

    paces = SyncState.objects.filter(pace_seconds__lte=60).values_list("pace_seconds", flat=True)
    return sum(60 / pace for pace in paces)


def _too_near(times: Times) -> int:
    """Reads that came again before half of the shortest pace, two seconds, was over."""
    return sum(after - before < 1.0 for moments in times.values() for before, after in pairwise(moments))


def _no_beat(report: Report, sandbox: Sandbox, stack: Stack, pause: float) -> None:
    from dashboard.models import Heartbeat

    interval = Heartbeat.EVERY.total_seconds()
    with frozen(stack.pids()["beat"]):
        began = time.monotonic()
        alarm = seconds_until(_canary_is_red, 90)
        report.add("beat stopped: alarm after", alarm, "s", 2 * interval, spread=f"an interval is {interval:g} s")
        time.sleep(max(0.0, began + pause - time.monotonic()))
    _tell_catching_up(report, sandbox, "beat was away")


def _canary_is_red() -> bool:
    from dashboard import health

    return not next(check for check in health.checks([]) if check.name == "canary").ok


def _worker_away(report: Report, sandbox: Sandbox, stack: Stack) -> None:
    """Beat goes on: so many ticks lie in the queue."""
    with frozen(stack.pids()["worker"]):
        time.sleep(PAUSE)
    _tell_catching_up(report, sandbox, "the worker was away")


def _a_day_off(report: Report, sandbox: Sandbox, stack: Stack) -> None:
    from django.db.models import F

    from dashboard.models import Account, Heartbeat, SyncState

    stack.stop()
    for model, names in (
        (SyncState, ("due_at", "last_attempt_at", "last_success_at")),
        (Heartbeat, ("at",)),
        (Account, ("alerts_at", "balance_at")),
    ):
        model.objects.update(**{name: F(name) - DAY for name in names})
    began = time.time()
    stack.start()
    _tell_catching_up(report, sandbox, "all was off for a day", began)


def _tell_catching_up(report: Report, sandbox: Sandbox, title: str, since: float | None = None) -> None:
    since = since or time.time()
    time.sleep(WATCHED)
    times = _calls(sandbox, since)
    read = len({path for path in times if not path[-1].isdigit()})
    report.add(f"{title}: kinds that were read again at once", read, "kinds")
    report.add(f"{title}: runs to catch up beyond the first", _too_near(times), "runs", 0)


if __name__ == "__main__":
    main(QUESTION, measure)
