"""What keeps a purchase from being sent, and what keeps a doubtful one from being called settled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from dashboard.models import Account, Booking, Membership, Order, Product, Purchase, User
from dashboard.purchases import booked, intents, sending, settling, sweeping
from dashboard.purchases.intents import Declined
from dashboard.sandbox import Sandbox

from .buying import (
    KLEINANZEIGEN,
    LOST,
    ended_activation,
    full_store,
    left_unknown,
    let_time_pass,
    product_of,
    rental,
    settle_until_decided,
    sold,
    spends,
    wish,
    work,
)
from .buying import buyer as buyer
from .buying import quick_budget as quick_budget
from .buying import shop as shop
from .factories import make_account, make_booking
from .provider import read

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_budget")]
NEVER = {"reset-before": {"rate": 1, "only": "spends", "times": 1}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with full_store(seed=8) as server:
        yield server


def status_of(purchase: Purchase) -> str:
    purchase.refresh_from_db()
    return str(purchase.status)


# Before sending


def test_while_the_provider_is_down_nothing_is_sent_and_after_ten_minutes_it_is_refused(
    sandbox: Sandbox, shop: Account, buyer: User
) -> None:
    purchase = intents.queue(wish(buyer, shop))
    calls = len(sandbox.calls)
    Account.objects.update(breaker_until=timezone.now())
    assert sending.send(purchase.pk) == "queued"
    Purchase.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    assert sending.send(purchase.pk) == "rejected"
    assert len(sandbox.calls) == calls


def test_what_was_asked_for_hours_ago_is_not_bought_by_surprise(sandbox: Sandbox, shop: Account, buyer: User) -> None:
    purchase = intents.queue(wish(buyer, shop))
    Purchase.objects.update(created_at=timezone.now() - timedelta(hours=2))
    assert sending.send(purchase.pk) == "cancelled"
    assert "more than an hour" in Purchase.objects.get().words
    assert spends(sandbox) == []


def test_for_a_paused_account_nothing_is_read_sent_or_settled(sandbox: Sandbox, shop: Account, buyer: User) -> None:
    sandbox.set_faults(LOST)
    first, second = intents.queue(wish(buyer, shop)), intents.queue(wish(buyer, shop, product=other(shop)))
    assert sending.send(first.pk) == "unknown"
    Account.objects.update(enabled=False)
    calls = len(sandbox.calls)
    assert settling.settle(first.pk) == "paused"
    assert list(sweeping.due()) == []
    assert sending.send(second.pk) == "rejected"
    assert len(sandbox.calls) == calls
    Account.objects.update(enabled=True)
    assert list(sweeping.due()) == [("settle", first.pk)]


def other(account: Account) -> Product:
    return product_of(account, country="Poland")


def test_who_lost_the_right_meanwhile_buys_nothing(sandbox: Sandbox, shop: Account, buyer: User) -> None:
    purchase = intents.queue(wish(buyer, shop))
    Membership.objects.filter(user=buyer).update(role="viewer")
    calls = len(sandbox.calls)
    assert sending.send(purchase.pk) == "cancelled"
    purchase.refresh_from_db()
    assert "may not buy in this account any more" in purchase.words
    assert len(sandbox.calls) == calls


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"booking": None}, "not one of this account"),
        ({"amount": 2}, "at a time"),
        ({"minutes": 5}, "does not sell this length"),
        ({"minutes": None}, "does not sell this length"),
        ({"product": "another"}, "not the one of the booking"),
        ({"booking": "foreign"}, "not one of this account"),
    ],
)
def test_an_extension_that_does_not_fit_its_booking_is_declined(
    sandbox: Sandbox, shop: Account, buyer: User, change: dict[str, Any], said: str
) -> None:
    booking, product = rental(shop, sandbox)
    fields = {"kind": "extend", "booking": booking, "product": product, "minutes": product.duration_minutes} | change
    if fields["product"] == "another":
        fields["product"] = product_of(shop, rental_type="RentalService", service="Telegram")
    if fields["booking"] == "foreign":
        fields["booking"] = make_booking(make_account(), rental_type="RentalService")
    with pytest.raises(Declined, match=said):
        intents.queue(wish(buyer, shop, **fields))


def test_a_cap_counts_what_was_really_charged(shop: Account, buyer: User) -> None:
    purchase = intents.queue(wish(buyer, shop))
    Purchase.objects.filter(pk=purchase.pk).update(charged_usd=Decimal("50.00"))
    assert Purchase.objects.all().counted().sum() == Decimal("50.00")


# What a list may not be taken for


def test_a_reuse_and_an_order_of_the_same_product_are_not_unsettled_together(
    sandbox: Sandbox, shop: Account, buyer: User
) -> None:
    booking, product = ended_activation(shop, sandbox)
    assert KLEINANZEIGEN in product.service
    sandbox.set_faults(LOST)
    reuse = intents.queue(wish(buyer, shop, product=product, kind="reuse", booking=booking))
    order = intents.queue(wish(buyer, shop, product=product))
    assert sending.send(reuse.pk) == "unknown"
    assert sending.send(order.pk) == "waits"
    assert settle_until_decided(reuse) == "confirmed"


def test_an_order_whose_numbers_are_not_shown_yet_is_not_taken_for_ours(
    sandbox: Sandbox, shop: Account, buyer: User
) -> None:
    sandbox.set_faults(NEVER)
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    cheap = sandbox.world.order(other(shop).remote_id)
    booking = sandbox.world.bookings[cheap.bookings[0]]
    booking.visible_at = sandbox.world.now() + timedelta(hours=1)
    assert settling.settle(purchase.pk) == "unknown"
    booking.visible_at = None
    let_time_pass(purchase)
    assert settle_until_decided(purchase) == "absent"


def test_an_order_that_looks_almost_like_ours_keeps_it_from_being_called_absent(
    sandbox: Sandbox, shop: Account, buyer: User
) -> None:
    purchase = left_unknown(sandbox, shop, buyer)
    sandbox.world.bookings[sandbox.world.orders[sold(sandbox)[0]["order"]].bookings[0]].minutes = 15
    let_time_pass(purchase)
    assert settle_until_decided(purchase) == "needs_review"
    assert "not quite" in purchase.words


def test_other_bookings_that_are_given_back_do_not_hide_that_nothing_was_bought(
    sandbox: Sandbox, shop: Account, buyer: User
) -> None:
    before = sandbox.world.order(other(shop).remote_id)
    sandbox.set_faults(NEVER)
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    sandbox.world.close(sandbox.world.bookings[before.bookings[0]], "Not Used")
    let_time_pass(purchase)
    assert settle_until_decided(purchase) == "absent"


def test_several_hosts_that_look_in_turn_find_that_nothing_was_bought(
    sandbox: Sandbox, shop: Account, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.set_faults(NEVER)
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    let_time_pass(purchase)
    seconds = {"web-1": 100.0, "worker-1": 90_000.0, "worker-2": 5.0}  # since each of them was started
    looked: list[str] = []
    for host in ("worker-1", "worker-2", "web-1") * 4:
        monkeypatch.setattr(settling.presence, "boot", lambda host=host: host)
        monkeypatch.setattr(settling.presence, "boot_seconds", lambda now=seconds[host]: now)
        looked.append(settling.settle(purchase.pk))
        seconds = {name: since + 0.3 for name, since in seconds.items()}
        if looked[-1] != "unknown":
            break
    assert looked[-1] == "absent"
    assert len(looked) > 3, "each of them has to see for itself that time goes by"


def test_a_balance_that_does_not_add_up_goes_to_a_manager(sandbox: Sandbox, shop: Account, buyer: User) -> None:
    sandbox.set_faults(NEVER)
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    sandbox.world.move_money(Decimal("-1.79"), "nobody knows")
    let_time_pass(purchase)
    assert settle_until_decided(purchase) == "needs_review"
    assert "balance does not add up" in purchase.words


def test_more_orders_than_the_list_holds_go_to_a_manager(sandbox: Sandbox, shop: Account, buyer: User) -> None:
    sandbox.set_faults(NEVER)
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    cheap = product_of(shop, service="Microsoft", country="Kenya")
    for _ in range(110):
        sandbox.world.order(cheap.remote_id)
    assert settling.settle(purchase.pk) == "needs_review"


def test_where_others_buy_the_same_an_order_that_fits_goes_to_a_manager(
    sandbox: Sandbox, shop: Account, buyer: User
) -> None:
    sandbox.world.order(product_of(shop).remote_id)
    read(shop, "orders")
    purchase = left_unknown(sandbox, shop, buyer)
    assert settle_until_decided(purchase) == "needs_review"
    with pytest.raises(ValueError, match="another account"):
        settling.decide_by_hand(purchase, buyer, "That one.", Order(account=make_account()))
    assert settling.decide_by_hand(purchase, buyer, "Asked the provider: it was not.", None)
    assert not settling.decide_by_hand(purchase, buyer, "Once more.", None)


def test_an_extension_that_a_renewal_may_have_been_goes_to_a_manager(
    sandbox: Sandbox, shop: Account, buyer: User
) -> None:
    booking, product = rental(shop, sandbox)
    Booking.objects.filter(pk=booking.pk).update(auto_renewal=True)
    sandbox.world.bookings[booking.remote_id].ends_at = sandbox.world.now() + timedelta(minutes=5)
    sandbox.set_faults(LOST)
    fields = {"kind": "extend", "booking": booking, "minutes": product.duration_minutes}
    purchase = intents.queue(wish(buyer, shop, product=product, **fields))
    assert sending.send(purchase.pk) == "unknown"
    assert settle_until_decided(purchase) == "needs_review"


def test_nobody_decides_while_the_call_may_still_be_under_way(sandbox: Sandbox, shop: Account, buyer: User) -> None:
    purchase = left_unknown(sandbox, shop, buyer)
    with pytest.raises(ValueError, match="under way"):
        settling.decide_by_hand(Purchase.objects.get(pk=purchase.pk), buyer, "It was not.", None)


# What goes wrong on our side


def test_an_order_that_we_cannot_store_is_not_lost(
    sandbox: Sandbox, shop: Account, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: booked.Filing) -> None:
        raise RuntimeError("a fault of ours")

    purchase = intents.queue(wish(buyer, shop))
    with monkeypatch.context() as patched:
        patched.setattr(booked.Filing, "save", broken)
        assert sending.send(purchase.pk) == "unknown"
        with pytest.raises(RuntimeError):
            settling.settle(purchase.pk)
    purchase.refresh_from_db()
    assert purchase.next_check_at is not None
    assert purchase.next_check_at > timezone.now()
    assert purchase.checks == 1
    work()
    assert status_of(purchase) == "confirmed"
    assert len(spends(sandbox)) == 1


def test_a_provider_that_cannot_be_read_keeps_it_unknown_and_says_why(
    sandbox: Sandbox, shop: Account, buyer: User
) -> None:
    purchase = left_unknown(sandbox, shop, buyer)
    sandbox.go_down()
    assert settling.settle(purchase.pk) == "unknown"
    assert "refuses connections" in Purchase.objects.get().after["trouble"]
    sandbox.come_back()
    assert settle_until_decided(purchase) == "confirmed"


def test_numbers_that_follow_later_get_the_purpose_and_the_buyer(sandbox: Sandbox, shop: Account, buyer: User) -> None:
    sandbox.set_faults({}, wild={"late-bookings": 1.0})
    purchase = intents.queue(wish(buyer, shop, note="Support line"))
    assert sending.send(purchase.pk) == "confirmed"
    sandbox.world.clock.advance(10)
    read(shop, "bookings")
    read(shop, "orders")
    booking = Booking.objects.get(order__purchases=purchase)
    assert (booking.note, booking.assignee) == ("Support line", buyer)
    Booking.objects.update(note="", assignee=None)
    read(shop, "orders")
    booking.refresh_from_db()
    assert (booking.note, booking.assignee) == ("", None)
