"""The live stream under load and in trouble: what many streams cost, slow readers, Redis and the server gone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections

from dashboard.live import hub, stream
from dashboard.live.topics import SMS, TOPICS, touch
from dashboard.live.viewer import Viewer
from dashboard.models import Membership
from tests.databases import database_url
from tests.redis_server import RedisServer
from tests.streaming import Listener, serving, wait_until

from .live_streams import listen as listen
from .live_streams import port as port
from .live_streams import session_of, subscribers

pytestmark = pytest.mark.django_db(transaction=True)


# --- what it costs


def test_a_hundred_streams_hear_at_once_hold_no_connection_and_are_gone_when_they_close(
    listen: Any, port: int, account: Any, django_user_model: Any
) -> None:
    people = [django_user_model.objects.create_user(f"member{number}") for number in range(10)]
    for person in people:
        Membership.objects.create(user=person, account=account, role="viewer")
    before, name = threading.active_count(), str(connection.settings_dict["NAME"])
    files_before = len(files_open(name))
    streams = [listen(people[number % 10]) for number in range(100)]
    assert len(stream.hub.clients) == 100
    assert threading.active_count() <= before + 5
    assert open_connections() == [None] * 5
    if connection.vendor == "sqlite":
        # Besides those of this test's own connection, what SQLite keeps to reuse after a close.
        assert len(files_open(name)) <= files_before + 5

    begin = time.monotonic()
    touch(account.pk, SMS)
    for listener in streams:
        assert listener.event("nudge", 1.0)["v"] == 1
    assert time.monotonic() - begin < 1.0

    for listener in streams:
        listener.close()
    wait_until(lambda: not stream.hub.clients and not stream.hub._by_user, 2)


def open_connections() -> list[Any]:
    """The database connection that each thread of the stream holds."""
    gate = threading.Barrier(4)

    def connection_of_this_thread(wait: bool) -> Any:
        if wait:
            gate.wait(5)
        return connections["default"].connection

    opening = [stream._opening.submit(connection_of_this_thread, True) for _ in range(4)]
    return [each.result(5) for each in [*opening, stream._checking.submit(connection_of_this_thread, False)]]


def files_open(path: str) -> list[str]:
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(str(descriptor.readlink()))
    return [name for name in names if name.startswith(path)]


def test_a_browser_that_stops_reading_keeps_only_the_newest_of_each_topic() -> None:
    async def scene() -> None:
        central = hub.Hub()
        client = central.join(Viewer(1, frozenset({1, 2})), "session", 0.0)
        blocked = asyncio.Event()
        sent: list[bytes] = []

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                sent.append(message["body"])
                await blocked.wait()

        pump = asyncio.create_task(stream._pump(client, stream.HELLO, send))
        await asyncio.sleep(0.01)
        for version in range(1, 5001):
            for account in (1, 2, 3):
                for topic in TOPICS:
                    central._fan_out((account, topic), version)
        assert len(client.pending) == 2 * len(TOPICS)
        blocked.set()
        await asyncio.sleep(0.01)
        client.close()
        await pump
        assert sent[0] == stream.HELLO
        assert sent[1].count(b'"v":5000}') == sent[1].count(b"event: nudge") == 2 * len(TOPICS)

    asyncio.run(scene())


def test_a_browser_that_takes_nothing_for_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream, "SEND_WITHIN", 0.1)

    async def scene() -> None:
        client = hub.Hub().join(Viewer(1, frozenset({1})), "session", 0.0)

        async def send(message: dict[str, Any]) -> None:
            await asyncio.sleep(10)

        await asyncio.wait_for(stream._pump(client, stream.HELLO, send), 1)

    with caplog.at_level(logging.INFO):
        asyncio.run(scene())
    assert "A live stream was given up: its reader takes nothing." in caplog.messages


# --- when things break


def test_redis_killed_and_started_again_gives_a_sync_and_nudges_again(
    redis_server: RedisServer, settings: Any, viewer: Any, account: Any
) -> None:
    settings.REDIS_URL = redis_server.url
    with serving() as port, Listener(port, session_of(viewer)) as listener:
        wait_until(lambda: subscribers(redis_server.url) == 1, 5)
        listener.events(0.3)
        redis_server.kill()
        touch(account.pk, SMS)
        assert listener.events(1.0) == []
        redis_server.start()
        assert listener.event("sync", 5.0) == {}
        touch(account.pk, SMS)
        assert listener.event("nudge", 1.0)["v"] == 2
        assert not listener.ended


def test_a_redis_that_freezes_is_noticed(
    redis_server: RedisServer, settings: Any, viewer: Any, account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT", 0.2)
    monkeypatch.setattr(hub, "CONNECT_TIMEOUT", 0.2)
    settings.REDIS_URL = redis_server.url
    assert redis_server.process is not None
    with serving() as port, Listener(port, session_of(viewer)) as listener:
        wait_until(lambda: subscribers(redis_server.url) == 1, 5)
        listener.events(1.0)
        os.kill(redis_server.process.pid, signal.SIGSTOP)
        wait_until(lambda: stream.hub._lost, 3)
        os.kill(redis_server.process.pid, signal.SIGCONT)
        listener.event("sync", 5.0)
        touch(account.pk, SMS)
        assert listener.event("nudge", 1.0)["v"] == 1


def test_without_redis_a_stream_opens_and_stays_open(
    tmp_path: Any, settings: Any, viewer: Any, account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PING_EVERY", 0.1)
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    with serving() as port, Listener(port, session_of(viewer)) as listener:
        listener.event("sync")
        touch(account.pk, SMS)
        listener.events(1.0)
        assert not listener.ended
        assert listener.raw.count(b": ping\n\n") >= 3


def test_a_stop_of_the_server_ends_open_streams_at_once(redis_url: str, viewer: Any, tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "anosim_dashboard.asgi:application", "--port", str(port)]
    command += ["--timeout-graceful-shutdown", "20", "--log-level", "warning"]
    log = tmp_path / "log"
    environment = os.environ | {"REDIS_URL": redis_url, "DATABASE_URL": database_url()}
    environment["SECRET_KEY"] = django_settings.SECRET_KEY  # the sessions of this process hold there too
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: answers(port), 20)
        streams = [Listener(port, session_of(viewer)) for _ in range(5)]
        assert all(listener.event("sync")["v"] for listener in streams)
        begin = time.monotonic()
        server.terminate()
        server.wait(10)
        assert time.monotonic() - begin < 2.0
        for listener in streams:
            listener.wait_for_end(1)
            listener.close()
        assert "Traceback" not in log.read_text()
        assert "ERROR" not in log.read_text()
    finally:
        server.kill()
        server.wait(10)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
