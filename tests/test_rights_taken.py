"""Whose right ends or was never there: pages at once, work that was asked for before, renewals of others' bookings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from dashboard.models import Account, Booking, BookingChange, Membership, Purchase, User
from dashboard.purchases import changing, intents, sending
from dashboard.sandbox import Sandbox

from .buying import make_buyer, open_shop, rental, sold, spends, wish
from .factories import make_booking, make_order, make_product, make_purchase, make_sms

WEEK = 7 * 1440
Take = Callable[[User], object]


def disable(person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)


def remove(person: User) -> None:
    Membership.objects.filter(user=person).delete()


def lower(person: User) -> None:
    Membership.objects.filter(user=person).update(role="viewer")


# Pages


@pytest.mark.parametrize(("take", "status"), [(disable, 302), (remove, 404), (lower, 403)])
def test_what_a_person_loses_is_gone_with_the_next_request(
    client: Client, operator: User, account: Account, take: Take, status: int
) -> None:
    booking = make_booking(account)
    product = make_product(account)
    client.force_login(operator)
    urls = (f"/bookings/{booking.pk}/cancel/", f"/bookings/{booking.pk}/notes/")
    assert [client.get(url).status_code for url in urls] == [200, 200]
    take(operator)
    for url in (*urls, f"/bookings/{booking.pk}/menu/"):
        assert client.get(url).status_code == status
    for url in (*urls, f"/catalog/{product.pk}/order/", f"/bookings/{booking.pk}/extend/"):
        assert client.post(url, {"note": "too late"}).status_code == status
    assert not BookingChange.objects.exists()
    assert not Purchase.objects.exists()


@pytest.mark.parametrize("take", [disable, remove])
def test_open_pages_get_no_data_any_more(client: Client, operator: User, account: Account, take: Take) -> None:
    booking = make_booking(account)
    make_sms(booking, "Your code is 482913")
    client.force_login(operator)
    panels = ("/panels/inbox/", "/panels/newest/", "/panels/bookings/", f"/panels/booking/{booking.pk}/")
    assert all("482" in client.get(url).content.decode() or "bookings" in url for url in panels)
    take(operator)
    for url in (*panels, "/inbox/?q=code", "/inbox/news/", "/inbox/export/"):
        content = client.get(url).content.decode()
        assert "482" not in content
        assert booking.number not in content
    assert client.get(panels[0], headers={"HX-Request": "true"}).status_code == (401 if take is disable else 200)


# Auto-renewal of one's own bookings


@pytest.fixture
def rented(account: Account) -> Booking:
    return make_booking(
        account, rental_type="RentalService", duration_minutes=WEEK, auto_renewal=False, order=make_order(account)
    )


def test_an_operator_does_not_switch_the_renewal_of_anothers_booking(
    client: Client, operator: User, rented: Booking
) -> None:
    client.force_login(operator)
    url = f"/bookings/{rented.pk}/renewal/"
    assert [client.get(url).status_code, client.post(url, {"on": "1"}).status_code] == [403, 403]
    for page in (f"/bookings/{rented.pk}/", f"/bookings/{rented.pk}/menu/"):
        content = client.get(page, headers={"HX-Request": "true"}).content.decode()
        assert "Who bought it or looks after it switches its renewal, and so do managers." in content
        assert url not in content
    with pytest.raises(intents.Declined, match="role"):
        changing.queue(operator, rented.account, "renewal_on", rented)
    assert not BookingChange.objects.exists()


@pytest.mark.parametrize("why", ["assigned", "bought", "manages"])
def test_who_bought_a_booking_looks_after_it_or_manages_switches_its_renewal(
    client: Client, operator: User, manager: User, rented: Booking, why: str
) -> None:
    person = manager if why == "manages" else operator
    if why == "assigned":
        Booking.objects.filter(pk=rented.pk).update(assignee=operator)
    elif why == "bought":
        make_purchase(rented.account, operator, status="confirmed", order=rented.order)
    client.force_login(person)
    url = f"/bookings/{rented.pk}/renewal/"
    assert f'href="{url}"' in client.get(f"/bookings/{rented.pk}/").content.decode()
    assert client.post(url, {"on": "1"}).status_code == 303
    assert BookingChange.objects.get().requested_by == person


# What was asked for before


@pytest.fixture(autouse=True)
def _quick_budget(settings: Any, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=4, size={"orders": 10, "bookings": 20, "sms": 20}, balance="500.00") as server:
        yield server


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("take", [disable, remove, lower])
def test_a_purchase_of_who_lost_the_right_is_cancelled_before_anything_is_read_or_sent(
    sandbox: Sandbox, take: Take
) -> None:
    shop = open_shop(sandbox)
    buyer = make_buyer(shop)
    purchase = intents.queue(wish(buyer, shop))
    calls = len(sandbox.calls)
    take(buyer)
    assert sending.send(purchase.pk) == "cancelled"
    assert len(sandbox.calls) == calls
    purchase.refresh_from_db()
    assert purchase.words == "Nothing was sent: who asked for it may not buy in this account any more."


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("take", [disable, remove, lower])
def test_a_right_taken_while_the_worker_looks_still_stops_the_call(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, take: Take
) -> None:
    shop = open_shop(sandbox)
    buyer = make_buyer(shop)
    purchase = intents.queue(wish(buyer, shop))
    before = sending.reach

    def reach(point: str) -> None:
        before(point)
        if point == "prepare:looked":
            take(buyer)

    monkeypatch.setattr(sending, "reach", reach)
    assert sending.send(purchase.pk) == "cancelled"
    assert spends(sandbox) == []
    assert sold(sandbox) == []


def renewal_asked(sandbox: Sandbox) -> tuple[BookingChange, User]:
    """A switch of the renewal that waits, asked for by who looks after the booking."""
    shop = open_shop(sandbox)
    buyer = make_buyer(shop)
    booking, _ = rental(shop, sandbox)
    Booking.objects.filter(pk=booking.pk).update(assignee=buyer)
    booking.refresh_from_db()
    return changing.queue(buyer, shop, "renewal_on", booking), buyer


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("take", [disable, remove, lower])
def test_a_change_of_who_lost_the_right_is_not_made(sandbox: Sandbox, take: Take) -> None:
    change, buyer = renewal_asked(sandbox)
    take(buyer)
    assert changing.apply(change.pk) == "refused"
    change.refresh_from_db()
    assert change.words == "buyer may not do this any more. Nothing was sent."
    assert not any(call["method"] == "PATCH" for call in sandbox.calls)


@pytest.mark.django_db(transaction=True)
def test_a_renewal_of_who_no_longer_looks_after_the_booking_is_not_switched(sandbox: Sandbox) -> None:
    change, _ = renewal_asked(sandbox)
    Booking.objects.update(assignee=None)
    assert changing.apply(change.pk) == "refused"
    assert not any(call["method"] == "PATCH" for call in sandbox.calls)
