"""The points where most could be lost or doubled, and one kill of each process, in every test run.

All of them, and every other goal: `python -m tests.crash`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from bench.figures import BASE_DIR
from dashboard.purchases import failpoints

from .cases import KINDS, all_cases, quick_cases
from .killing import Ground, ground, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scene(settings: Any, redis_url: str) -> Iterator[Ground]:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50
    settings.PURCHASE_DEADLINE_SECONDS = 3
    settings.PURCHASE_SETTLE_SECONDS = 1
    with ground(environment(redis_url)) as made:
        yield made


def environment(redis_url: str) -> dict[str, str]:
    """Of a process that works on the database of this test."""
    values = connection.settings_dict
    url = f"sqlite:///{values['NAME']}"
    if connection.vendor == "postgresql":
        url = f"postgresql://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"
    return {
        "DATABASE_URL": url,
        "REDIS_URL": redis_url,
        "ANOSIM_MAX_CALLS_PER_SECOND": "50",
        "PURCHASE_DEADLINE_SECONDS": "3",
        "PURCHASE_SETTLE_SECONDS": "1",
        "DATA_DIR": os.environ["DATA_DIR"],
    }


def test_killed_at_any_point_nothing_is_bought_twice_and_nothing_is_lost(scene: Ground) -> None:
    for case in quick_cases():
        result = run(scene, case)
        assert result.reached, f"not reached: {case}"
        assert result.wrong == [], f"{case}: {result.wrong}"


def test_each_process_is_killed_once_under_load_and_all_heals() -> None:
    module = "kills_on_postgres" if connection.vendor == "postgresql" else "kills"
    assert_limits_kept(module)


def test_floods_of_messages_are_fetched_or_told() -> None:
    assert_limits_kept("floods")


def assert_limits_kept(module: str) -> None:
    """The quick series of a goal, over a stack and servers of its own."""
    own = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL", "DATA_DIR")}
    command = [sys.executable, "-m", f"tests.crash.{module}", "--quick"]
    done = subprocess.run(command, cwd=BASE_DIR, env=own, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"


def test_every_point_has_a_case_for_every_kind() -> None:
    covered = {(case.point, case.kind) for case in all_cases()}
    assert covered == {(point, kind) for point in failpoints.POINTS for kind in KINDS}
