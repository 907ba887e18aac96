"""The 17 calls, seen from the wire: what is sent, where else it is tried, how often."""

import ast
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.anosim import (
    AutoRenewal,
    BadKey,
    Client,
    Refused,
    TryLater,
    Unreadable,
    client,
)
from tests.scripted_server import Line, Reply, ScriptedServer, cut_off, hang_up, reply, sample

KEY = "kEy-1234567890-abcdefgh-XYZ"

# One line for each call of anosim-api.md: method, path, query, the recorded answer, how the client is asked.
CALLS: dict[int, tuple[str, str, dict[str, str], str, Callable[[Client], Any]]] = {
    1: ("GET", "/Balance", {}, "balance.json", lambda c: c.balance()),
    2: ("GET", "/Countries", {}, "countries.json", lambda c: c.countries()),
    3: ("GET", "/Products", {"countryId": "98"}, "products.json", lambda c: c.products(98)),
    4: ("GET", "/Products/1", {}, "product.json", lambda c: c.product(1)),
    5: (
        "POST",
        "/Orders",
        {"productId": "6", "amount": "2", "providerId": "0"},
        "order_placed.json",
        lambda c: c.place_order(6, 2),
    ),
    6: ("GET", "/Orders", {}, "orders.json", lambda c: c.orders()),
    7: ("GET", "/Orders/66", {}, "order.json", lambda c: c.order(66)),
    8: ("GET", "/SimCards", {}, "sim_cards.json", lambda c: c.sim_cards()),
    9: ("GET", "/Sms", {}, "sms.json", lambda c: c.sms()),
    10: ("GET", "/Sms/12", {}, "sms.json", lambda c: c.booking_sms(12)),
    11: ("GET", "/OrderBookings", {}, "bookings.json", lambda c: c.bookings()),
    12: ("GET", "/OrderBookingsCurrent", {}, "current_bookings.json", lambda c: c.current_bookings()),
    13: ("GET", "/OrderBookings/59", {}, "booking.json", lambda c: c.booking(59)),
    14: ("PATCH", "/OrderBookings/59", {}, "cancelled.json", lambda c: c.cancel_booking(59)),
    15: ("POST", "/OrderBookingsReUse/62", {}, "order_reused.json", lambda c: c.reuse_booking(62)),
    16: (
        "POST",
        "/OrderBookings",
        {"orderBookingId": "54", "extentionInMinutes": "60"},
        "order_extended.json",
        lambda c: c.extend_booking(54, 60),
    ),
    17: (
        "POST",
        "/OrderBookingsAutoRenewal",
        {"enable": "1", "orderBookingId": "123"},
        "auto_renewal.json",
        lambda c: c.set_auto_renewal(True, 123),
    ),
}
READS = [number for number, call in CALLS.items() if call[0] == "GET"]
LISTS = [2, 3, 6, 8, 9, 10, 11, 12]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def ask(server: ScriptedServer, number: int, *replies: Reply, **options: Any) -> Any:
    server.replies = list(replies)
    with Client(server.url, KEY, **options) as asked:
        return CALLS[number][4](asked)


@pytest.mark.parametrize("number", CALLS)
def test_each_call_is_sent_as_the_contract_says(server: ScriptedServer, number: int) -> None:
    method, path, query, answer, _ = CALLS[number]
    ask(server, number, reply(sample(answer)))
    [seen] = server.seen
    assert (seen.method, seen.path, seen.query) == (method, f"/api/v1{path}", query)
    assert seen.headers == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {KEY}",
        "user-agent": "anosim-dashboard/1.0",
        "accept": "application/json",
        "accept-encoding": "identity",
        "connection": "keep-alive" if method == "GET" else "close",
    } | ({} if method == "GET" else {"content-length": "0"})
    assert KEY not in seen.target


def test_optional_parameters_are_left_out(server: ScriptedServer) -> None:
    server.replies = [reply(sample("products.json")), reply(sample("auto_renewal.json"))]
    with Client(server.url, KEY) as asked:
        asked.products()
        asked.set_auto_renewal(False)
    assert [seen.query for seen in server.seen] == [{}, {"enable": "0"}]


@pytest.mark.parametrize(
    ("number", "other"),
    [
        (13, "/OrderBooking/59"),
        (14, "/OrderBooking/59"),
        (14, "/OrderBooking59"),
        (15, "/OrderBookingReUse/62"),
        (17, "/OrderBookingsAutoRenewal/SetAutoRenewalAsync"),
    ],
)
@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed"])
def test_the_other_documented_path_is_tried(server: ScriptedServer, number: int, other: str, status: str) -> None:
    method, _, query, answer, _ = CALLS[number]
    server.at[other] = reply(sample(answer))
    ask(server, number, reply("<h1>What?</h1>", status))
    last = server.seen[-1]
    assert (last.method, last.path, last.query) == (method, f"/api/v1{other}", query)


@pytest.mark.parametrize("number", [13, 14, 15, 17])
@pytest.mark.parametrize("generic", ["<html>404</html>", '{"title":"Not Found","status":404}', ""])
def test_a_404_about_the_object_is_a_refusal_after_all_paths(server: ScriptedServer, number: int, generic: str) -> None:
    server.at[CALLS[number][1]] = reply({"message": "OrderBooking not found."}, "404 Not Found")
    with pytest.raises(Refused) as caught:
        ask(server, number, reply(generic, "404 Not Found"))
    assert (caught.value.text, caught.value.status) == ("OrderBooking not found.", 404)


