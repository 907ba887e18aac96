"""Buying over real HTTP: at most one call per purchase, and the truth about what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from dashboard.models import Account, Membership, Order, Product, Purchase
from dashboard.purchases import intents, sending, settling, sweeping
from dashboard.purchases.intents import Declined
from dashboard.sandbox import Sandbox

from .buying import LOST, left_unknown, let_time_pass, rental, settle_until_decided, sold, spends, wish
from .buying import buyer as buyer
from .buying import quick_budget as quick_budget
from .buying import shop as shop
from .provider import read

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_budget")]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=4, size={"orders": 20, "bookings": 45, "sms": 60}, balance="500.00") as server:
        yield server


def test_an_order_is_sent_once_and_its_numbers_are_there_at_once(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    purchase = intents.queue(wish(buyer, shop, amount=2, note="Support line"))
    assert sending.send(purchase.pk) == "confirmed"
    purchase.refresh_from_db()
    assert purchase.order is not None
    assert purchase.charged_usd == purchase.price_usd == Decimal(sold(sandbox)[0]["price"])
    bookings = purchase.order.bookings.all()
    assert [booking.note for booking in bookings] == ["Support line"] * 2
    assert len(spends(sandbox)) == len(sold(sandbox)) == 1
    assert sending.send(purchase.pk) == "confirmed"
    assert len(spends(sandbox)) == 1
    assert [step.new for step in purchase.steps.all()] == ["queued", "preparing", "sending", "confirmed"]


def test_the_same_form_is_one_purchase(shop: Account, buyer: Any) -> None:
    form = wish(buyer, shop)
    assert intents.queue(form).pk == intents.queue(form).pk
    assert Purchase.objects.count() == 1


@pytest.mark.parametrize(
    "fault",
    ["reset-after", "error-after", "html-after", "truncated-after", "empty-after", "throttle-after", "timeout-after"],
)
def test_bought_but_answered_badly_is_unknown_then_found_and_never_sent_again(
    sandbox: Sandbox, shop: Account, buyer: Any, fault: str
) -> None:
    sandbox.set_faults({fault: {"rate": 1, "only": "spends", "times": 1, "seconds": 5}})
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    assert settle_until_decided(purchase) == "confirmed"
    assert purchase.order is not None
    assert purchase.order.remote_id == sold(sandbox)[0]["order"]
    assert len(spends(sandbox)) == len(sold(sandbox)) == 1


@pytest.mark.parametrize("fault", ["reset-before", "error-before", "maintenance", "redirect", "timeout-before"])
def test_not_bought_and_answered_badly_is_unknown_until_it_is_certainly_absent(
    sandbox: Sandbox, shop: Account, buyer: Any, fault: str, settings: Any
) -> None:
    sandbox.set_faults({fault: {"rate": 1, "only": "spends", "times": 1, "seconds": 5}})
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    assert settling.settle(purchase.pk) == "unknown"
    let_time_pass(purchase)
    assert settle_until_decided(purchase) == "absent"
    assert len(spends(sandbox)) == 1
    assert sold(sandbox) == []


def test_a_refusal_is_told_in_the_providers_words_after_a_look(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    purchase = intents.queue(wish(buyer, shop))
    for provider in sandbox.world.products[purchase.product.remote_id].providers:
        provider.available = 0
    assert sending.send(purchase.pk) == "unknown"
    assert settle_until_decided(purchase) == "rejected"
    assert "Not enough numbers" in purchase.words
    assert sold(sandbox) == []


def test_a_dearer_price_is_not_paid(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    purchase = intents.queue(wish(buyer, shop))
    sandbox.world.products[purchase.product.remote_id].price += Decimal("0.01")
    assert sending.send(purchase.pk) == "rejected"
    purchase.refresh_from_db()
    assert "price has risen" in purchase.words
    assert spends(sandbox) == []


def test_one_purchase_in_flight_and_one_unsettled_of_a_kind(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    sandbox.set_faults(LOST)
    first, second = intents.queue(wish(buyer, shop)), intents.queue(wish(buyer, shop))
    other = Product.objects.filter(account=shop, rental_type="Activation", country="Poland").first()
    third = intents.queue(wish(buyer, shop, product=other))
    assert sending.send(first.pk) == "unknown"
    assert sending.send(second.pk) == "waits"
    assert sending.send(third.pk) == "confirmed"
    assert settle_until_decided(first) == "confirmed"
    assert sending.send(second.pk) == "confirmed"
    assert len(sold(sandbox)) == 3


def test_a_stop_switch_thrown_at_the_last_moment_still_stops_it(shop: Account, buyer: Any, sandbox: Sandbox) -> None:
    purchase = intents.queue(wish(buyer, shop))
    Account.objects.update(spending_stopped=True)
    assert sending.send(purchase.pk) == "rejected"
    assert spends(sandbox) == []


def test_caps_hold_and_say_what_is_left(shop: Account, buyer: Any) -> None:
    Account.objects.update(daily_cap_usd="3.00")
    form = wish(buyer, shop)
    intents.queue(form)
    Account.objects.update(daily_cap_usd=form.price + Decimal("1.00"))
    with pytest.raises(Declined, match=r"left of the daily cap of the account: \$1\.00"):
        intents.queue(wish(buyer, shop))
    assert Purchase.objects.all().sum() <= 3
    Account.objects.update(daily_cap_usd=None, order_cap_usd="1.00")
    with pytest.raises(Declined, match=r"cap of \$1\.00 for one purchase"):
        intents.queue(wish(buyer, shop))


@pytest.mark.parametrize(("amount", "field"), [(0, "amount"), (21, "amount")])
def test_an_odd_amount_is_declined_in_words(shop: Account, buyer: Any, amount: int, field: str) -> None:
    with pytest.raises(Declined) as told:
        intents.queue(wish(buyer, shop, amount=amount))
    assert told.value.field == field


def test_a_viewer_and_a_stranger_cannot_buy(shop: Account, buyer: Any, stranger: Any) -> None:
    Membership.objects.filter(user=buyer).update(role="viewer")
    for user in (buyer, stranger):
        with pytest.raises(Declined, match="role"):
            intents.queue(wish(user, shop))


def test_an_order_without_bookings_is_bought_and_its_numbers_follow(
    shop: Account, buyer: Any, sandbox: Sandbox
) -> None:
    sandbox.set_faults({}, wild={"late-bookings": 1.0, "order-bookings": 0.5, "list-wrapped": 0.5, "money-text": 0.5})
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "confirmed"
    purchase.refresh_from_db()
    assert purchase.order is not None
    sandbox.world.clock.advance(10)
    read(shop, "orders")
    assert purchase.order.bookings.count() == 1


def test_a_rental_is_extended_once_and_judged_by_the_order_that_names_it(
    sandbox: Sandbox, shop: Account, buyer: Any
) -> None:
    booking, product = rental(shop, sandbox)
    sandbox.set_faults(LOST)
    form = wish(buyer, shop, product=product, kind="extend", booking=booking, minutes=product.duration_minutes)
    purchase = intents.queue(form)
    assert sending.send(purchase.pk) == "unknown"
    assert settle_until_decided(purchase) == "confirmed"
    assert [row["kind"] for row in sold(sandbox)] == ["extend"]


def test_two_orders_that_fit_go_to_a_manager(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    purchase = left_unknown(sandbox, shop, buyer)
    sandbox.world.order(purchase.product.remote_id)
    assert settle_until_decided(purchase) == "needs_review"
    read(shop, "orders")
    order = Order.objects.get(remote_id=sold(sandbox)[0]["order"])
    assert settling.decide_by_hand(purchase, buyer, "It is the first one.", order)
    purchase.refresh_from_db()
    assert purchase.status == "confirmed"
    assert purchase.steps.last().by == buyer  # type: ignore[union-attr]


def test_what_was_unknown_in_a_backup_takes_no_order_that_may_have_been_bought_since(
    sandbox: Sandbox, shop: Account, buyer: Any
) -> None:
    sandbox.set_faults({"reset-before": {"rate": 1, "only": "spends", "times": 1}})
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    Purchase.objects.update(before=purchase.before | {settling.TAKEN_BACK: True})
    # Found absent after the backup was taken, and ordered again: the database of the backup knows nothing of that.
    sandbox.world.order(purchase.product.remote_id)
    assert settle_until_decided(purchase) == "needs_review"
    purchase.refresh_from_db()
    assert "after the backup was taken" in purchase.words


def test_a_dead_workers_purchase_becomes_unknown_and_is_found(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "confirmed"
    # As a worker leaves it that was killed after the call, before the answer was noted.
    Purchase.objects.update(status="sending", order=None, charged_usd=None, sender=purchase_sender_of_a_dead_process())
    assert list(sweeping.due()) == [("settle", purchase.pk)]
    assert list(sweeping.due()) == []
    assert settle_until_decided(purchase) == "confirmed"
    assert len(sold(sandbox)) == 1


def purchase_sender_of_a_dead_process() -> str:
    from dashboard.purchases import presence

    host, boot, _, _ = presence.me().split("|")
    return f"{host}|{boot}|999999|1"
