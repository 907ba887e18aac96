"""The points where most could be lost or doubled, in every test run; all of them: `python -m tests.crash`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

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


def test_every_point_has_a_case_for_every_kind() -> None:
    covered = {(case.point, case.kind) for case in all_cases()}
    assert covered == {(point, kind) for point in failpoints.POINTS for kind in KINDS}
