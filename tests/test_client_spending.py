"""Calls that cost money or change a booking: sent at most once, never called failed while in doubt."""

import pickle
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from dashboard.anosim import BadKey, Client, Order, OutcomeUnknown, Refused, TryLater, Unreadable
from dashboard.anosim.connection import TimedAdapter
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
from tests.test_client import CALLS, KEY

SPENDS = [5, 15, 16]
CHANGES = [14, 17]

DOUBTFUL: dict[str, Reply] = {
    "closed without a byte": hang_up,
    "reset": reset,
    "reset in the body": reset_in_body,
    "cut off": cut_off,
    "cut off in a chunk": cut_off_chunk,
    "no answer": silence,
    "slow status line": trickle_status,
    "slow headers": trickle_headers,
    "interim answers only": go_on_for_ever,
    "slow body": trickle_body,
    "slow chunks": trickle_chunks,
    "200 MB": large_body,
    "not http": b"no such protocol\r\n\r\n",
    "page": reply(sample("maintenance.html")),
    "empty": reply(""),
    "no content": reply("", "204 No Content"),
    "null": reply("null"),
    "empty list": reply("[]"),
    "half json": reply('{"id": 65,'),
    "no id": reply({"date": "2024-05-21T23:22:04Z", "bookings": []}),
    "id 0": reply({"id": 0, "bookings": []}),
    "id is no number": reply({"id": "a1b2", "bookings": []}),
    "two orders": reply([{"id": 65}, {"id": 66}]),
    "bookings instead of an order": reply(b"[" + sample("booking.json") + b"]"),
    "an order among errors": reply({"id": 65, "errors": ["x"]}),
    "an order without success": reply({"id": 65, "success": False}),
    "badly packed": reply(b"\x1f\x8bxx", Content_Encoding="gzip"),
    "301": reply("", "301 Moved Permanently", Location="/api/v2/Orders"),
    "307": reply("", "307 Temporary Redirect", Location="/api/v1/Orders"),
    "308": reply("", "308 Permanent Redirect", Location="/api/v1/Orders"),
    "400 page": reply(sample("maintenance.html"), "400 Bad Request"),
    "400 empty": reply("", "400 Bad Request"),
    "402": reply("Pay first", "402 Payment Required"),
    "408": reply("", "408 Request Timeout"),
    "409": reply("Conflict", "409 Conflict"),
    "422": reply({"message": "odd"}, "422 Unprocessable"),
    "429": reply("slow down", "429 Too Many Requests", Retry_After="1"),
    "500": reply({"message": "Object reference not set"}, "500 Internal Server Error"),
    "502": reply(sample("maintenance.html"), "502 Bad Gateway"),
    "503": reply("", "503 Service Unavailable", Retry_After="1"),
    "599": reply("[]", "599 Odd"),
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def ask(server: ScriptedServer, number: int, *replies: Reply, **options: Any) -> Any:
    server.replies = list(replies)
    with Client(server.url, KEY, **{"spend_deadline": 5.0, **options}) as asked:
        return CALLS[number][4](asked)


def seconds_for(fault: str) -> float:
    """A deadline: short for what is slow on purpose, ample for the rest."""
    return 0.2 if fault.startswith(("slow", "no answer", "interim")) else 5.0


@pytest.mark.parametrize("number", SPENDS)
@pytest.mark.parametrize("fault", DOUBTFUL)
def test_a_doubtful_spend_is_unknown_and_was_sent_once(server: ScriptedServer, number: int, fault: str) -> None:
    begun = time.monotonic()
    with pytest.raises(OutcomeUnknown, match=r"Whether it took effect is not known yet\.$"):
        ask(server, number, DOUBTFUL[fault], spend_deadline=seconds_for(fault))
    assert time.monotonic() - begun < 1.2
    assert server.methods == ["POST"]


@pytest.mark.parametrize("number", CHANGES)
@pytest.mark.parametrize("fault", [name for name in DOUBTFUL if name not in ("429", "an order without success")])
def test_a_doubtful_change_is_unknown_and_was_sent_once(server: ScriptedServer, number: int, fault: str) -> None:
    with pytest.raises(OutcomeUnknown):
        ask(server, number, DOUBTFUL[fault], spend_deadline=seconds_for(fault))
    assert len(server.seen) == 1


@pytest.mark.parametrize("number", CHANGES)
def test_a_change_that_costs_nothing_can_be_told_to_wait(server: ScriptedServer, number: int) -> None:
    with pytest.raises(TryLater) as caught:
        ask(server, number, DOUBTFUL["429"])
    assert (caught.value.throttled, caught.value.retry_after) == (True, 1.0)
    assert len(server.seen) == 1


@pytest.mark.parametrize("number", SPENDS + CHANGES)
@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found"])
@pytest.mark.parametrize("body", ["Not enough balance", '"Not enough balance"', '{"Message":"Not enough balance"}'])
def test_a_readable_no_is_a_refusal(server: ScriptedServer, number: int, status: str, body: str) -> None:
    with pytest.raises(Refused) as caught:
        ask(server, number, reply(body, status))
    assert (caught.value.text, caught.value.status) == ("Not enough balance", int(status[:3]))
    assert len({seen.path for seen in server.seen}) == len(server.seen)


@pytest.mark.parametrize("number", SPENDS)
def test_empty_list_texts_are_refusals_of_a_spend(server: ScriptedServer, number: int) -> None:
    with pytest.raises(Refused, match="No OrderBooking found"):
        ask(server, number, reply(sample("no_bookings.txt"), "400 Bad Request"))


def test_404_pages_on_every_path_leave_a_spend_unknown(server: ScriptedServer) -> None:
    with pytest.raises(OutcomeUnknown):
        ask(server, 15, reply("<html>404</html>", "404 Not Found"))
    assert len({seen.target for seen in server.seen}) == len(server.seen) == 2


def test_a_doubt_on_the_second_path_is_not_hidden_by_the_first(server: ScriptedServer) -> None:
    server.at["/OrderBookingReUse/62"] = cut_off
    with pytest.raises(OutcomeUnknown):
        ask(server, 15, reply("No such route", "404 Not Found"))


@pytest.mark.parametrize(
    ("number", "name", "price", "bookings"),
    [
        (5, "order_placed.json", "10.00", [56]),
        (5, "order_placed_wild.json", "10.00", [56]),
        (5, "order_placed_empty.json", "10.00", []),
        (15, "order_reused.json", "10.00", [65]),
        (16, "order_extended.json", "12.00", [55]),
    ],
)
def test_an_order_is_read_in_every_shape(
    server: ScriptedServer, number: int, name: str, price: str, bookings: list[int]
) -> None:
    order = ask(server, number, reply(sample(name), "201 Created"))
    assert isinstance(order, Order)
    assert order.price == Decimal(price)
    assert [booking.id for booking in order.bookings] == bookings
    assert server.methods == ["POST"]


def test_an_extension_names_the_booking_that_it_extends(server: ScriptedServer) -> None:
    [booking] = ask(server, 16, reply(sample("order_extended.json"))).bookings
    assert (booking.state, booking.extends) == ("Pending", 54)


def test_a_bare_id_is_enough_for_an_order(server: ScriptedServer) -> None:
    assert ask(server, 5, reply({"order": {"id": "65"}})) == Order(65, None, None, ())


@pytest.mark.parametrize("number", SPENDS + CHANGES)
def test_a_refused_connection_proves_that_nothing_was_sent(number: int) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", KEY) as asked, pytest.raises(TryLater) as caught:
        CALLS[number][4](asked)
    assert caught.value.text == "127.0.0.1 refuses connections. Nothing was sent."


@pytest.mark.parametrize("number", SPENDS)
def test_an_unknown_name_proves_that_nothing_was_sent(number: int) -> None:
    with (
        Client("https://nowhere.invalid", KEY) as asked,
        pytest.raises(TryLater, match=r"Nothing was sent\.$"),
    ):
        CALLS[number][4](asked)


@pytest.mark.parametrize("number", SPENDS)
def test_a_tls_fault_proves_that_nothing_was_sent(server: ScriptedServer, number: int) -> None:
    server.on_connect = lambda line: line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with (
        Client(server.url.replace("http:", "https:"), KEY) as asked,
        pytest.raises(TryLater, match=r"Nothing was sent\.$"),
    ):
        CALLS[number][4](asked)
    assert server.seen == []


@pytest.mark.parametrize("number", SPENDS)
def test_a_reset_before_the_request_was_read_is_still_a_doubt(server: ScriptedServer, number: int) -> None:
    def reset_unread(line: Line) -> None:
        line.wait(0.05)
        line.reset()

    # Nobody on our side can tell an unread request from one that was carried out.
    server.on_connect = reset_unread
    with pytest.raises(OutcomeUnknown):
        ask(server, number, b"")


@pytest.mark.parametrize("number", SPENDS + CHANGES)
def test_without_permission_nothing_is_sent(server: ScriptedServer, number: int) -> None:
    def before_call() -> None:
        raise TryLater("The call budget is used up.")

    with pytest.raises(TryLater, match="budget"):
        ask(server, number, reply(""), before_call=before_call)
    assert server.seen == []


@pytest.mark.parametrize("number", SPENDS)
def test_an_unusable_key_is_not_sent_with_a_spend(server: ScriptedServer, number: int) -> None:
    with Client(server.url, "two words") as asked, pytest.raises(BadKey):
        CALLS[number][4](asked)
    assert server.seen == []


def test_a_fault_of_our_own_while_spending_is_a_doubt(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: TimedAdapter, *_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(TimedAdapter, "build_response", fail)
    with pytest.raises(OutcomeUnknown, match="fault on our side"):
        ask(server, 5, reply(sample("order_placed.json")))
    assert server.methods == ["POST"]


def test_a_spend_does_not_ride_on_a_kept_connection(server: ScriptedServer) -> None:
    """The provider closes an idle connection just as the next request leaves; a read could be repeated."""
    closing_now = threading.Event()

    def answer_once(line: Line) -> None:
        line.send(reply(sample("sms.json")))
        closing_now.wait(5)

    server.replies = [answer_once, reply(sample("order_placed.json"))]
    with Client(server.url, KEY) as asked:
        asked.sms()
        threading.Timer(0.05, closing_now.set).start()
        assert asked.place_order(6, 1).id == 65
    assert [seen.connection for seen in server.seen] == [1, 2]


@pytest.mark.parametrize(
    "error",
    [
        TryLater("a", 3.0, throttled=True),
        BadKey("b"),
        Refused("c", 404),
        Unreadable("d", passing=True),
        OutcomeUnknown("e"),
    ],
)
def test_errors_survive_the_way_between_processes(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args, vars(copy)) == (type(error), error.args, vars(error))
