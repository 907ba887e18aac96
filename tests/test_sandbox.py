"""The stand-in provider answers the 17 calls as the contract says and sells what its ledger holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dashboard.sandbox import Sandbox
from tests.sandbox_caller import call, control, get, product, request

BOOKING_FIELDS = [
    "id", "number", "country", "rentalType", "service", "startDate", "endDate", "durationInMinutes",
    "priceInUSD", "state", "extentionForId",
]  # fmt: skip


@pytest.fixture(scope="module")
def past() -> Iterator[Sandbox]:
    """A sandbox that is only read."""
    with Sandbox(seed=3) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """An empty world with money, to trade in."""
    with Sandbox(size={"orders": 0}, balance="1000.00") as sandbox:
        yield sandbox


def test_balance_has_two_decimals_on_the_wire(sandbox: Sandbox) -> None:
    assert call(sandbox, "GET", "/Balance").text == '{"accountBalanceInUSD":1000.00}'


def test_countries_are_the_eleven_in_camel_case(past: Sandbox) -> None:
    rows = get(past, "/Countries")
    assert len(rows) == 11
    assert {"id": 67, "country": "CzechRepublic"} in rows
    assert {"id": 98, "country": "Germany"} in rows


def test_products_of_one_country_are_a_part_of_all_and_know_every_rental_type(past: Sandbox) -> None:
    everywhere, germany = get(past, "/Products"), get(past, "/Products", countryId=98)
    assert germany == [row for row in everywhere if row["country"] == "Germany"]
    assert {row["rentalType"] for row in germany} == {"Activation", "RentalService", "RentalFull"}
    assert len({row["service"] for row in germany}) >= 12
    assert all(row["service"] == "" for row in germany if row["rentalType"] == "RentalFull")
    assert get(past, "/Products", countryId=1) == []


def test_a_product_names_its_networks_and_any_is_their_sum(past: Sandbox) -> None:
    row = get(past, "/Products/5")
    first, *rest = row["provider"]
    assert (first["id"], first["name"]) == (0, "Any")
    assert first["availableCount"] == sum(net["availableCount"] for net in rest)


def test_an_order_is_paid_written_down_and_shown_in_every_list(sandbox: Sandbox) -> None:
    wanted = product(sandbox, "Activation")
    order = call(sandbox, "POST", "/Orders", productId=wanted, amount=2, providerId=0).json
    assert list(order) == ["id", "date", "priceInUSD", "bookings"]
    assert [list(row) for row in order["bookings"]] == [BOOKING_FIELDS] * 2
    assert order["priceInUSD"] == Decimal("3.58")
    assert get(sandbox, "/Balance") == {"accountBalanceInUSD": Decimal("996.42")}
    assert get(sandbox, "/Orders") == [order]
    assert get(sandbox, f"/Orders/{order['id']}") == order
    assert get(sandbox, "/OrderBookings") == order["bookings"][::-1]
    assert [row["number"] for row in get(sandbox, "/SimCards")] == [row["number"] for row in order["bookings"]]
    (sale,) = sandbox.ledger
    assert (sale["order"], sale["product"], sale["amount"], sale["price"]) == (order["id"], wanted, 2, "3.58")
    assert sale["bookings"] == [row["id"] for row in order["bookings"]]
    assert sale["call"].startswith("POST /api/v1/Orders #")


def test_current_bookings_lack_price_and_extension_and_go_back_twelve_hours(sandbox: Sandbox) -> None:
    call(sandbox, "POST", "/Orders", productId=product(sandbox, "Activation"), amount=1)
    sandbox.world.clock.advance(3600)
    (row,) = get(sandbox, "/OrderBookingsCurrent")
    assert list(row) == [name for name in BOOKING_FIELDS if name not in ("priceInUSD", "extentionForId")]
    assert row["state"] == "Not Used"
    sandbox.world.clock.advance(12 * 3600)
    assert get(sandbox, "/OrderBookingsCurrent") == []
    assert len(get(sandbox, "/OrderBookings")) == 1


def test_lists_are_windows_of_the_newest_hundred(past: Sandbox) -> None:
    world = past.world
    assert (len(world.orders), len(world.bookings), len(world.sms)) == (60, 140, 300)
    bookings, messages = get(past, "/OrderBookings"), get(past, "/Sms")
    assert [row["id"] for row in bookings] == sorted(world.bookings, reverse=True)[:100]
    assert len(messages) == 100
    assert [row["messageText"] for row in messages] == [row.text for row in world.sms[:-101:-1]]
    assert len(get(past, "/Orders")) == 60


def test_an_activation_without_sms_can_be_cancelled_and_is_refunded_once(sandbox: Sandbox) -> None:
    order = sandbox.world.order(product(sandbox, "Activation"))
    path = f"/OrderBookings/{order.bookings[0]}"
    assert call(sandbox, "PATCH", path).json == {"success": True}
    assert get(sandbox, path)["state"] == "Not Used"
    assert call(sandbox, "PATCH", path).status == 400
    assert get(sandbox, "/Balance")["accountBalanceInUSD"] == 1000


def test_what_has_received_an_sms_or_is_a_rental_cannot_be_cancelled(sandbox: Sandbox) -> None:
    used = sandbox.world.order(product(sandbox, "Activation")).bookings[0]
    rental = sandbox.world.order(product(sandbox, "RentalService")).bookings[0]
    sandbox.world.receive_sms(used, "Your code is 123456")
    for booking in (used, rental):
        assert call(sandbox, "PATCH", f"/OrderBooking/{booking}").status == 400


def test_an_activation_ends_with_the_money_back_only_if_nothing_came(sandbox: Sandbox) -> None:
    used, unused = sandbox.world.order(product(sandbox, "Activation"), 2).bookings
    sandbox.world.receive_sms(used, "Your code is 123456")
    sandbox.world.clock.advance(21 * 60)
    assert get(sandbox, f"/OrderBookings/{used}")["state"] == "Ended"
    assert get(sandbox, f"/OrderBookings/{unused}")["state"] == "Not Used"
    assert get(sandbox, "/Balance")["accountBalanceInUSD"] == Decimal("998.21")
    assert sum(amount for _, amount, _ in sandbox.world.ledger.movements) == Decimal("998.21")


def test_sms_come_to_the_list_and_to_their_booking_and_equal_ones_stay_two(sandbox: Sandbox) -> None:
    first, second = sandbox.world.order(product(sandbox, "RentalFull", ""), 2).bookings
    sandbox.world.receive_sms(first, "Olá \x00 <b>1234</b> 🔑", "Bank", times=2)
    sandbox.world.receive_sms(second, "late", "Info", at=datetime.now(UTC) - timedelta(hours=1))
    rows = get(sandbox, "/Sms")
    assert [row["messageText"] for row in rows] == ["Olá \x00 <b>1234</b> 🔑"] * 2 + ["late"]
    assert rows[0] == rows[1]
    assert list(rows[0]) == ["simCardNumber", "messageDate", "messageSender", "messageText"]
    assert get(sandbox, f"/Sms/{first}") == rows[:2]
    assert get(sandbox, f"/Sms/{second}") == rows[2:]
    assert [(row["text"], row["count"], row["real"]) for row in sandbox.shown()["sms"]] == [
        ("Olá \x00 <b>1234</b> 🔑", 2, 2),
        ("late", 1, 1),
    ]


def test_only_an_ended_kleinanzeigen_activation_can_be_reused(sandbox: Sandbox) -> None:
    good = sandbox.world.order(product(sandbox, "Activation", "Kleinanzeigen")).bookings[0]
    other = sandbox.world.order(product(sandbox, "Activation")).bookings[0]
    assert call(sandbox, "POST", f"/OrderBookingsReUse/{good}").status == 400
    sandbox.world.clock.advance(21 * 60)
    assert call(sandbox, "POST", f"/OrderBookingsReUse/{other}").status == 400
    order = call(sandbox, "POST", f"/OrderBookingReUse/{good}").json
    assert order["bookings"][0]["number"] == get(sandbox, f"/OrderBooking/{good}")["number"]
    assert order["bookings"][0]["id"] != good
    assert [sale["kind"] for sale in sandbox.ledger] == ["order", "order", "reuse"]


def test_an_extension_is_pending_first_and_then_moves_the_end(sandbox: Sandbox) -> None:
    rental = sandbox.world.order(product(sandbox, "RentalService")).bookings[0]
    before = get(sandbox, f"/OrderBookings/{rental}")
    order = call(sandbox, "POST", "/OrderBookings", orderBookingId=rental, extentionInMinutes=1440).json
    (extension,) = order["bookings"]
    assert (extension["state"], extension["extentionForId"]) == ("Pending", rental)
    assert order["priceInUSD"] == before["priceInUSD"]
    assert get(sandbox, f"/OrderBookings/{rental}") == before
    sandbox.world.clock.advance(5)
    after = get(sandbox, f"/OrderBookings/{rental}")
    moved = datetime.fromisoformat(after["endDate"]) - datetime.fromisoformat(before["endDate"])
    assert moved == timedelta(days=1)
    assert get(sandbox, f"/OrderBookings/{extension['id']}")["state"] == "Ended"


def test_activations_cannot_be_extended(sandbox: Sandbox) -> None:
    booking = sandbox.world.order(product(sandbox, "Activation")).bookings[0]
    answer = call(sandbox, "POST", "/OrderBookings", orderBookingId=booking, extentionInMinutes=60)
    assert (answer.status, answer.text) == (400, "Activations cannot be extended.")


def test_auto_renewal_of_one_or_of_all_rentals_sells_the_time_again_at_the_end(sandbox: Sandbox) -> None:
    one, two = sandbox.world.order(product(sandbox, "RentalService"), 2).bookings
    sandbox.world.order(product(sandbox, "Activation"))
    everyone = call(sandbox, "POST", "/OrderBookingsAutoRenewal", enable=1).json
    assert everyone == {
        "Success": True,
        "Message": "Auto-renewal set successfully.",
        "AffectedOrderBookingsCount": 2,
    }
    path = "/OrderBookingsAutoRenewal/SetAutoRenewalAsync"
    assert call(sandbox, "POST", path, enable=0, orderBookingId=two).json["AffectedOrderBookingsCount"] == 1
    sandbox.world.clock.advance(86_400 + 60)
    assert get(sandbox, f"/OrderBookings/{one}")["state"] == "Active"
    assert get(sandbox, f"/OrderBookings/{two}")["state"] == "Ended"
    assert sandbox.ledger[-1]["kind"] == "renewal"
    assert sandbox.ledger[-1]["origin"] == "renewal"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"productId": 999_999, "amount": 1}, "No Product found"),
        ({"productId": 1, "amount": 0}, "The amount must be between 1 and 100."),
        ({"productId": 1, "amount": 1, "providerId": 4}, "The provider does not exist."),
        ({"productId": 1}, "amount is missing or not a number."),
        ({"productId": 435, "amount": 90}, "Insufficient account balance."),
    ],
)
def test_a_refused_order_sells_nothing_and_says_why(sandbox: Sandbox, query: dict[str, int], words: str) -> None:
    answer = call(sandbox, "POST", "/Orders", **query)
    assert (answer.status, answer.text) == (400, words)
    assert sandbox.ledger == []
    assert get(sandbox, "/Balance")["accountBalanceInUSD"] == 1000


def test_more_than_there_are_free_numbers_cannot_be_sold(sandbox: Sandbox) -> None:
    wanted = product(sandbox, "Activation")
    control(sandbox, "POST", "product", {"id": wanted, "available": 0})
    assert call(sandbox, "POST", "/Orders", productId=wanted, amount=1).text.startswith("Not enough")


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Authorization": "Bearer sandbox-key"}, "", 200),
        ({"X-API-Key": "sandbox-key"}, "", 200),
        ({}, "?apikey=sandbox-key", 200),
        ({}, "?apiKey=sandbox-key", 200),
        ({"Authorization": "Bearer wrong"}, "?apikey=sandbox-key", 401),
        ({}, "?apikey=wrong", 401),
        ({}, "", 401),
    ],
)
def test_the_key_may_come_in_three_ways_and_a_header_wins(
    past: Sandbox, headers: dict[str, str], query: str, status: int
) -> None:
    assert request(past.url + "/Balance" + query, headers=headers).status == status
    assert "sandbox-key" not in repr(past.calls)


def test_unknown_things_are_refused_in_words(past: Sandbox) -> None:
    assert call(past, "GET", "/Nothing").status == 404
    assert call(past, "DELETE", "/Orders").status == 405
    assert call(past, "GET", "/Orders/1").text == "No Order found"
    assert call(past, "GET", "/OrderBookings/1").text == "No OrderBooking found"
    assert call(past, "GET", "/Sms/1").text == "No OrderBooking found"


def test_parallel_orders_never_spend_more_than_the_balance(sandbox: Sandbox) -> None:
    wanted = product(sandbox, "RentalFull", "")  # 12.50 each: 80 can be paid
    for network in sandbox.world.products[wanted].providers:
        network.available = 1000
    statuses: list[int] = []

    def buy() -> None:
        for _ in range(12):
            statuses.append(call(sandbox, "POST", "/Orders", productId=wanted, amount=1).status)

    threads = [threading.Thread(target=buy) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(200) == 80
    assert len(sandbox.ledger) == 80
    assert get(sandbox, "/Balance")["accountBalanceInUSD"] == 0
    ids = [sale["order"] for sale in sandbox.ledger]
    assert ids == sorted(set(ids))


def test_what_was_shown_holds_orders_and_bookings_of_every_answer(sandbox: Sandbox) -> None:
    order = call(sandbox, "POST", "/Orders", productId=product(sandbox, "Activation"), amount=2).json
    assert [row["id"] for row in sandbox.shown()["orders"]] == [order["id"]]
    get(sandbox, "/OrderBookingsCurrent")
    assert [row["priceInUSD"] for row in sandbox.shown()["bookings"]] == [Decimal("1.79")] * 2
