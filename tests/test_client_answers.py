"""What becomes of clean and wild answers to reads (anosim-api.md, wild facts)."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dashboard.anosim import (
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
from tests.scripted_server import Reply, ScriptedServer, reply, sample
from tests.test_client import CALLS, KEY, LISTS


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
def test_a_400_that_says_nothing_found_is_an_empty_list(server: ScriptedServer, number: int, name: str) -> None:
    got = ask(server, number, reply(sample(name), "400 Bad Request"))
    assert (got.rows, got.total, got.unreadable) == ((), 0, 0)
    assert got.digest == hashlib.sha256(sample(name)).hexdigest()


@pytest.mark.parametrize(
    "said", ["no orderbookings found", "NO SMS FOUND.", "No Order Booking found", "No Order found\r\n"]
)
def test_an_empty_list_may_be_said_in_several_ways(server: ScriptedServer, said: str) -> None:
    assert ask(server, 11, reply(said, "400 Bad Request")).total == 0


@pytest.mark.parametrize("said", ["No OrderBooking found for this key", "Order not found", "No balance found", "No"])
def test_any_other_400_is_a_refusal_in_the_providers_words(server: ScriptedServer, said: str) -> None:
    with pytest.raises(Refused) as caught:
        ask(server, 11, reply({"message": said}, "400 Bad Request"))
    assert (caught.value.text, caught.value.status) == (said, 400)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "422 Unprocessable", "500 Internal Server Error"])
def test_nothing_found_with_another_status_is_no_empty_list(server: ScriptedServer, status: str) -> None:
    with pytest.raises((Refused, Unreadable, TryLater)):
        ask(server, 11, reply(sample("no_bookings.txt"), status), tries=1)


def test_a_message_with_a_bare_line_break_is_read(server: ScriptedServer) -> None:
    body = sample("sms.json").replace(b"Hello again", b"Hello\r\n\tagain")
    assert ask(server, 9, reply(body)).rows[1].text == "Hello\r\n\tagain"


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
