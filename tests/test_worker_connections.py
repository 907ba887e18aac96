"""What a worker process does with its connections to the database between two tasks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery.fixups.django import DjangoWorkerFixup  # type: ignore[attr-defined]
from django.db import connection

from anosim_dashboard import worker


def _task(*, is_eager: bool) -> SimpleNamespace:
    return SimpleNamespace(request=SimpleNamespace(is_eager=is_eager))


@pytest.mark.django_db(transaction=True)
def test_it_gives_its_connection_back_and_celery_does_not_close_the_pool() -> None:
    connection.ensure_connection()
    pools = dict(getattr(connection, "_connection_pools", {}))
    DjangoWorkerFixup(worker.app).on_task_postrun(_task(is_eager=False))
    assert connection.connection is not None
    worker._give_connections_back(_task(is_eager=False))
    assert connection.connection is None
    assert getattr(connection, "_connection_pools", {}) == pools


@pytest.mark.django_db
def test_a_task_that_is_called_like_a_function_leaves_the_callers_connection_alone() -> None:
    connection.ensure_connection()
    worker._give_connections_back(_task(is_eager=True))
    assert connection.connection is not None
