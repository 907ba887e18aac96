"""The disk full, the database read-only, the database locked for a minute (reliability.md G27), on SQLite.

storage_on_postgres.py is the same for PostgreSQL, which also is restarted in the middle.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.bought import judge
from bench.figures import Report, main
from bench.stack import Stack, alive
from dashboard.sandbox import Sandbox

from .faulty import fault, judge_forms, judge_intents
from .load import COMPRESSED, SETTINGS, Load, sender_to, shop, until_known
from .volumes import Volume, allow_growth, forbid_growth, is_root

GOALS = ("G27",)
QUESTION = "Storage faults on SQLite: nothing sent without a committed intent, clear words, heals by itself"
FULL_SECONDS = 20.0
LOCKED_SECONDS = 60.0
MEGABYTES = 48
FAULTS = ("full", "read-only", "locked")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--faults", nargs="+", choices=FAULTS, default=FAULTS, help="which (all; with --quick the first)"
    )


def measure(report: Report, options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as opened:
        volume = opened.enter_context(Volume(MEGABYTES)) if is_root() else None
        environment = dict(SETTINGS)
        if volume is not None:
            data = volume.path / "data"
            data.mkdir()
            environment |= {"DATA_DIR": str(data), "DATABASE_URL": f"sqlite:///{volume.part}/db.sqlite3"}
        with at_work(report, 271, environment) as (stack, load):
            faults = FAULTS[:1] if options.quick else options.faults
            _break(report, Scene(stack, load, volume), faults, 4.0 if options.quick else 1.0)
        if volume is None:
            report.remark(
                "Not root: files could not grow (RLIMIT_FSIZE) instead of a full disk; read-only was left out."
            )


@contextlib.contextmanager
def at_work(report: Report, seed: int, environment: dict[str, str]) -> Iterator[tuple[Stack, Load]]:
    """A stack that reads and buys, for its storage to break under; behind it all is settled, judged and reported."""
    slow = {"latency": {"rate": 0.5, "only": "spends", "seconds": 0.8}}  # time for it to break mid-call
    with shop(seed, faults=slow) as sandbox, Stack(sandbox, environment=environment) as stack:
        stack.use_django()
        until_known()
        with Load(stack, sender_to(sandbox), sms_every=0.5, order_every=4.0) as load:
            yield stack, load
        load.wait_until_settled(150)
        _tell(report, sandbox, load)


def _tell(report: Report, sandbox: Sandbox, load: Load) -> None:
    from dashboard.models import Account

    judge_intents(report, sandbox)
    judge_forms(report, load)
    judge(report, [sandbox], list(Account.objects.all()))
    report.remark(COMPRESSED)


@dataclass
class Scene:
    stack: Stack
    load: Load
    volume: Volume | None


def _break(report: Report, scene: Scene, faults: Sequence[str], shorter: float) -> None:
    if "full" in faults:
        with fault(report, "disk full", scene.stack, scene.load), _full(scene) as again:
            hold(FULL_SECONDS / shorter, again)
    if "read-only" in faults and scene.volume is not None:
        with fault(report, "read-only", scene.stack, scene.load), _read_only(scene.stack, scene.volume):
            hold(FULL_SECONDS / shorter)
    if "locked" in faults:
        with fault(report, "locked", scene.stack, scene.load), _locked():
            hold(LOCKED_SECONDS)


def hold(seconds: float, again: Callable[[], object] = lambda: None) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        again()
        time.sleep(0.3)


@contextlib.contextmanager
def _full(scene: Scene) -> Iterator[Callable[[], object]]:
    """Gives what is to be called again and again to keep it full."""
    if scene.volume is not None:
        yield scene.volume.fill
        scene.volume.make_room()
        return

    def pids() -> list[int]:
        return [pid for name, pid in scene.stack.pids().items() if name in ("web", "worker")]

    yield lambda: forbid_growth(pids())
    allow_growth(pids())


@contextlib.contextmanager
def _read_only(stack: Stack, volume: Volume) -> Iterator[None]:
    """As after an error of the disk: who has the database open is gone, and finds it read-only when it is started."""
    from django.db import connection

    connection.close()
    pids = [pid for name, pid in stack.pids().items() if name in ("web", "worker")]
    for name in ("web", "worker"):
        stack.kill(name)
    while any(map(alive, pids)):
        time.sleep(0.01)
    volume.make_read_only()
    yield
    connection.close()
    volume.make_writable()


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Somebody else holds the lock of the writers."""
    from django.conf import settings
    from django.db.backends.sqlite3.base import Database  # type: ignore[attr-defined]

    name = str(settings.DATABASES["default"]["NAME"])
    other = Database.connect(name, isolation_level=None, timeout=30)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("ROLLBACK")
    other.close()


if __name__ == "__main__":
    main(QUESTION, measure, add_options)
