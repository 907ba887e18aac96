"""The 17 calls, seen from the wire: what is sent, and what becomes of clean and wild answers."""

import ast
import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dashboard.anosim import (
    AutoRenewal,
    BadKey,
    Client,
    Country,
    Product,
    Provider,
    Refused,
    Sms,
    TryLater,
    Unreadable,
    client,
)
from tests.scripted_server import Reply, ScriptedServer, cut_off, hang_up, reply, sample

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
    ("name", "amount"),
    [("balance.json", "3418.40"), ("balance_text.json", "30.00"), ("balance_below_zero.json", "-0.50")],
)
def test_the_balance_is_exact_as_number_and_as_text(server: ScriptedServer, name: str, amount: str) -> None:
    got = ask(server, 1, reply(sample(name)))
    assert isinstance(got, Decimal)
    assert str(got) == amount


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1e3", "1.005", "true", "null", '"a lot"', "[]"])
def test_an_inexact_balance_is_unreadable(server: ScriptedServer, amount: str) -> None:
    with pytest.raises(Unreadable):
        ask(server, 1, reply(f'{{"accountBalanceInUSD":{amount}}}'), tries=1)


def test_clean_lists_become_records(server: ScriptedServer) -> None:
    server.at = {CALLS[number][1]: reply(sample(CALLS[number][3])) for number in LISTS}
    with Client(server.url, KEY) as asked:
        countries, products, orders = asked.countries(), asked.products(), asked.orders()
        cards, sms, bookings, current = (
            asked.sim_cards(),
            asked.sms(),
            asked.bookings(),
            asked.current_bookings(),
        )
    assert countries.rows[0] == Country(67, "CzechRepublic")
    assert products.rows[2] == Product(3, "CzechRepublic", "Activation", "WhatsApp", 20, Decimal("1.43"), ())
    assert [(order.id, [b.id for b in order.bookings]) for order in orders.rows] == [
        (66, [58, 59]),
        (65, [56]),
    ]
    assert orders.rows[1].bookings[0].state == "Not Used"
    assert cards.rows[1].ends_at == datetime(2024, 5, 21, 23, 29, 32, 587_000, tzinfo=UTC)
    assert sms.rows[0].received_at == datetime(2024, 5, 21, 23, 22, 4, 357_000, tzinfo=UTC)
    assert bookings.rows[1].price == Decimal("12.00")
    assert (current.rows[1].price, current.rows[1].extends, current.rows[1].auto_renewal) == (
        None,
        None,
        None,
    )
    assert all(each.unreadable == 0 for each in (countries, products, orders, cards, sms, bookings, current))


def test_a_product_comes_with_its_networks(server: ScriptedServer) -> None:
    product = ask(server, 4, reply(sample("product.json")))
    assert product.providers == (
        Provider(0, "Any", 2),
        Provider(1, "T-Mobile", 1),
        Provider(2, "Vodafone", 1),
    )


def test_wild_products_keep_every_row_that_has_an_id(server: ScriptedServer) -> None:
    got = ask(server, 3, reply(sample("products_wild.json")))
    assert (got.total, got.unreadable) == (6, 3)
    assert got.rows == (
        Product(1, "Germany", "RentalQuarterly", "", 1440, Decimal("1.10"), ()),
        Product(2, "", "Activation", "Telegram", None, None, ()),
        Product(3, "", "", "", None, None, ()),
    )


def test_wild_orders_keep_their_bookings(server: ScriptedServer) -> None:
    got = ask(server, 6, reply(sample("orders_wild.json")))
    assert (got.total, got.unreadable) == (4, 2)
    first, second = got.rows
    assert (first.price, [booking.id for booking in first.bookings]) == (Decimal("10.00"), [58])
    assert first.ordered_at == datetime(2024, 5, 22, 1, 19, 32, 457_123, tzinfo=UTC)
    assert (second.id, second.ordered_at, second.price, second.bookings) == (65, None, None, ())


