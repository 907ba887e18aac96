"""The live stream of the project served, for tests: streams opened as a person, and who subscribes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client as Browser
from redis import Redis

from dashboard.live.topics import CHANNEL
from tests.streaming import Listener, serving, wait_until


@pytest.fixture
def port(redis_url: str, settings: Any) -> Iterator[int]:
    """The project served, with its subscription made."""
    settings.REDIS_URL = redis_url
    with serving() as port:
        wait_until(lambda: subscribers(redis_url) == 1, 5)
        yield port


def subscribers(url: str) -> int:
    with Redis.from_url(url) as redis:
        return int(redis.pubsub_numsub(CHANNEL)[0][1])


def session_of(user: Any) -> str:
    browser = Browser()
    browser.force_login(user)
    return browser.cookies[django_settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def listen(port: int) -> Iterator[Callable[..., Listener]]:
    """Open a stream as a person; it is past its first `sync`. All are closed at the end of the test."""
    opened: list[Listener] = []

    def _listen(user: Any, **values: Any) -> Listener:
        listener = Listener(port, session_of(user), **values)
        opened.append(listener)
        assert listener.status == 200
        assert set(listener.event("sync")) == {"v"}
        return listener

    yield _listen
    for listener in opened:
        listener.close()
