"""What two looks at the provider's lists prove: every case of reliability.md 4.3 as a row of a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dashboard.anosim import Booking, Order
from dashboard.purchases.evidence import Look, Sought, answers, judge

SENT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PRICE = Decimal("1.79")


def booking(id: int = 1, **fields: Any) -> Booking:
    values: dict[str, Any] = {
        "id": id,
        "number": f"+49{id}",
        "country": "Germany",
        "rental_type": "Activation",
        "service": "WhatsApp",
        "starts_at": SENT,
        "ends_at": SENT + timedelta(minutes=20),
        "duration_minutes": 20,
        "price": PRICE,
        "state": "Active",
        "extends": None,
        "auto_renewal": None,
    }
    return Booking(**values | fields)


def order(number: int = 50, *bookings: Booking, **fields: Any) -> Order:
    values: dict[str, Any] = {"ordered_at": SENT + timedelta(seconds=1), "price": PRICE}
    return Order(id=number, bookings=bookings, **values | fields)


OLD = order(10, booking(9), ordered_at=SENT - timedelta(hours=1))
MINE = order(50, booking())


def look(*orders: Order, balance: str | None = "100.00", **fields: Any) -> Look:
    values: dict[str, Any] = {"at": SENT - timedelta(seconds=1), "total": len(orders)}
    return Look(orders=orders, balance=None if balance is None else Decimal(balance), **values | fields)


def later(*orders: Order, **fields: Any) -> Look:
    return look(*orders, OLD, at=SENT + timedelta(seconds=10), **fields)


SOUGHT = Sought("order", "Germany", "Activation", "WhatsApp", 20, 1, PRICE, SENT)
EXTENSION = replace(SOUGHT, kind="extend", rental_type="RentalService", minutes=1440, booking_id=7, number="+497")
REUSE = replace(SOUGHT, kind="reuse", booking_id=7, number="+497")
BEFORE = look(OLD).as_json()


@pytest.mark.parametrize(
    ("what", "sought", "seen", "verdict"),
    [
        ("the very order", SOUGHT, MINE, "found"),
        ("a service left out", SOUGHT, order(50, booking(service="")), "found"),
        ("another country", SOUGHT, order(50, booking(country="Poland")), ""),
        ("another service", SOUGHT, order(50, booking(service="Telegram")), ""),
        ("another length", SOUGHT, order(50, booking(duration_minutes=1440)), "similar"),
        ("another type", SOUGHT, order(50, booking(rental_type="RentalService")), "similar"),
        ("more numbers", SOUGHT, order(50, booking(1), booking(2)), "similar"),
        ("fewer numbers, so far", replace(SOUGHT, amount=2), MINE, "unclear"),
        ("both numbers", replace(SOUGHT, amount=2), order(50, booking(1), booking(2)), "found"),
        ("no numbers yet", SOUGHT, order(50), "unclear"),
        ("nothing but numbers", SOUGHT, order(50, booking(country="", rental_type="", service="")), "similar"),
        ("stamped an hour earlier", SOUGHT, replace(MINE, ordered_at=SENT - timedelta(hours=1)), "similar"),
        ("stamped a minute earlier", SOUGHT, replace(MINE, ordered_at=SENT - timedelta(minutes=1)), "found"),
        ("days old", SOUGHT, replace(MINE, ordered_at=SENT - timedelta(days=3)), ""),
        ("no stamp", SOUGHT, replace(MINE, ordered_at=None), "found"),
        ("an extension", SOUGHT, order(50, booking(extends=7)), ""),
        ("the extension", EXTENSION, order(50, booking(extends=7, duration_minutes=1440)), "found"),
        ("an extension of another length", EXTENSION, order(50, booking(extends=7, duration_minutes=20)), "similar"),
        ("another booking's extension", EXTENSION, order(50, booking(extends=8)), ""),
        ("a new order instead of an extension", EXTENSION, MINE, ""),
        ("the same number again", REUSE, order(50, booking(number="+497")), "found"),
        ("another number", REUSE, order(50, booking(number="+498")), ""),
    ],
)
def test_an_order_is_judged_by_all_that_it_shows(what: str, sought: Sought, seen: Order, verdict: str) -> None:
    judged = judge(sought, BEFORE, later(seen), ())
    groups = {"found": judged.found, "unclear": judged.unclear, "similar": judged.similar}
    assert {name for name, orders in groups.items() if orders} == ({verdict} if verdict else set()), what
    assert judged.nothing == (verdict == "")


def test_what_was_there_before_or_answers_another_purchase_is_not_found() -> None:
    assert judge(SOUGHT, BEFORE, later(), ()).nothing
    assert judge(SOUGHT, BEFORE, later(MINE), {50}).nothing
    assert len(judge(SOUGHT, BEFORE, later(MINE, replace(MINE, id=51)), ()).found) == 2


@pytest.mark.parametrize(
    ("total", "orders", "complete"),
    [(99, (MINE,), True), (100, (MINE, OLD), True), (100, (MINE,), False), (250, (MINE,), False)],
)
def test_a_full_list_that_does_not_reach_back_is_not_complete(
    total: int, orders: tuple[Order, ...], complete: bool
) -> None:
    judged = judge(SOUGHT, BEFORE, look(*orders, total=total), ())
    assert judged.complete is complete
    assert complete or not judged.nothing


def test_a_row_that_cannot_be_read_could_be_the_purchase() -> None:
    judged = judge(SOUGHT, BEFORE, later(unreadable=1), ())
    assert not judged.whole
    assert not judged.nothing


GIVEN_BACK = order(10, booking(9, state="Not Used"), ordered_at=OLD.ordered_at)


@pytest.mark.parametrize(
    ("what", "seen", "balance", "explained"),
    [
        ("nothing moved", (), "100.00", True),
        ("money went without an order", (), "98.21", False),
        ("an order and its price", (MINE,), "98.21", True),
        ("an order and more than its price", (MINE,), "98.20", False),
        ("an order without a price", (replace(MINE, price=None),), "98.21", False),
        ("no balance", (), None, False),
        ("a top-up", (), "150.00", False),
    ],
)
def test_the_balance_is_explained_to_the_cent(
    what: str, seen: tuple[Order, ...], balance: str | None, explained: bool
) -> None:
    assert judge(SOUGHT, BEFORE, later(*seen, balance=balance), ()).explained is explained, what


def test_a_booking_given_back_since_explains_its_money_once() -> None:
    assert judge(SOUGHT, BEFORE, look(GIVEN_BACK, balance="101.79"), ()).explained
    known = look(GIVEN_BACK).as_json()
    assert not judge(SOUGHT, known, look(GIVEN_BACK, balance="101.79"), ()).explained
    assert judge(SOUGHT, known, look(GIVEN_BACK), ()).explained


@pytest.mark.parametrize("jump", [timedelta(hours=-24), timedelta(hours=-1), timedelta(0), timedelta(hours=24)])
@pytest.mark.parametrize("when", ["always", "since"])
def test_a_provider_whose_clock_goes_otherwise_or_jumps_is_understood(jump: timedelta, when: str) -> None:
    before = look(OLD, server_time=SENT + (jump if when == "always" else timedelta(0))).as_json()
    mine = replace(MINE, ordered_at=SENT + jump + timedelta(seconds=1))
    after = later(mine, server_time=SENT + jump + timedelta(seconds=10))
    assert judge(SOUGHT, before, after, ()).found == (mine,)


def test_an_end_that_moved_without_an_order_is_a_doubt() -> None:
    rental = booking(7, ends_at=SENT)
    before = look(OLD, booking=rental).as_json()
    moved = replace(rental, ends_at=SENT + timedelta(days=1))
    judged = judge(EXTENSION, before, later(booking=moved), ())
    assert judged.moved_end
    assert not judged.nothing
    assert judge(EXTENSION, before, later(booking=rental), ()).nothing


@pytest.mark.parametrize(
    ("what", "answer", "believed"),
    [
        ("product and amount fit", MINE, True),
        ("dearer, but the very product", replace(MINE, price=Decimal("9.99")), True),
        ("another product", order(50, booking(service="Telegram")), False),
        ("two numbers for one", order(50, booking(1), booking(2)), False),
        ("numbers follow, the sum fits", order(50), True),
        ("numbers follow, the sum is higher", order(50, price=Decimal("1.80")), False),
        ("nothing but an id", order(50, price=None), False),
    ],
)
def test_an_answer_is_believed_if_product_and_amount_fit(what: str, answer: Order, believed: bool) -> None:
    assert answers(SOUGHT, answer) is believed, what