def test_wild_bookings_keep_unknown_states_types_and_countries(server: ScriptedServer) -> None:
    got = ask(server, 11, reply(sample("bookings_wild.json")))
    assert (got.total, got.unreadable) == (3, 1)
    first, second = got.rows
    assert (first.country, first.rental_type, first.state) == (
        "Côte d'Ivoire",
        "Rental2h",
        "Awaiting Payment",
    )
    assert first.starts_at == datetime(2024, 5, 22, 1, 19, 32, 500_000, tzinfo=UTC)
    assert (first.ends_at, first.duration_minutes, first.price) == (None, 20, Decimal("5.00"))
    assert (first.extends, first.auto_renewal) == (54, True)
    assert (second.number, second.state, second.starts_at, second.auto_renewal) == ("", "", None, False)


def test_sms_are_kept_to_the_letter_and_equal_rows_stay_two(server: ScriptedServer) -> None:
    got = ask(server, 9, reply(sample("sms_wild.json")))
    assert (got.total, got.unreadable) == (6, 2)
    assert got.rows[0] == got.rows[1]
    assert got.rows[0] == Sms(
        number="+420123456789",
        sender="  WhatsApp ",
        text=" Code: 123-456\r\n\0\U0001f600 ",
        stamp="2024-05-21T23:22:04.3571234Z",
        received_at=datetime(2024, 5, 21, 23, 22, 4, 357_123, tzinfo=UTC),
    )
    assert (got.rows[2].number, got.rows[2].sender, got.rows[2].text) == (
        "420123456789",
        "",
        "half a pair: \ufffd",
    )
    assert (got.rows[3].number, got.rows[3].text) == ("", "<script>alert(1)</script>")


def test_a_bad_byte_in_one_message_does_not_lose_the_others(server: ScriptedServer) -> None:
    body = sample("sms.json").replace(b"Hello again", b"Hell\xff again")
    assert [sms.text for sms in ask(server, 9, reply(body)).rows] == ["Hello", "Hell\ufffd again"]


def test_the_digest_is_of_the_body_and_the_time_is_the_servers(server: ScriptedServer) -> None:
    body = sample("sms.json")
    got = ask(server, 9, reply(body, Date="Tue, 21 May 2024 23:22:05 GMT"))
    assert got.digest == hashlib.sha256(body).hexdigest()
    assert got.server_time == datetime(2024, 5, 21, 23, 22, 5, tzinfo=UTC)
    assert ask(server, 9, reply(body, Date="yesterday")).server_time is None


@pytest.mark.parametrize("number", LISTS)
@pytest.mark.parametrize("name", ["no_bookings.txt", "no_sms.txt", "no_orders.json"])
def test_a_400_that_says_nothing_found_is_an_empty_list(
    server: ScriptedServer, number: int, name: str
) -> None:
    got = ask(server, number, reply(sample(name), "400 Bad Request"))
    assert (got.rows, got.total, got.unreadable) == ((), 0, 0)
    assert got.digest == hashlib.sha256(sample(name)).hexdigest()


@pytest.mark.parametrize(
    "said", ["no orderbookings found", "NO SMS FOUND.", "No Order Booking found", "No Order found\r\n"]
)
def test_an_empty_list_may_be_said_in_several_ways(server: ScriptedServer, said: str) -> None:
    assert ask(server, 11, reply(said, "400 Bad Request")).total == 0


@pytest.mark.parametrize(
    "said", ["No OrderBooking found for this key", "Order not found", "No balance found", "No"]
)
def test_any_other_400_is_a_refusal_in_the_providers_words(server: ScriptedServer, said: str) -> None:
    with pytest.raises(Refused) as caught:
        ask(server, 11, reply({"message": said}, "400 Bad Request"))
    assert (caught.value.text, caught.value.status) == (said, 400)
    assert len(server.seen) == 1


def test_nothing_found_is_a_refusal_where_one_thing_was_asked_for(server: ScriptedServer) -> None:
    with pytest.raises(Refused, match="No OrderBooking found"):
        ask(server, 13, reply("No OrderBooking found", "400 Bad Request"))


@pytest.mark.parametrize(
    "wrapped", ['{"items":%s}', '{"data":{"orderBookings":%s},"page":1}', "[%s]", '{"total":2,"list":%s}']
)
def test_a_list_may_be_wrapped(server: ScriptedServer, wrapped: str) -> None:
    body = wrapped % sample("bookings.json").decode()
    assert [booking.id for booking in ask(server, 11, reply(body)).rows] == [59, 54]


