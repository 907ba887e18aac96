"""What saving lists of bookings asks the database, however many there are."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.anosim import Booking as BookingRecord
from dashboard.anosim import Listing
from dashboard.anosim import Order as OrderRecord
from dashboard.models import Account, Booking, Sms
from dashboard.sync.save_bookings import save_orders

from .factories import make_booking, make_sms

pytestmark = pytest.mark.django_db


def orders(first: int, count: int) -> Listing[Any]:
    """So many orders of one booking each."""
    now = timezone.now().replace(microsecond=0)
    fixed = (
        "Germany",
        "Activation",
        "WhatsApp",
        now,
        now + timedelta(hours=1),
        60,
        Decimal("1.43"),
        "Active",
        None,
        False,
    )
    rows = tuple(
        OrderRecord(pk, now, Decimal("1.43"), (BookingRecord(pk, f"4916{pk}", *fixed),))
        for pk in range(first, first + count)
    )
    return Listing(rows, count, 0, str(first), now)


def queries(account: Account, listing: Listing[Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        save_orders(account, listing, timezone.now())
    return [each["sql"] for each in captured.captured_queries]


def test_a_list_that_is_known_is_compared_with_as_few_statements_however_long(account: Account) -> None:
    short, long = orders(100, 2), orders(200, 40)
    for listing in (short, long):
        save_orders(account, listing, timezone.now())
    assert len(queries(account, short)) == len(queries(account, long)) == 2


def test_new_bookings_are_saved_with_as_few_statements_however_many(account: Account) -> None:
    few, many = (queries(account, listing) for listing in (orders(100, 2), orders(200, 40)))
    asked = [sum(sql.startswith(("SELECT", "UPDATE")) for sql in statements) for statements in (few, many)]
    assert asked == [6, 6]


def test_new_bookings_find_the_messages_that_came_before_them_and_no_others(account: Account) -> None:
    for number in ("491610", "491611", "491612"):
        make_sms(make_booking(account, number=number), f"to {number}")
    Sms.objects.update(booking=None, received_at=timezone.now() + timedelta(minutes=1))
    save_orders(account, orders(10, 2), timezone.now())
    found = dict(Booking.objects.filter(remote_id__in=(10, 11)).values_list("number", "newest_sms__text"))
    assert found == {"491610": "to 491610", "491611": "to 491611"}
    assert Sms.objects.get(booking=None).number == "491612"


def test_the_messages_of_new_bookings_are_looked_up_by_number(account: Account) -> None:
    (statement,) = (sql for sql in queries(account, orders(100, 40)) if 'FROM "dashboard_sms"' in sql)
    assert 'ORDER BY "dashboard_sms"."number" DESC' in statement
    if connection.vendor == "sqlite":  # whose planner takes an index for the order of the rows alone
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
            (step,) = (row[3] for row in cursor.fetchall())
        assert "sms_of_number (account_id=? AND number=?)" in step


def test_only_what_moved_in_a_booking_is_written(account: Account) -> None:
    listing = orders(100, 3)
    save_orders(account, listing, timezone.now())
    row = listing.rows[1]
    ended = replace(row, bookings=(replace(row.bookings[0], state="Ended"),))
    statements = queries(account, replace(listing, rows=(listing.rows[0], ended, listing.rows[2])))
    (update,) = (sql for sql in statements if sql.startswith("UPDATE"))
    assert set(re.findall(r'"(\w+)" = \(?CASE', update)) == {"state", "runs_until", "sms_wanted_at", "read_at"}
    assert dict(Booking.objects.values_list("remote_id", "state")) == {100: "Active", 101: "Ended", 102: "Active"}
