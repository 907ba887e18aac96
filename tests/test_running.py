"""The whole dashboard as `script/server` runs it: real web, worker, beat, sandbox and embedded Redis."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from anosim_dashboard import embedded_redis
from tests.streaming import wait_until

ROOT = Path(__file__).resolve().parent.parent
OURS = ("DATABASE_URL", "REDIS_URL", "ANOSIM_API_KEY", "ALLOWED_HOSTS", "ADMIN_USERNAME", "ADMIN_PASSWORD", "HOST")

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux's /proc")


class Stack:
    """One `script/server` process (without its bootstrap) over a data folder."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        environment |= {"DATA_DIR": str(data_dir), "PORT": "0", **variables}
        self.output, self.errors = data_dir.with_suffix(".output"), data_dir.with_suffix(".errors")
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "anosim_dashboard.supervisor"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    def wait_ready(self, seconds: float = 60) -> None:
        wait_until(lambda: "Ready: " in self.said() or self.process.poll() is not None, seconds)
        assert self.process.poll() is None, self.errors.read_text()

    def said(self) -> str:
        return self.output.read_text()

    def get(self, path: str) -> tuple[int, str]:
        found = re.search(r"^Ready: http://127\.0\.0\.1:(\d+)/$", self.said(), re.MULTILINE)
        assert found, self.said()
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.getheader("Location", "")
        finally:
            connection.close()

    def children(self) -> dict[int, str]:
        """Process ids and command lines of what the supervisor started."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.process.pid and fields[0] != "Z":
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def child(self, part: str) -> int:
        return next((pid for pid, command in self.children().items() if part in command), 0)

    def memory(self) -> float:
        """Proportional set size of all its processes, in MB."""
        total = 0
        for pid in (self.process.pid, *self.children()):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1])  # type: ignore[index]
        return total / 1024

    def stop(self) -> float:
        """End it as a service manager would; gives the seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.errors.read_text()
        return time.monotonic() - begun


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack") / "data")
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.process.kill()
        stack.process.wait(10)


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_first_start_says_where_it_is_and_who_may_sign_in(stack: Stack) -> None:
    assert re.fullmatch(r"Ready: http://127\.0\.0\.1:\d+/\nAdmin: admin \S{12,}\n", stack.said())
    assert stack.get("/healthz")[0] == 200
    assert stack.get("/") == (302, "/accounts/login/?next=/")


def test_every_part_runs_once_and_the_whole_stays_small(stack: Stack) -> None:
    commands = stack.children().values()
    for part in ("valkey-server", "dashboard.sandbox", "worker:app worker", "dashboard.web", "beat:app beat"):
        assert sum(part in command for command in commands) == 1, (part, commands)
    for _ in range(20):
        stack.get("/accounts/login/")
    assert stack.memory() < 260


def test_a_killed_web_process_keeps_nobody_waiting_for_long(stack: Stack) -> None:
    old = stack.child("anosim_dashboard.web")
    os.kill(old, signal.SIGKILL)
    begun = time.monotonic()
    assert stack.get("/healthz")[0] == 200
    assert time.monotonic() - begun < 15
    assert stack.child("anosim_dashboard.web") not in (0, old)


def test_pages_open_while_redis_is_gone_and_it_comes_back(stack: Stack) -> None:
    os.kill(stack.child("valkey-server"), signal.SIGKILL)
    assert stack.get("/accounts/login/")[0] == 200
    wait_until(lambda: embedded_redis.answers(stack.data_dir), 10)


def test_a_killed_worker_takes_tasks_again(stack: Stack) -> None:
    sign = stack.data_dir / "worker.alive"
    old = stack.child("worker:app worker")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: stack.child("worker:app worker") not in (0, old), 10)
    before = sign.stat().st_mtime
    wait_until(lambda: sign.stat().st_mtime > before, 30)


def test_a_stop_leaves_nothing_and_the_next_start_remembers_everything(stack: Stack) -> None:
    pids = list(stack.children())
    assert len(pids) >= 5
    assert stack.stop() < 10
    assert gone(pids)
    assert not embedded_redis.answers(stack.data_dir)
    again = Stack(stack.data_dir)
    try:
        again.wait_ready(30)
        assert "Admin" not in again.said()
        pids = list(again.children())
    finally:
        again.process.kill()
        again.process.wait(10)
    wait_until(lambda: gone(pids), 5)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DATABASE_URL": "mysql://somewhere/x"}, "DATABASE_URL is not one that can be used"),
        ({"DATABASE_URL": "postgresql://u:very-secret@127.0.0.1:1/x"}, "DATABASE_URL points at a PostgreSQL that"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ({"ANOSIM_API_KEY": "k" * 20, "ANOSIM_BASE_URL": "nonsense"}, "ANOSIM_BASE_URL cannot be used"),
        ({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY_FILE points at /nowhere, which cannot be read"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_one_sentence(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    stack = Stack(tmp_path / "data", **variables)
    assert stack.process.wait(60) == 2, stack.errors.read_text()
    told = stack.errors.read_text()
    assert told.startswith(sentence)
    assert told.count("\n") == 1
    assert "very-secret" not in told
    assert stack.said() == ""
    assert not embedded_redis.answers(stack.data_dir)
