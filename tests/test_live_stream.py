"""The live stream over a real server and a real Redis: who hears what, how soon, and what breaks it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections
from django.test import Client as Browser
from redis import Redis

from dashboard.live import hub, stream
from dashboard.live.topics import BALANCE, BOOKINGS, CHANNEL, SMS, TOPICS, live_version, touch
from dashboard.live.viewer import Viewer
from dashboard.models import Membership
from tests.redis_server import RedisServer
from tests.streaming import Listener, serving, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


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


# --- what is told


def test_a_stream_begins_with_the_pause_for_reconnects_and_a_sync(port: int, viewer: Any) -> None:
    with Listener(port, session_of(viewer)) as listener:
        version = live_version(viewer.visible_account_ids)
        assert listener.event("sync") == {"v": version}
        assert listener.raw == f'retry: 2000\nevent: sync\ndata: {{"v":"{version}"}}\n\n'.encode()
        assert listener.answer["content-type"] == "text/event-stream; charset=utf-8"
        assert listener.answer["cache-control"] == "no-store"
        assert listener.answer["x-accel-buffering"] == "no"
        assert listener.answer["x-content-type-options"] == "nosniff"
        assert listener.answer["content-security-policy"] == django_settings.SECURE_CSP


def test_a_nudge_is_on_the_wire_within_a_second(listen: Any, viewer: Any, account: Any) -> None:
    listener = listen(viewer)
    touch(account.pk, SMS)
    assert listener.event("nudge", 1.0) == {"a": account.pk, "t": SMS, "v": 1}
    assert listener.raw.endswith(f'event: nudge\ndata: {{"a":{account.pk},"t":"sms","v":1}}\n\n'.encode())


def test_each_person_hears_only_of_the_accounts_that_they_may_see(
    listen: Any, admin: Any, viewer: Any, stranger: Any, account: Any, foreign_account: Any
) -> None:
    streams = {person.username: listen(person) for person in (admin, viewer, stranger)}
    touch(foreign_account.pk, SMS)
    touch(account.pk, BALANCE)
    heard = {
        name: sorted(data["a"] for kind, data in listener.events(0.5) if kind == "nudge")
        for name, listener in streams.items()
    }
    assert heard == {
        "admin": sorted([account.pk, foreign_account.pk]),
        "viewer": [account.pk],
        "stranger": [],
    }


def test_a_hundred_touches_become_a_few_nudges_and_the_last_one_is_the_newest(
    listen: Any, viewer: Any, account: Any
) -> None:
    listener = listen(viewer)
    begin = time.monotonic()
    for _ in range(100):
        touch(account.pk, SMS)
    lasted = time.monotonic() - begin
    versions = [data["v"] for _, data in listener.events(1.0)]
    assert versions[-1] == 100
    assert versions == sorted(set(versions))
    assert len(versions) <= 2 + lasted / hub.WINDOW


def test_topics_do_not_hold_each_other_up(listen: Any, viewer: Any, account: Any) -> None:
    listener = listen(viewer)
    touch(account.pk, SMS)
    touch(account.pk, BOOKINGS)
    begin = time.monotonic()
    assert {listener.event("nudge")["t"], listener.event("nudge")["t"]} == {SMS, BOOKINGS}
    assert time.monotonic() - begin < hub.WINDOW


def test_strange_messages_on_the_channel_are_passed_over(
    listen: Any, viewer: Any, account: Any, redis_url: str
) -> None:
    listener = listen(viewer)
    strange = [b"\xff", b"[]", b"7", b'{"a":1}', b'{"a":"x","t":"sms","v":1}']
    with Redis.from_url(redis_url) as redis:
        for message in [*strange, json.dumps({"a": account.pk, "t": "sms\n\nevent: sync", "v": 1})]:
            redis.publish(CHANNEL, message)
    touch(account.pk, BALANCE)
    assert [data.get("t") for _, data in listener.events(0.5)] == [BALANCE]


def test_a_quiet_stream_is_pinged(listen: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_EVERY", 0.1)
    listener = listen(viewer)
    listener.events(0.5)
    assert listener.raw.count(b": ping\n\n") >= 2


# --- who may listen


def test_nobody_signed_in_gets_401(port: int, viewer: Any) -> None:
    with Listener(port) as listener:
        assert (listener.status, listener.text()) == (401, "Sign in first.\n")
        assert listener.answer["content-security-policy"] == django_settings.SECURE_CSP
    for session in ("", "made-up", session_of(viewer)[:-1] + "!"):
        with Listener(port, session) as listener:
            assert listener.status == 401


def test_a_session_of_an_old_password_gets_401(port: int, viewer: Any) -> None:
    session = session_of(viewer)
    viewer.set_password("another-password")
    viewer.save()
    with Listener(port, session) as listener:
        assert listener.status == 401


def test_a_session_signed_with_a_fallback_secret_is_taken_and_left_as_it_is(
    port: int, viewer: Any, settings: Any
) -> None:
    session = session_of(viewer)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a-new-secret-key-for-this-test-0123456789-abcdef"
    for _ in range(2):
        with Listener(port, session) as listener:
            assert listener.status == 200


def test_a_foreign_host_another_site_and_other_methods_are_refused(port: int, viewer: Any) -> None:
    session = session_of(viewer)
    refused: list[tuple[int, dict[str, Any]]] = [
        (400, {"host": "evil.example"}),
        (403, {"headers": {"Origin": "https://evil.example"}}),
        (403, {"headers": {"Origin": "null"}}),
        (403, {"headers": {"Sec-Fetch-Site": "cross-site"}}),
        (403, {"headers": {"Sec-Fetch-Site": "same-site"}}),
        (405, {"method": "POST", "headers": {"Content-Length": "0"}}),
        (405, {"method": "DELETE"}),
    ]
    for status, values in refused:
        with Listener(port, session, **values) as listener:
            assert listener.status == status, values
            assert "default-src 'none'" in listener.answer["content-security-policy"]
            assert listener.text().count("\n") == 1
    ours = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
    with Listener(port, session, headers=ours) as listener:
        assert listener.status == 200


@pytest.mark.parametrize("how", ["disabled", "signed out", "new password", "deleted"])
def test_who_may_no_longer_listen_is_cut_and_hears_nothing_more(
    how: str, listen: Any, viewer: Any, account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECHECK_EVERY", 0.4)
    listener = listen(viewer)
    assert listener.events(1.0) == []
    assert not listener.ended
    if how == "disabled":
        type(viewer).objects.filter(pk=viewer.pk).update(is_active=False)
    elif how == "signed out":
        from django.contrib.sessions.models import Session

        Session.objects.all().delete()
    elif how == "new password":
        viewer.set_password("another-password")
        viewer.save()
    else:
        viewer.delete()
    listener.wait_for_end(1.5)
    touch(account.pk, SMS)
    assert listener.events(0.2) == []
    assert not stream.hub.clients


def test_the_whole_time_until_a_disabled_person_is_cut_is_within_30_seconds() -> None:
    look = min(1.0, stream.RECHECK_EVERY / 4)
    assert stream.RECHECK_EVERY + stream.RECHECK_GRACE + look + stream.RECHECK_WITHIN <= 30


def test_accounts_won_and_lost_show_in_an_open_stream(
    listen: Any, viewer: Any, account: Any, foreign_account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECHECK_EVERY", 0.4)
    listener = listen(viewer)
    Membership.objects.create(user=viewer, account=foreign_account, role="viewer")
    listener.event("sync", 1.5)
    touch(foreign_account.pk, SMS)
    assert listener.event("nudge", 1.0)["a"] == foreign_account.pk
    Membership.objects.filter(user=viewer, account=account).delete()
    listener.event("sync", 1.5)
    touch(account.pk, SMS)
    assert listener.events(0.5) == []


def test_an_unanswered_check_ends_the_stream_in_the_end(
    listen: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECHECK_EVERY", 0.4)
    monkeypatch.setattr(stream, "RECHECK_GRACE", 0.4)
    monkeypatch.setattr(stream, "RECHECK_WITHIN", 0.2)
    listener = listen(viewer)
    released = threading.Event()
    stream._checking.submit(released.wait, 10)  # the thread that checks hangs, as with a database that hangs
    try:
        listener.wait_for_end(3)
    finally:
        released.set()


def test_of_too_many_streams_of_a_person_the_oldest_makes_room(
    listen: Any, viewer: Any, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "STREAMS_PER_USER", 3)
    colleague = listen(operator)
    mine = [listen(viewer) for _ in range(4)]
    mine[0].wait_for_end(2)
    assert mine[0].raw.endswith(hub.CROWDED_FRAME)
    assert len(stream.hub.clients) == 4
    assert not any(listener.ended for listener in [colleague, *mine[1:]])


# --- what it costs


def test_a_hundred_streams_hear_at_once_hold_no_connection_and_are_gone_when_they_close(
    listen: Any, port: int, account: Any, django_user_model: Any
) -> None:
    people = [django_user_model.objects.create_user(f"member{number}") for number in range(10)]
    for person in people:
        Membership.objects.create(user=person, account=account, role="viewer")
    before = threading.active_count()
    streams = [listen(people[number % 10]) for number in range(100)]
    assert len(stream.hub.clients) == 100
    assert threading.active_count() <= before + 5
    assert open_connections() == [None] * 5
    if connection.vendor == "sqlite":
        # The three of this test's own connection, and what SQLite keeps to reuse after a close.
        assert len(files_open(str(connection.settings_dict["NAME"]))) <= 3 + 5

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


def test_a_browser_that_takes_nothing_for_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SEND_WITHIN", 0.1)

    async def scene() -> None:
        client = hub.Hub().join(Viewer(1, frozenset({1})), "session", 0.0)

        async def send(message: dict[str, Any]) -> None:
            await asyncio.sleep(10)

        await asyncio.wait_for(stream._pump(client, stream.HELLO, send), 1)

    asyncio.run(scene())


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


def database_url() -> str:
    """The tests' database for another process."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    place = f"{values['HOST']}:{values['PORT'] or 5432}"
    return f"postgresql://{values['USER']}:{values['PASSWORD']}@{place}/{values['NAME']}"


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
