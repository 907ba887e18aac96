"""Every fault and every wild shape of the stand-in provider does on the wire what its name says."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from dashboard.sandbox import Sandbox
from dashboard.sandbox.faults import BEFORE, FAULTS, MIXED
from dashboard.sandbox.shapes import WILD
from tests.sandbox_caller import Answer, call, control, get, product

SPOILT = (
    "error-after", "throttle-after", "html-after", "empty-after", "redirect-after", "truncated-after",
    "maintenance", "bad-gateway",
)  # fmt: skip
SEEN = (http.client.HTTPException, ConnectionError, TimeoutError)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size={"orders": 0}, balance="1000.00") as sandbox:
        yield sandbox


def order(sandbox: Sandbox, timeout: float = 1.0) -> Answer:
    wanted = product(sandbox, "Activation")
    return call(sandbox, "POST", "/Orders", timeout=timeout, productId=wanted, amount=1)


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "mixed"])
def test_a_fault_before_sells_nothing_and_a_fault_after_sells_once(sandbox: Sandbox, name: str) -> None:
    seconds = 0.001 if name == "trickle" else 0.3
    sandbox.set_faults({name: {"only": "spends", "seconds": seconds, "times": 1}})
    if name not in ("huge", "gzip-bomb"):  # those two are read in tests of their own
        with suppress(*SEEN):
            order(sandbox, timeout=0.2)
    else:
        with connected(sandbox, "POST", f"/Orders?productId={product(sandbox, 'Activation')}&amount=1"):
            pass
    assert [entry["fault"] for entry in sandbox.calls] == [name]
    assert len(sandbox.ledger) == (0 if name in BEFORE else 1)


class connected:
    """A raw connection that has sent one request and read the head of the answer."""

    def __init__(self, sandbox: Sandbox, method: str, path: str) -> None:
        parts = urlsplit(sandbox.url)
        self._head = f"{method} {parts.path}{path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {sandbox.key}\r\n\r\n"
        self.sock = socket.create_connection((parts.hostname, parts.port), timeout=5)

    def __enter__(self) -> bytes:
        self.sock.sendall(self._head.encode())
        return self.sock.recv(4096)

    def __exit__(self, *_: object) -> None:
        self.sock.close()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("reset-before", ConnectionResetError),
        ("reset-after", ConnectionResetError),
        ("timeout-before", TimeoutError),
        ("timeout-after", TimeoutError),
        ("cut-after", http.client.IncompleteRead),
    ],
)
def test_the_transport_breaks_as_the_fault_says(sandbox: Sandbox, name: str, error: type[Exception]) -> None:
    sandbox.set_faults({name: 1})
    with pytest.raises(error):
        order(sandbox, timeout=0.2)


def test_spoilt_answers_have_the_status_and_body_of_their_fault(sandbox: Sandbox) -> None:
    answers = {}
    for name in SPOILT:
        sandbox.set_faults({name: 1})
        answers[name] = order(sandbox)
    assert answers["error-after"].status in (500, 502, 503, 504)
    assert answers["throttle-after"].status == 429
    assert answers["throttle-after"].headers["retry-after"] == "1"
    for name, status in (("html-after", 200), ("maintenance", 200), ("bad-gateway", 502)):
        assert (answers[name].status, answers[name].body[:9]) == (status, b"<!DOCTYPE")
    assert (answers["empty-after"].status, answers["empty-after"].body) == (200, b"")
    assert answers["redirect-after"].status == 307
    assert answers["redirect-after"].headers["location"].startswith("/api/v1/Orders?productId=")
    assert answers["truncated-after"].status == 200
    with pytest.raises(json.JSONDecodeError):
        answers["truncated-after"].json  # noqa: B018 - reading is the test
    assert sandbox.shown()["orders"] == []


def test_a_late_commit_sells_after_the_caller_has_given_up(sandbox: Sandbox) -> None:
    sandbox.set_faults({"late-commit": {"seconds": 60}})
    with pytest.raises(TimeoutError):
        order(sandbox, timeout=0.1)
    assert sandbox.ledger == []
    sandbox.world.clock.advance(61)
    sandbox.set_faults({})
    assert len(get(sandbox, "/Orders")) == 1
    assert len(sandbox.ledger) == 1


def test_latency_and_trickle_are_slow_but_right(sandbox: Sandbox) -> None:
    for name in ("latency", "trickle"):
        sandbox.set_faults({name: {"seconds": 0.3 if name == "latency" else 0.01}})
        began = time.monotonic()
        assert get(sandbox, "/Balance")["accountBalanceInUSD"] == 1000
        assert time.monotonic() - began >= 0.28


def test_huge_says_200_megabytes_and_sends_blanks(sandbox: Sandbox) -> None:
    sandbox.set_faults({"huge": 1})
    with connected(sandbox, "GET", "/Sms") as head:
        assert b"Content-Length: 200000000\r\n" in head


def test_the_gzip_bomb_is_small_and_unpacks_to_a_gigabyte(sandbox: Sandbox) -> None:
    sandbox.set_faults({"gzip-bomb": 1})
    answer = call(sandbox, "GET", "/Sms")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 2_000_000
    member = answer.body[: len(answer.body) // 100]
    assert member * 100 == answer.body
    assert len(gzip.decompress(member)) == 10_000_000


def test_faults_can_be_limited_to_a_kind_of_call_a_path_and_a_count(sandbox: Sandbox) -> None:
    sandbox.set_faults({"error-before": {"only": "reads", "path": "/Sms", "times": 2}})
    assert order(sandbox).status == 200
    assert call(sandbox, "GET", "/Balance").status == 200
    statuses = [call(sandbox, "GET", "/Sms").status for _ in range(3)]
    assert statuses[0] >= 500
    assert statuses[1] >= 500
    assert statuses[2] == 200


def test_the_same_seed_strikes_the_same_calls_at_about_the_rate() -> None:
    def strikes() -> list[str | None]:
        with Sandbox(seed=9, size={"orders": 0}, faults={"mixed": {"rate": 0.3, "only": "reads"}}) as sandbox:
            for _ in range(120):
                try:
                    call(sandbox, "GET", "/Balance")
                except SEEN:
                    continue
            return [entry["fault"] for entry in sandbox.calls]

    first = strikes()
    assert first == strikes()
    assert 20 <= sum(fault is not None for fault in first) <= 55
    assert {fault for fault in first if fault} <= set(MIXED)


@pytest.mark.parametrize("form", ["number", "date", "huge", "negative", "absent", "garbage"])
def test_more_calls_than_the_limit_get_429_with_the_chosen_retry_after(form: str) -> None:
    with Sandbox(size={"orders": 0}, limit=3, retry_after=form) as sandbox:
        answers = [call(sandbox, "GET", "/Balance") for _ in range(5)]
        assert [answer.status for answer in answers] == [200] * 3 + [429] * 2
        said = answers[-1].headers.get("retry-after")
        if form == "date":
            assert said is not None
            assert parsedate_to_datetime(said) > parsedate_to_datetime(answers[-1].headers["date"])
        else:
            known = {"number": "1", "huge": "31536000", "negative": "-5", "garbage": "soon"}
            assert said == known.get(form)
        sandbox.set_faults(limit=None)
        assert call(sandbox, "GET", "/Balance").status == 200


def refused(sandbox: Sandbox) -> bool:
    """Whether connections are refused within some seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            call(sandbox, "GET", "/Balance")
        except ConnectionRefusedError:
            return True
        except SEEN:
            continue  # broken off while it went down
    return False


