"""Extending a booking and using it again: what is offered at which price, and what a bent form buys: nothing."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Account, AuditEvent, Booking, Product, Purchase

from .booking_forms import HTMX, WEEK, form_of, words
from .booking_forms import activation as activation
from .booking_forms import lengths as lengths
from .booking_forms import page as page
from .booking_forms import queue as queue
from .booking_forms import rental as rental
from .factories import make_booking, make_product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]


# Extending


def test_the_lengths_of_the_catalogue_are_offered_with_price_and_balance_after(
    page: Client, rental: Booking, lengths: list[Product]
) -> None:
    response = page.get(f"/bookings/{rental.pk}/extend/")
    said = words(response)
    assert re.findall(r"Extend for \$[\d.]+", said) == ["Extend for $5.00", "Extend for $15.00"]
    assert "7 days" in said
    assert "28 days" in said
    assert "balance after: $95.00" in said
    assert "balance after: $85.00" in said
    assert re.findall(r'name="product" value="(\d+)"', response.content.decode()) == [str(p.pk) for p in lengths]


def test_an_extension_is_queued_once_and_leads_to_its_purchase(
    page: Client, rental: Booking, lengths: list[Product], operator: Any
) -> None:
    form = form_of(page.get(f"/bookings/{rental.pk}/extend/"))
    first, second = (page.post(f"/bookings/{rental.pk}/extend/", form) for _ in range(2))
    purchase = Purchase.objects.get()
    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == second.headers["Location"] == f"/purchases/{purchase.pk}/"
    assert (purchase.kind, purchase.booking, purchase.product) == ("extend", rental, lengths[0])
    assert (purchase.minutes, purchase.price_usd, purchase.requested_by) == (WEEK, Decimal("5.00"), operator)
    assert AuditEvent.objects.get().action == "purchase.asked"


def test_a_dialog_leads_on_by_htmx_and_keeps_the_form_when_declined(
    page: Client, rental: Booking, lengths: list[Product]
) -> None:
    url = f"/bookings/{rental.pk}/extend/"
    dialog = page.get(url, headers=HTMX)
    assert dialog.content.decode().lstrip().startswith("<dialog")
    form = form_of(dialog)
    Product.objects.filter(pk=lengths[0].pk).update(price_usd=Decimal("6.00"))
    declined = page.post(url, form, headers=HTMX)
    assert declined.status_code == 422
    assert "The price has changed: it is $6.00 now" in words(declined)
    assert "Extend for $6.00" in words(declined)
    again = form_of(declined)
    assert again["token"] == form["token"]
    bought = page.post(url, again, headers=HTMX)
    assert bought.headers["HX-Redirect"] == f"/purchases/{Purchase.objects.get().pk}/"


def test_a_rental_that_ended_in_another_tab_is_not_extended(
    page: Client, rental: Booking, lengths: list[Product]
) -> None:
    form = form_of(page.get(f"/bookings/{rental.pk}/extend/"))
    Booking.objects.update(state="Ended", runs_until=timezone.now())
    response = page.post(f"/bookings/{rental.pk}/extend/", form)
    assert response.status_code == 422
    assert "Nothing was done. The booking has ended." in words(response)
    assert not Purchase.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"product": ""},
        {"product": "99999999"},
        {"product": "x"},
        {"price": ""},
        {"price": "-5"},
        {"price": "NaN"},
        {"price": "4.99"},
        {"token": ""},
        {"token": "not-a-uuid"},
    ],
)
def test_a_bent_form_buys_nothing_and_says_so(
    page: Client, rental: Booking, lengths: list[Product], change: dict[str, str]
) -> None:
    form = form_of(page.get(f"/bookings/{rental.pk}/extend/")) | change
    response = page.post(f"/bookings/{rental.pk}/extend/", form)
    assert response.status_code == 422
    assert "Nothing was done." in words(response)
    assert not Purchase.objects.exists()


def test_another_countrys_product_cannot_be_slipped_in(page: Client, rental: Booking, lengths: list[Product]) -> None:
    other = Product.objects.get(country="Poland")
    form = form_of(page.get(f"/bookings/{rental.pk}/extend/"))
    bent = form | {"product": str(other.pk), "price": str(other.price_usd)}
    assert page.post(f"/bookings/{rental.pk}/extend/", bent).status_code == 422
    assert not Purchase.objects.exists()


def test_what_the_balance_or_a_stop_forbids_is_said_before_it_is_pressed(
    page: Client, rental: Booking, lengths: list[Product]
) -> None:
    Account.objects.filter(pk=rental.account_id).update(balance_usd=Decimal("7.00"))
    content = page.get(f"/bookings/{rental.pk}/extend/").content.decode()
    assert content.count(" disabled>Extend for") == 1
    Account.objects.filter(pk=rental.account_id).update(spending_stopped=True)
    content = page.get(f"/bookings/{rental.pk}/extend/").content.decode()
    assert content.count(" disabled>Extend for") == 2
    assert "Spending is stopped" in content


def test_a_catalogue_without_a_length_says_so(page: Client, rental: Booking) -> None:
    assert "sells no time for this" in words(page.get(f"/bookings/{rental.pk}/extend/"))


def test_an_extension_is_not_extended_itself(page: Client, rental: Booking, lengths: list[Product]) -> None:
    form = form_of(page.get(f"/bookings/{rental.pk}/extend/"))
    Booking.objects.filter(pk=rental.pk).update(extends=1)
    assert "extend the booking that it belongs to" in words(page.post(f"/bookings/{rental.pk}/extend/", form))
    assert "what renews is the booking" in words(page.post(f"/bookings/{rental.pk}/renewal/", {"on": "1"}))
    assert not Purchase.objects.exists()


# Using again


def test_an_activation_of_kleinanzeigen_is_used_again(page: Client, account: Account) -> None:
    booking = make_booking(account, service="Kleinanzeigen")
    product = make_product(account, service="Kleinanzeigen", price_usd=Decimal("0.90"))
    response = page.get(f"/bookings/{booking.pk}/reuse/")
    assert "Use again for $0.90" in words(response)
    assert page.post(f"/bookings/{booking.pk}/reuse/", form_of(response)).status_code == 303
    purchase = Purchase.objects.get()
    assert (purchase.kind, purchase.booking, purchase.product, purchase.amount) == ("reuse", booking, product, 1)


def test_other_services_are_not_used_again(page: Client, activation: Booking) -> None:
    product = make_product(activation.account)
    url = f"/bookings/{activation.pk}/reuse/"
    assert "only lets an Activation of Kleinanzeigen" in words(page.get(url))
    form = {"token": str(uuid4()), "product": str(product.pk), "price": "1.43"}
    assert page.post(url, form).status_code == 422
    assert not Purchase.objects.exists()
