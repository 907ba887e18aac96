"""Rows for the tests, each valid by itself; name only what the test is about."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from dashboard.models import Account, Booking, Order, Product, Purchase, Sms, SyncState, User

_serial = itertools.count(1)


def make_account(name: str = "", api_key: str = "test-key-0123456789abcdef", **fields: Any) -> Account:
    account = Account(name=name or f"Account {next(_serial)}", **fields)
    account.api_key = api_key
    account.save()
    return account


def make_product(account: Account, **fields: Any) -> Product:
    values: dict[str, Any] = {
        "remote_id": next(_serial),
        "country": "Germany",
        "rental_type": "Activation",
        "service": "WhatsApp",
        "duration_minutes": 20,
        "price_usd": Decimal("1.43"),
    }
    return Product.objects.create(account=account, **values | fields)


def make_order(account: Account, **fields: Any) -> Order:
    now = timezone.now()
    values: dict[str, Any] = {
        "remote_id": next(_serial),
        "ordered_at": now,
        "price_usd": Decimal("1.43"),
        "read_at": now,
    }
    return Order.objects.create(account=account, **values | fields)


def make_booking(account: Account, **fields: Any) -> Booking:
    now = timezone.now()
    serial = next(_serial)
    values: dict[str, Any] = {
        "remote_id": serial,
        "number": f"+4915234{serial:06d}",
        "country": "Germany",
        "rental_type": "Activation",
        "service": "WhatsApp",
        "starts_at": now - timedelta(minutes=5),
        "ends_at": now + timedelta(minutes=15),
        "duration_minutes": 20,
        "price_usd": Decimal("1.43"),
        "state": "Active",
        "read_at": now,
    }
    booking = Booking(account=account, **values | fields)
    if "runs_until" not in fields:
        booking.runs_until = booking.believed_end(now)
    booking.save()
    return booking


def make_purchase(account: Account, user: User, **fields: Any) -> Purchase:
    product = fields.pop("product", None) or make_product(account)
    values: dict[str, Any] = {
        "kind": "order",
        "status": "queued",
        "target": f"product {next(_serial)}",
        "price_usd": Decimal("1.43"),
    }
    return Purchase.objects.create(account=account, requested_by=user, product=product, **values | fields)


def make_sms(booking: Booking, text: str = "Your code is 482913", **fields: Any) -> Sms:
    serial = next(_serial)
    received_at: datetime = fields.pop("received_at", timezone.now())
    values: dict[str, Any] = {
        "number": booking.number,
        "sender": "Google",
        "code": "482913" if "482913" in text else "",
        "fingerprint": f"{serial:064x}",
        "ordinal": 1,
    }
    sms = Sms.objects.create(
        account=booking.account, booking=booking, text=text, received_at=received_at, **values | fields
    )
    if booking.newest_sms is None or booking.newest_sms.received_at <= received_at:
        booking.newest_sms = sms
    booking.sms_count += 1
    booking.save(update_fields=["newest_sms", "sms_count"])
    return sms


def make_sync_states(account: Account, **fields: Any) -> list[SyncState]:
    now = timezone.now()
    values: dict[str, Any] = {
        "last_success_at": now,
        "last_attempt_at": now,
        "due_at": now + timedelta(minutes=1),
    }
    return [SyncState.objects.create(account=account, kind=kind, **values | fields) for kind in SyncState.Kind.values]