def test_down_refuses_connections_and_comes_back_on_the_same_port() -> None:
    with Sandbox(size={"orders": 0}, control_port=0) as sandbox:
        url = sandbox.url
        assert control(sandbox, "POST", "down", {"seconds": 30}).status == 200
        assert refused(sandbox)
        assert control(sandbox, "POST", "down", {"seconds": 0}).status == 200
        assert sandbox.url == url
        assert call(sandbox, "GET", "/Balance").status == 200
        sandbox.go_down(0.1)
        time.sleep(0.4)
        assert call(sandbox, "GET", "/Balance").status == 200


def test_unknown_names_of_faults_and_shapes_are_refused_with_the_known_ones(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="reset-after"):
        sandbox.set_faults({"nonsense": 1})
    with pytest.raises(ValueError, match="money-text"):
        sandbox.set_faults(wild={"nonsense": 1})
    with pytest.raises(ValueError, match="reads"):
        sandbox.set_faults({"huge": {"only": "nonsense"}})


def wild(*names: str, **size: int) -> Sandbox:
    return Sandbox(seed=5, size=size, balance="1000.00", wild=dict.fromkeys(names, 1.0))


def test_money_comes_as_text() -> None:
    with wild("money-text") as sandbox:
        assert get(sandbox, "/Balance") == {"accountBalanceInUSD": "1000.00"}
        assert {type(row["priceInUSD"]) for row in get(sandbox, "/Orders")} == {str}


def test_the_service_of_a_full_rental_is_null() -> None:
    with wild("null-service") as sandbox:
        rows = get(sandbox, "/Products")
        assert {row["service"] for row in rows if row["rentalType"] == "RentalFull"} == {None}


def test_dates_have_none_to_seven_digits_and_stay_as_they_are() -> None:
    with wild("dates") as sandbox:
        rows = get(sandbox, "/Sms")
        lengths = {len(row["messageDate"].rstrip("Z").partition(".")[2]) for row in rows}
        assert lengths == set(range(8))
        assert get(sandbox, "/Sms") == rows
    with wild("no-zone") as sandbox:
        assert not any(row["messageDate"].endswith("Z") for row in get(sandbox, "/Sms"))


