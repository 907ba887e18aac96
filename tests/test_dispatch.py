"""Handing work to the queue: with it, without it, and with one that does not answer."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from dashboard.dispatch import enqueue

from .redis_server import RedisServer


def _task(url: str) -> Any:
    app = Celery("dispatch-tests", broker=url.replace("unix://", "redis+socket://", 1), set_as_current=False)
    app.conf.task_ignore_result = True
    app.conf.broker_transport_options = {"socket_timeout": 30}

    @app.task(name="tests.nothing", shared=False)
    def nothing(pk: int) -> None:
        """Only ever put into a queue here."""

    return nothing


@pytest.fixture
def queue(redis_server: RedisServer) -> Iterator[Redis]:
    client = Redis.from_url(redis_server.url)
    yield client
    client.close()


def test_the_queue_gets_the_task_with_its_ids_alone(redis_server: RedisServer, queue: Redis) -> None:
    assert enqueue(_task(redis_server.url), 7) is True
    message = json.loads(queue.lpop("celery"))  # type: ignore[arg-type]
    assert message["headers"]["task"] == "tests.nothing"
    assert message["headers"]["argsrepr"] == "(7,)"


def test_work_that_nobody_takes_in_time_is_marked_to_be_dropped(redis_server: RedisServer, queue: Redis) -> None:
    assert enqueue(_task(redis_server.url), 7, expires=30)
    assert json.loads(queue.lpop("celery"))["headers"]["expires"]  # type: ignore[arg-type]


def test_a_queue_that_is_away_is_told_at_once(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    task = _task(redis_server.url)
    redis_server.kill()
    started = time.monotonic()
    with caplog.at_level(logging.DEBUG, "dashboard"):
        assert enqueue(task, 7) is False
    assert time.monotonic() - started < 0.5
    assert redis_server.url not in caplog.text
    assert "does not take tests.nothing" in caplog.text


def test_a_queue_that_does_not_answer_is_given_up_soon(redis_server: RedisServer) -> None:
    task = _task(redis_server.url)
    assert redis_server.process is not None
    redis_server.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    assert enqueue(task, 7) is False
    assert time.monotonic() - started < 3
