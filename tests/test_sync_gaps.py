"""Bursts beyond the window of 100: filled from the bookings' own lists, or told; never passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from dashboard.models import Account, Booking, Sms, SmsGap
from dashboard.sandbox import Sandbox
from dashboard.sync import runs

from .provider import account_at, read, read_until_done

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(redis_url: str, settings: Any) -> Iterator[Sandbox]:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50
    with Sandbox(seed=31, size={"orders": 8, "bookings": 12, "sms": 20}) as running:
        running.world.clock.advance(-1800)  # so that it may go on and never be ahead of ours
        yield running


def order(sandbox: Sandbox) -> int:
    """A new rental from elsewhere; the number of its booking."""
    world = sandbox.world
    world.move_money(Decimal(50), "top-up")
    product = next(row for row in world.products.values() if row.rental_type == "RentalService" and row.price < 50)
    for network in product.providers:
        network.available = 10
    booking = world.order(product.id).bookings[0]
    world.settle()
    return booking


def flood(sandbox: Sandbox, booking: int, count: int) -> None:
    """So many messages, no two of them alike, half a second apart on a clock that goes on with them."""
    for number in range(count):
        sandbox.world.clock.advance(0.5)
        sandbox.world.receive_sms(booking, f"Flood {number} {len(sandbox.world.sms)}", "Flood")


def lost_spans(account: Account) -> list[SmsGap]:
    return list(SmsGap.objects.filter(account=account, lost=True))


def test_a_flood_in_the_first_minute_of_a_booking_is_told_as_lost(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    booking = order(sandbox)
    read(account, "bookings")
    flood(sandbox, booking, 150)
    read_until_done(account)
    kept = Sms.objects.filter(sender="Flood")
    missing = [row for row in sandbox.world.sms if row.sender == "Flood" and not kept.filter(text=row.text).exists()]
    assert len(missing) == 50
    [span] = lost_spans(account)
    assert span.from_at is not None
    assert all(span.from_at <= row.at <= span.to_at for row in missing)


def test_a_flood_on_a_booking_that_was_not_known_yet_is_filled_from_its_own_list(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    known = order(sandbox)
    read(account, "bookings")
    unknown = order(sandbox)
    flood(sandbox, unknown, 60)
    flood(sandbox, known, 90)
    read(account, "sms")
    while Booking.objects.filter(account=account).sms_wanted().exists():
        read(account, "booking_sms")
    assert Sms.objects.filter(sender="Flood").count() < 150
    assert not SmsGap.objects.open().exists()
    # Only now does it show up in the lists of bookings.
    read_until_done(account)
    assert Sms.objects.filter(sender="Flood").count() == 150
    assert lost_spans(account) == []


def test_a_flood_that_came_before_its_booking_was_known_is_told_also_while_a_later_one_is_filled(
    sandbox: Sandbox,
) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    known = [order(sandbox) for _ in range(3)]
    read(account, "bookings")
    unknown = order(sandbox)
    flood(sandbox, unknown, 150)
    read(account, "sms")
    while Booking.objects.filter(account=account).sms_wanted().exists():
        read(account, "booking_sms")
    for number in range(130):
        sandbox.world.receive_sms(known[number % 3], f"Later {number}", "Later")
    read(account, "sms")
    assert SmsGap.objects.open().exists()
    read_until_done(account)
    first_kept = min(row.received_at for row in Sms.objects.filter(sender="Flood"))
    assert any((span.from_at or span.to_at) < first_kept <= span.to_at for span in lost_spans(account))


def test_a_list_that_was_read_before_the_list_of_all_shows_the_gap_hides_no_loss(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    booking = order(sandbox)
    read(account, "bookings")
    mine = Booking.objects.filter(remote_id=booking)
    for count in (1, 150):
        flood(sandbox, booking, count)
        mine.update(sms_wanted_at=sandbox.world.now())
        read(account, "booking_sms")
    assert lost_spans(account) == []
    sandbox.world.clock.advance(5)
    read_until_done(account)
    assert len(lost_spans(account)) == 1


def test_a_flood_in_the_moment_in_which_its_booking_begins_is_told(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    booking = order(sandbox)
    at = sandbox.world.bookings[booking].starts_at
    for number in range(120):
        sandbox.world.receive_sms(booking, f"At once {number}", "Flood", at=at)
    read_until_done(account)
    assert Sms.objects.filter(sender="Flood").count() == 100
    assert len(lost_spans(account)) == 1


def test_a_full_list_is_no_loss_where_the_lists_of_all_have_shown_the_rest(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    booking, *others = [order(sandbox) for _ in range(4)]
    read(account, "bookings")
    for _ in range(3):
        flood(sandbox, booking, 60)
        read(account, "sms")
    Booking.objects.filter(remote_id=booking).update(sms_read_at=sandbox.world.bookings[booking].starts_at)
    for number in range(140):
        sandbox.world.receive_sms(others[number % 3], f"Later {number}", "Later")
    read_until_done(account)
    assert Sms.objects.filter(sender="Flood").count() == 180
    assert lost_spans(account) == []


def test_equal_messages_of_one_second_are_not_missed_where_the_window_cuts_through_it(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    numbers = [order(sandbox) for _ in range(3)]
    read(account, "bookings")
    at = sandbox.world.now().replace(microsecond=0)
    for turn in range(2):
        for number in range(60):
            moment = at + timedelta(milliseconds=400 * turn + number)
            sandbox.world.receive_sms(numbers[number % 3], "Your code is 482913.", "Twin", at=moment)
        read(account, "sms")
    read_until_done(account)
    assert Sms.objects.filter(sender="Twin").count() == 120


def test_a_clock_of_ours_that_is_ahead_hides_no_loss(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    booking = order(sandbox)
    read(account, "bookings")
    Booking.objects.filter(remote_id=booking).update(sms_wanted_at=sandbox.world.now() + timedelta(hours=1))
    read(account, "booking_sms")
    flood(sandbox, booking, 150)
    read_until_done(account)
    assert len(lost_spans(account)) == 1


def test_a_gap_after_each_gap_keeps_no_booking_waiting_for_ever(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    for _ in range(runs.BOOKINGS_A_RUN + 5):
        order(sandbox)
    read_until_done(account)
    running = Booking.objects.filter(account=account).running()
    assert runs.BOOKINGS_A_RUN < running.count() < 2 * runs.BOOKINGS_A_RUN
    before = len(sandbox.calls)
    for _ in range(2):
        sandbox.world.clock.advance(2)  # when a list was read is known to the second
        running.update(sms_wanted_at=timezone.now())
        read(account, "booking_sms")
    asked = {call["path"] for call in sandbox.calls[before:]}
    assert {f"/api/v1/Sms/{remote_id}" for remote_id in running.values_list("remote_id", flat=True)} <= asked