def test_a_404_page_says_that_the_base_url_may_be_wrong(server: ScriptedServer) -> None:
    with pytest.raises(Unreadable, match="base URL may be wrong"):
        ask(server, 9, reply("<html>Not here</html>", "404 Not Found"))
    assert len(server.seen) == 1


@pytest.mark.parametrize("number", [1, 2, 6, 9, 11])
@pytest.mark.parametrize("said", ["Not found", "Cannot GET /api/Balance", '{"message":"No HTTP resource was found"}'])
def test_a_404_where_no_object_was_named_is_about_the_address(server: ScriptedServer, number: int, said: str) -> None:
    with pytest.raises(Unreadable, match=r"does not know this address \(404\); the base URL may be wrong"):
        ask(server, number, reply(said, "404 Not Found"))
    assert len(server.seen) == 1


@pytest.mark.parametrize("number", [4, 7, 10, 13])
def test_a_404_in_words_where_an_object_was_named_is_a_refusal(server: ScriptedServer, number: int) -> None:
    with pytest.raises(Refused, match=r"^Not found$"):
        ask(server, number, reply("Not found", "404 Not Found"))


def test_a_cancellation_that_is_declined_is_a_refusal(server: ScriptedServer) -> None:
    with pytest.raises(Refused, match=r"^An SMS came already$"):
        ask(server, 14, reply({"success": False, "message": "An SMS came already"}))
    with pytest.raises(Refused, match="did not cancel"):
        ask(server, 14, reply({"success": False}))


def test_auto_renewal_tells_what_it_did(server: ScriptedServer) -> None:
    assert ask(server, 17, reply(sample("auto_renewal.json"))) == AutoRenewal(True, "Auto-renewal set successfully.", 1)
    assert ask(server, 17, reply([{"success": False, "message": None}])) == AutoRenewal(False, "", None)


@pytest.mark.parametrize("number", READS)
def test_reads_are_tried_again_until_one_answer_is_good(server: ScriptedServer, number: int) -> None:
    good = reply(sample(CALLS[number][3]))
    ask(server, number, cut_off, reply(sample("maintenance.html")), good)
    assert server.methods == ["GET", "GET", "GET"]


@pytest.mark.parametrize("bad", [hang_up, cut_off, reply("", "502 Bad Gateway"), reply("{"), reply({"message": "?"})])
def test_reads_end_after_their_tries(server: ScriptedServer, bad: Reply) -> None:
    with pytest.raises((TryLater, Unreadable)):
        ask(server, 9, bad, tries=4)
    assert len(server.seen) == 4


def test_every_attempt_asks_for_permission(server: ScriptedServer) -> None:
    asked: list[int] = []

    def before_call() -> None:
        asked.append(len(server.seen))
        if len(asked) == 3:
            raise TryLater("The call budget is used up.", 2.0)

    with pytest.raises(TryLater, match="budget") as caught:
        ask(server, 9, hang_up, before_call=before_call, tries=9)
    assert asked == [0, 1, 2]
    assert caught.value.retry_after == 2.0


def test_waiting_for_permission_does_not_use_up_the_deadline(server: ScriptedServer) -> None:
    def answer_soon(line: Line) -> None:
        line.wait(0.1)
        line.send(reply(sample("sms.json")))

    pause = threading.Event()
    got = ask(server, 9, answer_soon, before_call=lambda: pause.wait(0.6) and None, read_deadline=0.3)
    assert got.total == 2


def test_reads_share_a_connection_and_changes_get_their_own(server: ScriptedServer) -> None:
    server.at = {path: reply(sample(answer)) for _, path, _, answer, _ in CALLS.values()}
    with Client(server.url, KEY) as asked:
        asked.sms()
        asked.current_bookings()
        asked.cancel_booking(59)
        asked.reuse_booking(62)
        asked.sms()
    assert [seen.connection for seen in server.seen] == [1, 1, 2, 3, 1]


def test_several_threads_may_read_at_once(server: ScriptedServer) -> None:
    server.at = {CALLS[number][1]: reply(sample(CALLS[number][3])) for number in READS}
    failures: list[Exception] = []
    with Client(server.url, KEY) as asked:

        def work() -> None:
            for number in READS:
                try:
                    CALLS[number][4](asked)
                except Exception as error:  # noqa: BLE001  a thread's error must reach the test
                    failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert failures == []
    assert len(server.seen) == 8 * len(READS)


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
@pytest.mark.parametrize("number", CALLS)
def test_401_and_403_mean_a_bad_key(server: ScriptedServer, number: int, status: str) -> None:
    with pytest.raises(BadKey, match="Invalid api key"):
        ask(server, number, reply("Invalid api key", status))
    assert len(server.seen) == 1


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "schlüssel"])
def test_what_cannot_be_a_key_is_not_sent(server: ScriptedServer, key: str) -> None:
    with pytest.raises(BadKey):
        Client(server.url, key).balance()
    assert server.seen == []


def test_the_package_needs_nothing_else_of_the_project_and_no_django() -> None:
    used = set()
    for path in Path(client.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used.add(node.module or "")
    foreign = {name.split(".")[0] for name in used} - sys.stdlib_module_names
    assert foreign == {"dashboard", "requests", "urllib3"}
    assert {name for name in used if name.startswith("dashboard") and not name.startswith("dashboard.anosim")} == set()