def test_the_answer_to_an_order_may_be_wrapped_and_call_its_bookings_otherwise() -> None:
    with wild("list-wrapped", "order-bookings") as sandbox:
        (row,) = order(sandbox).json
        assert "bookings" not in row
        assert len(row["orderBookings"]) == 1


def test_new_bookings_turn_up_seconds_after_their_order() -> None:
    with wild("late-bookings", orders=0) as sandbox:
        row = order(sandbox).json
        assert row["bookings"] == []
        assert get(sandbox, "/OrderBookings") == []
        assert get(sandbox, "/SimCards") == []
        sandbox.world.clock.advance(4)
        assert [booking["id"] for booking in get(sandbox, "/OrderBookings")] == sandbox.ledger[0]["bookings"]
        assert len(get(sandbox, f"/Orders/{row['id']}")["bookings"]) == 1


def test_empty_lists_come_as_400_with_text() -> None:
    with wild("empty-400", orders=0) as sandbox:
        texts = {path: call(sandbox, "GET", path) for path in ("/Sms", "/Orders", "/OrderBookings", "/SimCards")}
        assert {answer.status for answer in texts.values()} == {400}
        assert texts["/OrderBookings"].text == "No OrderBooking found"
        assert texts["/Sms"].text == "No SMS found"


def test_unknown_fields_and_states_turn_up() -> None:
    with wild("extra-fields", "unknown-states") as sandbox:
        rows = get(sandbox, "/OrderBookings")
        assert all("autoRenewal" in row for row in rows)
        assert "Reserved" in {row["state"] for row in rows}
        assert "RentalVoice" in {row["rentalType"] for row in rows}


def test_equal_rows_and_reordered_seconds_turn_up_in_the_inbox() -> None:
    with wild("equal-rows", "reordered") as sandbox:
        rows = [tuple(row.values()) for row in get(sandbox, "/Sms")]
        assert len(set(rows)) < len(rows)
        assert len(sandbox.world.sms) == 300
        (number, *_), booking = rows[0], sandbox.world.running()[0]
        for text in "abcdefgh":
            sandbox.world.receive_sms(booking.id, text)
        seen = {"".join(row["messageText"] for row in get(sandbox, "/Sms")[:8]) for _ in range(8)}
        assert len(seen) > 1
        assert number.startswith("+")


def test_errors_come_as_json_and_json_comes_as_html() -> None:
    with wild("json-errors", "html-type") as sandbox:
        answer = call(sandbox, "GET", "/Orders/1")
        assert (answer.status, answer.json) == (400, {"message": "No Order found"})
        good = call(sandbox, "GET", "/Countries")
        assert good.headers["content-type"].startswith("text/html")
        assert len(good.json) == 11


def test_only_the_other_path_forms_work_when_asked_for() -> None:
    with wild("other-paths") as sandbox:
        booking = next(iter(sandbox.world.bookings))
        assert call(sandbox, "GET", f"/OrderBookings/{booking}").status == 404
        assert call(sandbox, "GET", f"/OrderBooking/{booking}").status == 200
        assert call(sandbox, "POST", "/OrderBookingsAutoRenewal", enable=0).status == 404
        assert call(sandbox, "POST", "/OrderBookingsAutoRenewal/SetAutoRenewalAsync", enable=0).status == 200


def test_text_outside_ascii_can_come_unescaped() -> None:
    with wild("raw-utf8") as sandbox:
        sandbox.world.receive_sms(sandbox.world.running()[0].id, "Überprüfung 🔑")
        assert "Überprüfung 🔑".encode() in call(sandbox, "GET", "/Sms").body


def test_all_wild_shapes_at_once_are_still_json_and_every_row_is_there() -> None:
    with Sandbox(seed=2, wild={"all": 0.5}) as sandbox:
        for path in ("/Orders", "/OrderBookings", "/OrderBookingsCurrent", "/SimCards", "/Sms", "/Products"):
            rows: list[Any] = call(sandbox, "GET", path).json
            assert len(rows) > 20
        assert set(sandbox.settings()["wild"]) == set(WILD) - {"other-paths"}


def test_a_connection_serves_many_calls_and_survives_bad_bytes(sandbox: Sandbox) -> None:
    parts = urlsplit(sandbox.url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)) as connection:
        for _ in range(3):
            connection.request("GET", "/api/v1/Balance", headers={"X-API-Key": sandbox.key})
            assert connection.getresponse().read().startswith(b"{")
    for rubbish in (b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1 x\r\n\r\n", b"POST http://[ HTTP/1.1\r\n\r\n"):
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as sock:
            sock.sendall(rubbish)
            assert sock.recv(100) == b""
    assert call(sandbox, "GET", "/Balance").status == 200
