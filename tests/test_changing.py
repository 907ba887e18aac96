"""Changes that cost nothing, over real HTTP: done, refused, not known; read back, and never half believed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from dashboard.anosim import Booking as Record
from dashboard.anosim import Listing
from dashboard.models import Account, Booking, BookingChange, Membership, Product, User
from dashboard.purchases import changing, intents, sending, sweeping
from dashboard.purchases.intents import Declined, Wish
from dashboard.sandbox import Sandbox, sales
from dashboard.sync.save_bookings import save_bookings
from dashboard.views.booking_actions import renewal_words

from .buying import make_buyer
from .buying import shop as shop
from .provider import read
from .sandbox_caller import product as free_product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_budget")]
BEFORE = ["reset-before", "error-before", "maintenance", "timeout-before"]
AFTER = ["reset-after", "error-after", "truncated-after", "empty-after", "html-after", "timeout-after"]


@pytest.fixture
def quick_budget(settings: Any, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50
    settings.PURCHASE_DEADLINE_SECONDS = 1.5


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=4, size={"orders": 20, "bookings": 45, "sms": 60}, balance="500.00") as server:
        yield server


@pytest.fixture
def person(shop: Account) -> User:
    return make_buyer(shop)


@pytest.fixture
def waiting(sandbox: Sandbox, shop: Account) -> Booking:
    """An Activation that was bought just now and heard nothing."""
    order = sandbox.world.order(free_product(sandbox, "Activation"))
    read(shop, "orders")
    return Booking.objects.get(account=shop, remote_id=order.bookings[0])


@pytest.fixture
def rental(sandbox: Sandbox, shop: Account, person: User) -> Booking:
    """A rental that was bought elsewhere, and that the person looks after."""
    order = sandbox.world.order(free_product(sandbox, "RentalService"))
    read(shop, "orders")
    Booking.objects.filter(account=shop, remote_id=order.bookings[0]).update(assignee=person)
    return Booking.objects.get(account=shop, remote_id=order.bookings[0])


def made(person: User, account: Account, kind: str, booking: Booking | None = None) -> BookingChange:
    change = changing.queue(person, account, kind, booking)
    changing.apply(change.pk)
    change.refresh_from_db()
    return change


def patches(sandbox: Sandbox) -> int:
    return sum(call["method"] == "PATCH" for call in sandbox.calls)


def test_a_cancellation_gives_the_money_back_and_says_so(
    sandbox: Sandbox, shop: Account, person: User, waiting: Booking
) -> None:
    balance = sandbox.world.balance
    change = made(person, shop, "cancel", waiting)
    assert (change.status, change.words) == ("done", f"Cancelled. ${waiting.price_usd} back.")
    assert sandbox.world.balance == balance + (waiting.price_usd or 0)
    waiting.refresh_from_db()
    assert waiting.is_closed
    assert waiting.runs_until <= timezone.now()
    assert changing.apply(change.pk) == "passed"
    assert patches(sandbox) == 1


def test_a_read_that_was_asked_before_does_not_bring_it_back(shop: Account, person: User, waiting: Booking) -> None:
    asked_at = timezone.now()
    made(person, shop, "cancel", waiting)
    names = ("number", "country", "rental_type", "service", "starts_at", "ends_at", "duration_minutes", "extends")
    known = {name: getattr(waiting, name) for name in names}
    record = Record(id=waiting.remote_id, price=waiting.price_usd, state="Active", auto_renewal=None, **known)
    save_bookings(shop, Listing((record,), 1, 0, "", None), asked_at)
    waiting.refresh_from_db()
    assert waiting.is_closed


def test_after_an_sms_that_we_have_not_seen_the_provider_refuses_in_its_words(
    sandbox: Sandbox, shop: Account, person: User, waiting: Booking
) -> None:
    sandbox.world.receive_sms(waiting.remote_id, "Your code is 482913", "Google")
    change = made(person, shop, "cancel", waiting)
    assert change.status == "refused"
    assert "already received an SMS" in change.words
    waiting.refresh_from_db()
    assert not waiting.is_closed


@pytest.mark.parametrize("fault", AFTER)
def test_cancelled_but_answered_badly_is_found_out_by_reading(
    sandbox: Sandbox, shop: Account, person: User, waiting: Booking, fault: str
) -> None:
    sandbox.set_faults({fault: {"rate": 1, "only": "changes", "times": 1, "seconds": 4}})
    change = made(person, shop, "cancel", waiting)
    assert (change.status, patches(sandbox)) == ("done", 1)


@pytest.mark.parametrize("fault", BEFORE)
def test_not_cancelled_and_answered_badly_is_tried_again(
    sandbox: Sandbox, shop: Account, person: User, waiting: Booking, fault: str
) -> None:
    sandbox.set_faults({fault: {"rate": 1, "only": "changes", "times": 1, "seconds": 4}})
    assert made(person, shop, "cancel", waiting).status == "done"
    assert patches(sandbox) == 2


def test_a_provider_that_is_away_leaves_it_unknown_and_nothing_is_invented(
    sandbox: Sandbox, shop: Account, person: User, waiting: Booking
) -> None:
    sandbox.set_faults({"reset-before": {"rate": 1, "only": "all"}})
    change = made(person, shop, "cancel", waiting)
    assert change.status == "unknown"
    assert "next reading shows it" in change.words
    waiting.refresh_from_db()
    assert not waiting.is_closed


def test_too_many_calls_are_not_made_more(sandbox: Sandbox, shop: Account, person: User, waiting: Booking) -> None:
    sandbox.set_faults({"throttle-before": {"rate": 1, "only": "changes"}})
    change = made(person, shop, "cancel", waiting)
    assert change.status == "refused"
    assert patches(sandbox) == 1
    assert change.words
    sandbox.set_faults({})


@pytest.mark.parametrize("shown", [0.0, 1.0])
def test_renewal_is_set_and_read_back_where_the_provider_shows_it(
    sandbox: Sandbox, shop: Account, person: User, rental: Booking, shown: float
) -> None:
    sandbox.set_faults({}, wild={"extra-fields": shown})
    for kind, on in (("renewal_on", True), ("renewal_off", False)):
        change = made(person, shop, kind, rental)
        assert (change.status, change.words) == ("done", f"Auto-renewal is {'on' if on else 'off'}.")
        rental.refresh_from_db()
        assert (rental.auto_renewal, rental.auto_renewal_set) == (on, on)
        assert sandbox.world.bookings[rental.remote_id].auto_renewal is on


def test_all_renewals_are_set_at_once(sandbox: Sandbox, shop: Account, rental: Booking) -> None:
    manager = User.objects.create_user("boss")
    Membership.objects.create(user=manager, account=shop, role="manager")
    change = made(manager, shop, "renewal_on")
    assert change.status == "done"
    assert change.words.startswith("Auto-renewal is on for ")
    rental.refresh_from_db()
    assert (rental.auto_renewal, rental.auto_renewal_set) == (True, True)


@pytest.mark.parametrize("fault", ["reset-after", "error-before"])
def test_renewal_is_set_again_when_the_answer_was_bad(
    sandbox: Sandbox, shop: Account, person: User, rental: Booking, fault: str
) -> None:
    sandbox.set_faults({fault: {"rate": 1, "only": "changes", "times": 1}})
    assert made(person, shop, "renewal_on", rental).status == "done"
    assert sandbox.world.bookings[rental.remote_id].auto_renewal is True


def test_what_cannot_be_changed_is_declined_before_any_call(
    sandbox: Sandbox, shop: Account, person: User, waiting: Booking, rental: Booking
) -> None:
    calls = len(sandbox.calls)
    Booking.objects.filter(pk=waiting.pk).update(assignee=person)
    waiting.refresh_from_db()
    viewer = User.objects.create_user("reader")
    Membership.objects.create(user=viewer, account=shop, role="viewer")
    for user, kind, booking, reason in (
        (viewer, "cancel", waiting, "role"),
        (person, "cancel", rental, "Only Activations"),
        (person, "renewal_on", waiting, "do not renew"),
    ):
        with pytest.raises(Declined, match=reason):
            changing.queue(user, shop, kind, booking)
    Booking.objects.filter(pk=waiting.pk).update(state="Ended")
    waiting.refresh_from_db()
    with pytest.raises(Declined, match="has ended"):
        changing.queue(person, shop, "cancel", waiting)
    assert len(sandbox.calls) == calls
    assert not BookingChange.objects.exists()


def test_a_change_whose_bell_was_lost_is_found(shop: Account, person: User, waiting: Booking) -> None:
    change = changing.queue(person, shop, "cancel", waiting)
    assert sweeping.due_changes() == []
    BookingChange.objects.update(status_at=timezone.now() - timedelta(seconds=5))
    assert sweeping.due_changes() == [change.pk]
    assert changing.apply(change.pk) == "done"
    assert sweeping.due_changes() == []


def test_an_extension_links_and_the_extended_booking_ends_later_after_the_next_reads(
    sandbox: Sandbox, shop: Account, person: User, rental: Booking
) -> None:
    product = Product.objects.like(rental).on_sale().last()
    assert product is not None
    assert product.price_usd is not None
    wish = Wish(
        user=person,
        product=product,
        price=product.price_usd,
        token=uuid4(),
        kind="extend",
        booking=rental,
        minutes=product.duration_minutes,
    )
    purchase = intents.queue(wish)
    assert sending.send(purchase.pk) == "confirmed"
    purchase.refresh_from_db()
    assert purchase.charged_usd == product.price_usd
    extension = Booking.objects.get(order=purchase.order)
    assert (extension.extends, extension.state) == (rental.remote_id, "Pending")
    end = rental.ends_at
    assert end is not None
    sandbox.world.clock.advance(120)
    read(shop, "current_bookings")
    read(shop, "bookings")
    rental.refresh_from_db()
    assert rental.ends_at == end + timedelta(minutes=product.duration_minutes or 0)
    assert rental.runs_until == rental.ends_at
    assert Decimal(sandbox.ledger[-1]["price"]) == product.price_usd


def test_a_renewal_that_is_switched_elsewhere_shows_with_the_next_read(
    sandbox: Sandbox, shop: Account, person: User, rental: Booking
) -> None:
    sandbox.set_faults({}, wild={"extra-fields": 1.0})
    made(person, shop, "renewal_on", rental)
    rental.refresh_from_db()
    assert renewal_words(rental) == "On"
    sandbox.world.bookings[rental.remote_id].auto_renewal = False
    read(shop, "current_bookings")
    rental.refresh_from_db()
    assert (rental.auto_renewal, rental.auto_renewal_set) == (False, True)
    assert renewal_words(rental) == "Off: changed elsewhere. Here it was switched on."


def test_a_change_that_the_provider_took_but_does_not_show_is_not_called_done(
    sandbox: Sandbox, shop: Account, person: User, rental: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.set_faults({}, wild={"extra-fields": 1.0})
    monkeypatch.setattr(sales, "set_auto_renewal", lambda world, enable, booking: 1)
    change = made(person, shop, "renewal_on", rental)
    assert change.status == "unknown"
    assert "shows the booking unchanged" in change.words
    rental.refresh_from_db()
    assert (rental.auto_renewal, rental.auto_renewal_set) == (False, True)
