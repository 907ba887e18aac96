"""Buying at a sandbox, for tests: the account with its catalogue read, who buys, what they wish, and what was sold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from dashboard.models import Account, Booking, Membership, Product, Purchase, User
from dashboard.purchases import intents, sending, settling, sweeping
from dashboard.purchases.intents import Wish
from dashboard.sandbox import Sandbox

from .factories import make_booking
from .provider import account_at, read

LOST = {"reset-after": {"rate": 1, "only": "spends", "times": 1}}  # one is sold, and the answer is lost
READ_FIRST = ("balance", "products", "orders", "bookings")
KLEINANZEIGEN = "Kleinanzeigen"


@pytest.fixture
def quick_budget(settings: Any, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50
    settings.PURCHASE_DEADLINE_SECONDS = 3
    settings.PURCHASE_SETTLE_SECONDS = 1


@pytest.fixture
def shop(sandbox: Sandbox) -> Account:
    return open_shop(sandbox)


@pytest.fixture
def buyer(shop: Account) -> User:
    return make_buyer(shop)


@contextmanager
def full_store(seed: int) -> Iterator[Sandbox]:
    """A sandbox where nothing is sold out."""
    with Sandbox(seed=seed, size={"orders": 10, "bookings": 25, "sms": 10}, balance="500.00") as server:
        for product in server.world.products.values():
            for provider in product.providers:
                provider.available = 500
        yield server


def open_shop(sandbox: Sandbox, **fields: Any) -> Account:
    """An account at the sandbox, with all that is known before somebody buys."""
    account = account_at(sandbox, **fields)
    for kind in READ_FIRST:
        read(account, kind)
    account.refresh_from_db()
    return account


def make_buyer(account: Account, name: str = "buyer") -> User:
    user = User.objects.create_user(name)
    Membership.objects.create(user=user, account=account, role="operator")
    return user


def product_of(account: Account, **fields: Any) -> Product:
    """By default the activation of WhatsApp in Germany."""
    values = {"rental_type": "Activation", "country": "Germany"} | fields
    if not any(name.startswith("service") for name in fields):
        values["service"] = "WhatsApp"
    return Product.objects.filter(account=account, **values).order_by("duration_minutes").first()  # type: ignore[return-value]


def wish(user: Any, account: Account, **fields: Any) -> Wish:
    """An order by default; with `booking` and `kind` an extension or a reuse. `price` is the catalogue's."""
    product = fields.pop("product", None) or product_of(account)
    values = {"price": product.price_usd * fields.get("amount", 1), "token": uuid4()} | fields
    return Wish(user=user, product=product, **values)


def wish_of_kind(kind: str, user: Any, account: Account, sandbox: Sandbox, **fields: Any) -> Wish:
    """A wish of the kind that the sandbox can fulfil; it is sold a rental or an old Activation for it."""
    if kind == "extend":
        booking, product = rental(account, sandbox)
        return wish(
            user, account, kind=kind, booking=booking, product=product, minutes=product.duration_minutes, **fields
        )
    if kind == "reuse":
        booking, product = ended_activation(account, sandbox)
        return wish(user, account, kind=kind, booking=booking, product=product, **fields)
    return wish(user, account, **fields)


def rental(account: Account, sandbox: Sandbox) -> tuple[Booking, Product]:
    """A running rental, bought elsewhere, and the product of its own length."""
    product = product_of(account, rental_type="RentalService", duration_minutes=1440)
    return _bought_elsewhere(account, sandbox, product), product


def ended_activation(account: Account, sandbox: Sandbox) -> tuple[Booking, Product]:
    """An ended Activation of Kleinanzeigen, bought elsewhere."""
    product = product_of(account, service__icontains=KLEINANZEIGEN)
    booking = _bought_elsewhere(account, sandbox, product)
    remote = sandbox.world.bookings[booking.remote_id]
    sandbox.world.receive_sms(remote.id, "It was used.")
    remote.ends_at = sandbox.world.now()
    sandbox.world.settle()
    return booking, product


def _bought_elsewhere(account: Account, sandbox: Sandbox, product: Product) -> Booking:
    for provider in sandbox.world.products[product.remote_id].providers:
        provider.available = 50
    order = sandbox.world.order(product.remote_id)
    remote = sandbox.world.bookings[order.bookings[0]]
    return make_booking(
        account,
        remote_id=remote.id,
        number=remote.number,
        country=remote.country,
        rental_type=remote.rental_type,
        service=remote.service,
        duration_minutes=remote.minutes,
        starts_at=remote.starts_at,
        ends_at=remote.ends_at,
        auto_renewal=False,
    )


def left_unknown(sandbox: Sandbox, account: Account, user: Any) -> Purchase:
    """An order that was sold, and whose answer was lost."""
    sandbox.set_faults(LOST)
    purchase = intents.queue(wish(user, account))
    assert sending.send(purchase.pk) == "unknown"
    return purchase


def spends(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [call for call in sandbox.calls if call["method"] == "POST"]


def sold(sandbox: Sandbox) -> list[dict[str, Any]]:
    """What was really sold through the API, by the sandbox's own books."""
    return [row for row in sandbox.ledger if row["origin"] == "api"]


def let_time_pass(*purchases: Purchase, seconds: float = 60) -> None:
    """As if so much time had gone by since they were sent."""
    for purchase in Purchase.objects.filter(pk__in=[each.pk for each in purchases]).exclude(sent_at=None):
        Purchase.objects.filter(pk=purchase.pk).update(sent_at=purchase.sent_at - timedelta(seconds=seconds))  # type: ignore[operator]


def settle_until_decided(purchase: Purchase, looks: int = 40, pause: float = 0.15) -> str:
    for _ in range(looks):
        purchase.refresh_from_db()
        if purchase.status != "unknown":
            return str(purchase.status)
        settling.settle(purchase.pk)
        time.sleep(pause)
    purchase.refresh_from_db()
    return str(purchase.status)


def work(seconds: float = 30) -> None:
    """What the worker does, until nothing is left that moves by itself."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for what, pk in list(sweeping.due()):
            (sending.send if what == "send" else settling.settle)(pk)
        if not Purchase.objects.filter(status__in=("queued", "preparing", "sending", "unknown")).exists():
            return
        # Only the waits are made short.
        Purchase.objects.filter(status__in=("queued", "unknown")).update(next_check_at=timezone.now())
        time.sleep(0.05)


def wrongs(account: Account, sandbox: Sandbox) -> list[str]:
    """Where the database says of a purchase what the sandbox's books do not, by who was sold what order."""
    found = []
    by_order = {row["order"]: row for row in sold(sandbox)}
    linked: dict[int, Purchase] = {}
    for purchase in Purchase.objects.filter(account=account).select_related("order"):
        remote = purchase.order.remote_id if purchase.order else None
        if (purchase.status == "confirmed") != (remote is not None):
            found.append(f"{purchase} is {purchase.status} with order {remote}")
        if remote is not None:
            if remote in linked:
                found.append(f"{purchase} and {linked[remote]} have the same order")
            linked[remote] = purchase
            row = by_order.get(remote)
            if row is None:
                found.append(f"{purchase} has order {remote}, which was not sold to us")
            elif str(purchase.charged_usd) != row["price"] or row["kind"] != purchase.kind:
                found.append(f"{purchase}: {purchase.kind} {purchase.charged_usd} is not {row['kind']} {row['price']}")
    return found
