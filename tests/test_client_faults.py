"""What network and provider do to a read: it ends in time, in bounded memory, and in one clear sentence."""

import datetime
import gzip
import time
import tracemalloc
from collections.abc import Iterator
from email.utils import format_datetime
from typing import Any

import pytest

from dashboard.anosim import AnosimError, Client, TryLater, Unreadable, client
from tests.scripted_server import (
    Line,
    Reply,
    ScriptedServer,
    cut_off,
    cut_off_chunk,
    go_on_for_ever,
    hang_up,
    large_body,
    reply,
    reset,
    reset_in_body,
    sample,
    silence,
    trickle_body,
    trickle_chunks,
    trickle_headers,
    trickle_status,
)
from tests.test_client import CALLS, KEY, READS

SLOW = [silence, trickle_status, trickle_headers, go_on_for_ever, trickle_body, trickle_chunks]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def read(server: ScriptedServer, answer: Reply, **options: Any) -> Any:
    server.replies = [answer]
    with Client(server.url, KEY, **{"tries": 1, **options}) as asked:
        return asked.sms()


def answer_after(seconds: float) -> Reply:
    def wait(line: Line) -> None:
        if line.wait(seconds):
            line.send(reply(sample("sms.json")))

    return wait


@pytest.mark.parametrize("slow", SLOW)
def test_a_slow_server_cannot_hold_a_read_beyond_its_deadline(server: ScriptedServer, slow: Reply) -> None:
    begun = time.monotonic()
    with pytest.raises(TryLater, match=r"did not finish its answer within 0\.3 seconds"):
        read(server, slow, read_deadline=0.3)
    assert 0.25 < time.monotonic() - begun < 1.3


@pytest.mark.parametrize("slow", [trickle_headers, trickle_body])
def test_all_tries_together_end_at_twice_the_deadline(server: ScriptedServer, slow: Reply) -> None:
    begun = time.monotonic()
    with pytest.raises(TryLater):
        read(server, slow, read_deadline=0.3, tries=50)
    assert time.monotonic() - begun < 1.6
    assert 2 <= len(server.seen) <= 3


def test_one_lost_answer_holds_messages_up_for_half_a_deadline_and_a_slow_one_is_still_waited_for(
    server: ScriptedServer,
) -> None:
    slow: list[Reply] = [silence, answer_after(0.4)]
    server.replies = slow
    begun = time.monotonic()
    with Client(server.url, KEY, tries=2, read_deadline=0.6) as asked:
        assert asked.sms().total > 0
    assert 0.65 < time.monotonic() - begun < 1.1
    server.replies = [answer_after(0.4)]
    with Client(server.url, KEY, tries=1, read_deadline=0.6) as asked:
        assert asked.sms().total > 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (hang_up, TryLater),
        (reset, TryLater),
        (b"SSH-2.0-OpenSSH_9.2\r\n", TryLater),
        (cut_off, Unreadable),
        (cut_off_chunk, Unreadable),
        (reset_in_body, Unreadable),
        (reply("[{", "200 OK"), Unreadable),
        (reply("", "200 OK"), Unreadable),
        (reply("", "204 No Content"), Unreadable),
        (reply(sample("maintenance.html")), Unreadable),
        (reply("[NaN]"), Unreadable),
        (reply("[" * 100_000), Unreadable),
        (reply("[" + "1" * 5_000 + "]"), Unreadable),
        (reply(b"\x1f\x8b nonsense", Content_Encoding="gzip"), Unreadable),
        (reply("[]", "304 Not Modified"), Unreadable),
        (reply("[]", "408 Request Timeout"), TryLater),
        (reply(sample("maintenance.html"), "500 Internal Server Error"), TryLater),
        (reply({"message": "down"}, "503 Service Unavailable"), TryLater),
        (reply("error code: 522", "522 Origin Timeout"), TryLater),
    ],
)
def test_each_fault_of_a_read_becomes_one_clear_error(
    server: ScriptedServer, fault: Reply, error: type[AnosimError]
) -> None:
    with pytest.raises(error) as caught:
        read(server, fault)
    assert type(caught.value) is error
    assert caught.value.text.startswith(("127.0.0.1 ", "The answer of 127.0.0.1 "))
    assert caught.value.text.endswith(".")


def test_a_maintenance_page_is_named_as_one(server: ScriptedServer) -> None:
    with pytest.raises(Unreadable, match="a web page instead of data"):
        read(server, reply(sample("maintenance.html")))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.parametrize("number", READS)
def test_no_read_follows_a_redirect(server: ScriptedServer, number: int, status: str) -> None:
    elsewhere = f"http://localhost:{server.port}/api/v1/Stolen?apikey=1"
    server.replies = [reply("", status, Location=elsewhere)]
    with Client(server.url, KEY) as asked, pytest.raises(Unreadable, match="redirects elsewhere") as caught:
        CALLS[number][4](asked)
    assert "to localhost); check the base URL" in caught.value.text
    assert len(server.seen) == 1


def test_the_body_of_a_redirect_is_not_read_without_limit(server: ScriptedServer) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 200000000\r\n\r\n"
    with pytest.raises(Unreadable):
        read(server, head)
    with pytest.raises(Unreadable, match="redirects"):
        read(server, reply("", "302 Found", Location="http://[broken"))


@pytest.mark.parametrize("fault", [large_body, b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n[", "bomb"])
def test_a_200_mb_answer_costs_neither_memory_nor_a_second_try(server: ScriptedServer, fault: Any) -> None:
    if fault == "bomb":
        packed = b"".join(gzip.compress(b"[" * 1_000_000, 1) for _ in range(2)) * 100
        fault = reply(packed, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="over 5,000,000 bytes"):
            read(server, fault, tries=3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
    assert len(server.seen) == 1


def test_a_server_that_packs_its_answer_unasked_is_understood(server: ScriptedServer) -> None:
    packed = gzip.compress(sample("sms.json"))
    assert read(server, reply(packed, Content_Encoding="gzip")).total == 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-30", 0.0),
        ("86400", 900.0),
        ("9" * 400, 900.0),
        ("Tue, 21 May 2024 23:23:00 GMT", 60.0),
        ("Tue, 21 May 2024 23:00:00 GMT", 0.0),
        ("Wed, 22 May 2030 00:00:00 GMT", 900.0),
        ("soon", None),
        ("5, 5", None),
        ("1e3", None),
        ("inf", None),
        ("", None),
    ],
)
def test_429_is_not_tried_again_and_tells_how_long_to_wait(
    server: ScriptedServer, value: str, seconds: float | None
) -> None:
    date = "Tue, 21 May 2024 23:22:00 GMT"
    with pytest.raises(TryLater, match="fewer calls") as caught:
        read(server, reply("slow down", "429 Too Many Requests", Retry_After=value, Date=date), tries=3)
    assert (caught.value.throttled, caught.value.retry_after) == (True, seconds)
    assert len(server.seen) == 1


def test_a_date_to_wait_for_needs_no_clock_of_the_server(server: ScriptedServer) -> None:
    until = format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30))
    with pytest.raises(TryLater) as caught:
        read(server, reply("", "429 Too Many Requests", Retry_After=until))
    assert caught.value.retry_after is not None
    assert 25 < caught.value.retry_after <= 30


def test_a_503_that_names_its_end_is_left_alone_until_then(server: ScriptedServer) -> None:
    with pytest.raises(TryLater) as caught:
        read(server, reply("", "503 Service Unavailable", Retry_After="120"), tries=3)
    assert (caught.value.throttled, caught.value.retry_after) == (False, 120.0)
    assert len(server.seen) == 1