def test_one_row_may_come_without_its_list(server: ScriptedServer) -> None:
    assert [booking.id for booking in ask(server, 11, reply(sample("booking.json"))).rows] == [59]


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "null",
        "7",
        '"No"',
        '{"message":"x"}',
        '{"errors":[]}',
        '{"a":[],"b":[]}',
        '{"message":"x","data":[]}',
    ],
)
def test_what_is_not_a_list_is_never_an_empty_list(server: ScriptedServer, body: str) -> None:
    with pytest.raises(Unreadable):
        ask(server, 11, reply(body), tries=1)


@pytest.mark.parametrize("wrapped", ["[%s]", '{"data":%s}', '{"orderBooking":%s}', '[{"id":7}, %s]'])
def test_one_object_may_be_wrapped(server: ScriptedServer, wrapped: str) -> None:
    assert ask(server, 13, reply(wrapped % sample("booking.json").decode())).id == 59


def test_another_object_than_the_one_asked_for_is_unreadable(server: ScriptedServer) -> None:
    with pytest.raises(Unreadable):
        ask(server, 13, reply(sample("booking.json").replace(b"59", b"58")), tries=1)


def test_json_is_judged_by_its_content(server: ScriptedServer) -> None:
    body = b"\xef\xbb\xbf" + sample("countries.json")
    assert ask(server, 2, reply(body, Content_Type="text/html; charset=latin-1")).total == 3


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
def test_the_other_documented_path_is_tried(
    server: ScriptedServer, number: int, other: str, status: str
) -> None:
    method, _, query, answer, _ = CALLS[number]
    server.at[other] = reply(sample(answer))
    ask(server, number, reply("<h1>What?</h1>", status))
    last = server.seen[-1]
    assert (last.method, last.path, last.query) == (method, f"/api/v1{other}", query)


@pytest.mark.parametrize("number", [13, 14, 15, 17])
@pytest.mark.parametrize("generic", ["<html>404</html>", '{"title":"Not Found","status":404}', ""])
def test_a_404_about_the_object_is_a_refusal_after_all_paths(
    server: ScriptedServer, number: int, generic: str
) -> None:
    server.at[CALLS[number][1]] = reply({"message": "OrderBooking not found."}, "404 Not Found")
    with pytest.raises(Refused) as caught:
        ask(server, number, reply(generic, "404 Not Found"))
    assert (caught.value.text, caught.value.status) == ("OrderBooking not found.", 404)


def test_a_404_page_says_that_the_base_url_may_be_wrong(server: ScriptedServer) -> None:
    with pytest.raises(Unreadable, match="base URL may be wrong"):
        ask(server, 9, reply("<html>Not here</html>", "404 Not Found"))
    assert len(server.seen) == 1


def test_a_cancellation_that_is_declined_is_a_refusal(server: ScriptedServer) -> None:
    with pytest.raises(Refused, match=r"^An SMS came already$"):
        ask(server, 14, reply({"success": False, "message": "An SMS came already"}))
    with pytest.raises(Refused, match="did not cancel"):
        ask(server, 14, reply({"success": False}))


def test_auto_renewal_tells_what_it_did(server: ScriptedServer) -> None:
    assert ask(server, 17, reply(sample("auto_renewal.json"))) == AutoRenewal(
        True, "Auto-renewal set successfully.", 1
    )
    assert ask(server, 17, reply([{"success": False, "message": None}])) == AutoRenewal(False, "", None)


@pytest.mark.parametrize("number", READS)
def test_reads_are_tried_again_until_one_answer_is_good(server: ScriptedServer, number: int) -> None:
    good = reply(sample(CALLS[number][3]))
    ask(server, number, cut_off, reply(sample("maintenance.html")), good)
    assert server.methods == ["GET", "GET", "GET"]


@pytest.mark.parametrize(
    "bad", [hang_up, cut_off, reply("", "502 Bad Gateway"), reply("{"), reply({"message": "?"})]
)
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
    pause = threading.Event()
    got = ask(
        server, 9, reply(sample("sms.json")), before_call=lambda: pause.wait(0.5) and None, read_deadline=0.2
    )
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
    assert {
        name for name in used if name.startswith("dashboard") and not name.startswith("dashboard.anosim")
    } == set()
