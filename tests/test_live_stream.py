"""The live stream over a real server and a real Redis: who hears what, and how soon."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from django.conf import settings as django_settings
from redis import Redis

from dashboard.live import hub, stream
from dashboard.live.topics import BALANCE, BOOKINGS, CHANNEL, SMS, live_version, touch
from dashboard.models import Membership
from tests.streaming import Listener

from .live_streams import listen as listen
from .live_streams import port as port
from .live_streams import session_of

pytestmark = pytest.mark.django_db(transaction=True)


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
        assert listener.events(0.2) == []
        assert not stream.hub.clients
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
