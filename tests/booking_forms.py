"""The forms that do something with a booking, for tests: who opens them, the booking, and what is in them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Account, Booking, Product

from .factories import make_booking, make_order, make_product

HTMX = {"HX-Request": "true"}
WEEK = 7 * 1440


@pytest.fixture
def queue(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that takes everything, and nobody who works on it."""
    from anosim_dashboard.celery import app

    monkeypatch.setattr(app.conf, "broker_url", redis_url.replace("unix://", "redis+socket://", 1))
    monkeypatch.setattr(app.conf, "broker_write_url", None)


@pytest.fixture
def page(client: Client, operator: Any) -> Client:
    client.force_login(operator)
    return client


@pytest.fixture
def rental(account: Account, operator: Any) -> Booking:
    """A rental that the operator looks after."""
    Account.objects.filter(pk=account.pk).update(balance_usd=Decimal("100.00"))
    now = timezone.now()
    return make_booking(
        account,
        rental_type="RentalService",
        service="WhatsApp",
        starts_at=now - timedelta(days=1),
        ends_at=now + timedelta(days=6),
        duration_minutes=WEEK,
        price_usd=Decimal("5.00"),
        auto_renewal=False,
        order=make_order(account),
        assignee=operator,
    )


@pytest.fixture
def lengths(rental: Booking) -> list[Product]:
    """What the catalogue sells for the rental, and what it does not."""
    like = {"rental_type": "RentalService", "service": "WhatsApp"}
    make_product(rental.account, **like, country="Poland", duration_minutes=3 * WEEK)
    make_product(rental.account, **like, on_sale=False, duration_minutes=4 * WEEK)
    make_product(rental.account, rental_type="RentalService", service="Telegram", duration_minutes=5 * WEEK)
    make_product(rental.account, rental_type="RentalFull", service="WhatsApp", duration_minutes=6 * WEEK)
    long = make_product(rental.account, **like, duration_minutes=4 * WEEK, price_usd=Decimal("15.00"))
    short = make_product(rental.account, **like, duration_minutes=WEEK, price_usd=Decimal("5.00"))
    return [short, long]


@pytest.fixture
def activation(account: Account) -> Booking:
    return make_booking(account)


def words(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def form_of(response: Any) -> dict[str, str]:
    """The hidden fields of the first form that buys or changes."""
    content = response.content.decode().partition("<main")[2] or response.content.decode()
    fields = re.findall(r'<input type="hidden" name="(token|product|price|on)" value="([^"]*)"', content)
    found: dict[str, str] = {}
    for name, value in fields:
        found.setdefault(name, value)
    return found
