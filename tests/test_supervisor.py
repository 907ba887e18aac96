"""The supervisor over small real programs: what starts when, what ends when, and nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.streaming import wait_until
from tests.supervised import READY

ROOT = Path(__file__).resolve().parent.parent


class Running:
    """A supervisor process over fakes, and what it and they have said so far."""

    def __init__(self, folder: Path, complains_to: Path | None = None, **options: Any) -> None:
        self.folder = folder
        self.output, self.errors = folder / "output", complains_to or folder / "errors"
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.supervised", str(folder), json.dumps(options)],
                cwd=ROOT,
                stdout=output,
                stderr=errors,
            )

    def events(self) -> list[tuple[str, str, int]]:
        file = self.folder / "events"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(what, name, int(pid)) for what, name, pid in (line.split() for line in lines)]

    def pids(self, name: str) -> list[int]:
        return [pid for what, who, pid in self.events() if (what, who) == ("start", name)]

    def wait_ready(self) -> None:
        wait_until(lambda: READY in self.output.read_text(), 10)

    def wait_started(self, name: str, times: int = 1) -> int:
        wait_until(lambda: len(self.pids(name)) >= times, 10)
        return self.pids(name)[-1]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def left_alive(self) -> list[int]:
        return [pid for what, _, pid in self.events() if what == "start" and is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def make(**options: Any) -> Running:
        started.append(Running(tmp_path, **options))
        return started[-1]

    yield make
    for running in started:
        running.process.kill()
        running.process.wait(10)
    for running in started:
        wait_until(lambda running=running: not running.left_alive(), 10)  # type: ignore[misc]


def test_it_says_ready_and_the_first_admin_and_nothing_else_on_standard_output(start: Start) -> None:
    running = start()
    running.wait_ready()
    wait_until(lambda: "secret" in running.output.read_text(), 5)
    assert running.stop() == 0
    assert running.output.read_text() == f"{READY}\nAdmin: admin secret\n"
    assert running.errors.read_text() == ""


def test_redis_comes_first_then_prepare_then_the_rest(start: Start) -> None:
    running = start()
    running.wait_ready()
    running.wait_started("beat")
    names = [name for _, name, _ in running.events()]
    assert names[:2] == ["redis", "prepare"]
    assert set(names[2:]) == {"worker", "web", "beat"}


def test_the_sandbox_runs_when_prepare_asks_for_it(start: Start) -> None:
    running = start(sandbox=True)
    running.wait_ready()
    running.wait_started("sandbox")
    assert running.stop() == 0
    assert not running.left_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_ends_beat_then_web_and_worker_then_redis(start: Start, number: signal.Signals) -> None:
    running = start(sandbox=True)
    running.wait_ready()
    for name in ("beat", "sandbox"):
        running.wait_started(name)
    running.process.send_signal(number)
    assert running.process.wait(10) == 0
    order = [f"{what} {name}" for what, name, _ in running.events() if what != "start"]
    assert order[:2] == ["term beat", "end beat"]
    assert set(order[2:6]) == {"term web", "end web", "term worker", "end worker"}
    assert set(order[6:]) == {"term sandbox", "end sandbox", "term redis", "end redis"}
    assert not running.left_alive()


def test_a_ctrl_c_in_the_terminal_reaches_only_the_supervisor(start: Start) -> None:
    running = start()
    running.wait_ready()
    beat = running.wait_started("beat")
    own = os.getpgid(running.process.pid)
    assert {os.getpgid(pid) for pid in (beat, *running.pids("redis"), *running.pids("web"))}.isdisjoint({own})


@pytest.mark.parametrize("name", ["redis", "worker", "web", "beat"])
def test_a_child_that_dies_is_started_again(start: Start, name: str) -> None:
    running = start()
    running.wait_ready()
    os.kill(running.wait_started(name), signal.SIGKILL)
    running.wait_started(name, times=2)
    assert f"{name} was ended by signal 9; it starts again in 0.25 s." in running.errors.read_text()
    assert running.stop() == 0
    assert not running.left_alive()


def test_it_goes_on_where_nothing_can_be_said_any_more(start: Start) -> None:
    running = start(complains_to=Path("/dev/full"))
    running.wait_ready()
    os.kill(running.wait_started("worker"), signal.SIGKILL)
    running.wait_started("worker", times=2)
    assert running.stop() == 0


def test_a_child_that_keeps_dying_waits_longer_each_time(start: Start) -> None:
    running = start()
    running.wait_ready()
    for times in (1, 2, 3):
        os.kill(running.wait_started("web", times), signal.SIGKILL)
    running.wait_started("web", 4)
    delays = [line.split("again in ")[1] for line in running.errors.read_text().splitlines()]
    assert delays == ["0.25 s.", "0.5 s.", "1 s."]


def test_what_a_dead_child_left_behind_is_killed(start: Start) -> None:
    running = start(with_grandchild=["worker"])
    running.wait_ready()
    grandchild = int((running.folder / "grandchild").read_text())
    os.kill(running.wait_started("worker"), signal.SIGKILL)
    wait_until(lambda: not is_alive(grandchild), 5)
    running.wait_started("worker", times=2)
    wait_until(lambda: int((running.folder / "grandchild").read_text()) != grandchild, 5)
    assert running.stop() == 0
    assert not is_alive(int((running.folder / "grandchild").read_text()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_sigkill_of_the_supervisor_leaves_nothing(start: Start) -> None:
    running = start(sandbox=True)
    running.wait_ready()
    running.wait_started("beat")
    running.process.kill()
    running.process.wait(10)
    wait_until(lambda: not running.left_alive(), 5)
    assert {"redis", "worker", "web", "beat"} <= {name for _, name, _ in running.events()}


def test_a_child_that_does_not_stop_is_killed_when_the_time_is_over(start: Start) -> None:
    running = start(stubborn=["worker", "beat", "redis"], stop_seconds=3.0)
    running.wait_ready()
    running.wait_started("beat")
    begun = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - begun < 3.5
    assert "worker did not stop in time and was killed." in running.errors.read_text()
    assert not running.left_alive()


def test_a_second_ctrl_c_does_not_wait(start: Start) -> None:
    running = start(stubborn=["worker"])
    running.wait_ready()
    running.process.send_signal(signal.SIGINT)
    wait_until(lambda: ("term", "worker") in [event[:2] for event in running.events()], 5)
    time.sleep(0.6)
    begun = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(10) == 0
    assert time.monotonic() - begun < 2
    assert not running.left_alive()


def test_two_signals_at_once_are_one_request(start: Start) -> None:
    running = start()
    running.wait_ready()
    for _ in range(5):
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.01)
    assert running.process.wait(15) == 0
    assert running.errors.read_text() == ""


def test_the_sentence_of_prepare_is_passed_on_and_nothing_is_half_started(start: Start) -> None:
    running = start(prepare_says_no="DATABASE_URL names a server that does not answer.")
    assert running.process.wait(10) == 2
    assert running.errors.read_text() == "DATABASE_URL names a server that does not answer.\n"
    assert running.output.read_text() == ""
    assert {name for _, name, _ in running.events()} == {"redis", "prepare"}
    assert not running.left_alive()


def test_a_stop_while_prepare_runs_ends_at_once(start: Start) -> None:
    running = start(prepare_takes=60)
    running.wait_started("prepare")
    begun = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - begun < 3
    assert not running.left_alive()


def test_a_child_that_cannot_get_up_ends_the_start_with_one_sentence(start: Start) -> None:
    running = start(broken=["web"])
    assert running.process.wait(15) == 1
    assert "web ended 3 times while starting; its words are above." in running.errors.read_text()
    assert running.output.read_text() == ""
    assert not running.left_alive()


def test_a_worker_that_hangs_is_started_again_and_so_is_beat_that_may_be_why(start: Start) -> None:
    running = start(silent_worker=1.0)
    running.wait_ready()
    running.wait_started("worker", times=2)
    running.wait_started("beat", times=2)
    assert "worker has done nothing for 1 s; it and beat are started again." in running.errors.read_text()


def test_a_second_copy_on_the_same_folder_is_refused_and_the_first_lives_on(start: Start) -> None:
    first = start()
    first.wait_ready()
    second = subprocess.run(
        [sys.executable, "-m", "tests.supervised", str(first.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert second.returncode == 2
    assert second.stderr == (
        f"Another copy (process {first.process.pid}) already uses {first.folder}: "
        "stop it, or set DATA_DIR to another folder.\n"
    )
    assert first.process.poll() is None
    first.process.kill()
    first.process.wait(10)
    wait_until(lambda: not first.left_alive(), 5)
    (first.folder / "events").unlink()
    third = start()
    third.wait_ready()


def test_it_stays_small_and_loads_neither_django_nor_celery() -> None:
    code = (
        "import sys, anosim_dashboard.supervisor\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'django', 'celery', 'kombu', 'redis', 'requests', 'asyncio', 'http', 'ssl', 'email', 'logging'}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_beat_loads_no_models_and_no_views() -> None:
    code = (
        "import sys, logging.config, anosim_dashboard.beat as beat\n"
        "from django.conf import settings\n"
        "logging.config.dictConfig(settings.LOGGING)\n"
        "assert beat.app.conf.beat_schedule and beat.app.conf.broker_url\n"
        "print([name for name in ('dashboard', 'django.db', 'django.views', 'django.http') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "80000"}, "PORT must be a whole number from 0 to 65535, not '80000'.\n"),
        ({"HOST": "192.0.2.1"}, "HOST is '192.0.2.1', which is no address of this machine.\n"),
        ({"DATA_DIR": "/dev/null/x"}, "The data folder /dev/null/x cannot be used (Not a directory): "),
        ({"REDIS_BINARY": "/nowhere"}, "REDIS_BINARY is /nowhere, which is not a program that can be run.\n"),
    ],
)
def test_a_wrong_setting_gives_one_sentence_and_status_2(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "anosim_dashboard.supervisor"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path / "data"), "PORT": "0", "REDIS_URL": "", **variables},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
