"""The whole dashboard as `script/server` runs it: real web, worker, beat, sandbox and embedded Redis."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from anosim_dashboard import embedded_redis
from tests.stack import Stack, gone
from tests.streaming import wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux's /proc")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack") / "data")
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.process.kill()
        stack.process.wait(10)


def test_the_first_start_says_where_it_is_and_who_may_sign_in(stack: Stack) -> None:
    assert re.fullmatch(r"Ready: http://127\.0\.0\.1:\d+/\nAdmin: admin \S{12,}\n", stack.said())
    assert stack.get("/healthz")[0] == 200
    assert stack.get("/") == (302, "/accounts/login/?next=/")


def test_every_part_runs_once_and_the_whole_stays_small(stack: Stack) -> None:
    commands = stack.children().values()
    for part in ("valkey-server", "dashboard.sandbox", "dashboard.worker", "dashboard.web", "dashboard.beat"):
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
    old = stack.child("anosim_dashboard.worker")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: stack.child("anosim_dashboard.worker") not in (0, old), 10)
    new, before = stack.child("anosim_dashboard.worker"), sign.stat().st_mtime
    wait_until(lambda: sign.stat().st_mtime > before, 30)
    assert stack.child("anosim_dashboard.worker") == new


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
        ({"TIME_ZONE": "Nowhere"}, "TIME_ZONE must be the name of a time zone such as Europe/Berlin, not 'Nowhere'."),
        ({"REDIS_URL": "http://x"}, "REDIS_URL must begin with redis:// or rediss:// or unix://."),
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
