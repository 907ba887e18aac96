"""Worker killed, embedded Redis killed, provider away for a minute: do pages open, say what is stale, and heal?"""

from __future__ import annotations

import argparse
import http.client
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dashboard.sandbox import Sandbox

from .figures import Report, main
from .healing import is_current
from .stack import Stack

QUESTION = "Outages: pages within 300 ms, stale said, all current 30 s after"
PAGES = ("/", "/inbox/", "/status/")
AWAY = 60.0
FAST = 300.0
STALE_WORDS = (" are not current.", "no answer from our own worker")


@dataclass
class Watch:
    """Opens the pages each second and notes how long that took, what failed, and when they began to warn."""

    stack: Stack
    pages: tuple[str, ...] = PAGES
    times: list[float] = field(default_factory=list)
    worst: list[tuple[float, str, float]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    warned_at: dict[str, float] = field(default_factory=dict)
    warns: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self.busy: float | None = None
        self._used = self.stack.processor_seconds()
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        turn = time.monotonic()
        while not self._stop.is_set():
            for page in self.pages:
                self._open(page)
            turn = max(turn + 1.0, time.monotonic())
            self._stop.wait(turn - time.monotonic())

    def _open(self, page: str) -> None:
        at = time.monotonic() - self.began
        try:
            answer = self.stack.get(page)
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(f"{page} after {at:.0f} s: {type(error).__name__}")
            return
        self.times.append(answer.seconds * 1000)
        self.worst.append((answer.seconds * 1000, page, at))
        if answer.status != 200:
            self.broken.append(f"{page} after {at:.0f} s: {answer.status}")
        self.warns[page] = any(words in answer.text for words in STALE_WORDS)
        if self.warns[page]:
            self.warned_at.setdefault(page, at)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        used = self.stack.processor_seconds() - self._used
        # Less than before: a process was killed, and its time went with it.
        self.busy = 100 * used / (time.monotonic() - self.began) if used > 0 else None


def measure(report: Report, options: argparse.Namespace) -> None:
    with Sandbox(seed=9) as sandbox, Stack(sandbox) as stack:
        stack.use_django()
        time.sleep(60)
        calm = _watched(report, "nothing is wrong", stack, 10 if options.quick else 20)
        report.remark(f"warnings while nothing is wrong: {sorted(calm.warned_at)}")
        for name in ("worker", "redis", "web"):
            _killed(report, name, sandbox, stack)
        _away(report, sandbox, stack, 30.0 if options.quick else AWAY)
        errors = [line for line in stack.log().splitlines() if "Traceback" in line or " ERROR " in line]
        report.add("errors in the log", len(errors), "lines", spread="; ".join(sorted(set(errors)))[:300])


def _watched(report: Report, title: str, stack: Stack, seconds: float) -> Watch:
    watch = Watch(stack)
    time.sleep(seconds)
    return _told(report, title, watch)


def _told(report: Report, title: str, watch: Watch) -> Watch:
    watch.stop()
    if watch.busy is not None:
        report.add(f"{title}: processor time of the stack", watch.busy, "%", spread="of one core, pages included")
    report.add_series(f"{title}: page", watch.times, "ms")
    # While the web process itself starts again, a page waits for it.
    limit = None if title.startswith("web") else FAST
    report.add(f"{title}: slowest page", max(watch.times), "ms", limit, n=len(watch.times))
    slow = [f"{page} {ms:.0f} ms after {at:.0f} s" for ms, page, at in watch.worst if ms > FAST]
    if slow:
        report.remark("slow: " + ", ".join(slow[:12]))
    # A page is asked at a time, and the one that a killed web process has in hand cannot be answered.
    lost = int(title.startswith("web"))
    report.add(
        f"{title}: pages that did not open", len(watch.broken), "pages", lost, spread="; ".join(watch.broken[:4])
    )
    return watch


def _killed(report: Report, name: str, sandbox: Sandbox, stack: Stack) -> None:
    watch = Watch(stack)
    time.sleep(3)
    stack.kill(name)
    killed_at = datetime.now(UTC)
    begun = time.monotonic()
    while not stack.pids().get(name):
        time.sleep(0.05)
    back = time.monotonic()
    mark = _send(sandbox, f"{name} was killed")
    report.add(f"{name} killed: back as a process", back - begun, "s")
    took = _healed(killed_at, mark, back)
    report.add(f"{name} killed: all current after", took, "s", 30)
    time.sleep(max(0.0, 12 - took))
    _told(report, f"{name} killed", watch)


def _away(report: Report, sandbox: Sandbox, stack: Stack, seconds: float) -> None:
    watch = Watch(stack)
    time.sleep(2)
    down = time.monotonic()
    sandbox.go_down()
    mark = _send(sandbox, "the provider was away")
    time.sleep(seconds)
    still = dict(watch.warns)
    sandbox.come_back()
    came_back, back = datetime.now(UTC), time.monotonic()
    took = _healed(came_back, mark, back)
    report.add("provider away: all current after", took, "s", 30)
    time.sleep(3)
    quiet_again = not any(watch.warns.values())
    _told(report, "provider away", watch)
    for page in PAGES:
        at = watch.warned_at.get(page)
        report.add(f"provider away: {page} warns after", at - (down - watch.began) if at else 999, "s", 60)
    silent = [page for page in PAGES if not still.get(page)]
    report.add("provider away: pages that do not warn at its end", len(silent), "pages", 0, spread=str(silent))
    report.add("provider away: warnings left 3 s after it healed", 0 if quiet_again else 1, "pages", 0)


def _send(sandbox: Sandbox, why: str) -> str:
    running = [row.id for row in sandbox.world.running() if row.extends is None]
    text = f"Sent while {why}: {len(sandbox.world.sms)}"
    sandbox.world.receive_sms(running[0], text)
    return text


def _healed(since: datetime, mark: str, from_moment: float) -> float:
    """Seconds until all is current and the message is there."""
    while time.monotonic() < from_moment + 90 and not is_current(since, mark):
        time.sleep(0.1)
    return time.monotonic() - from_moment


if __name__ == "__main__":
    main(QUESTION, measure)
