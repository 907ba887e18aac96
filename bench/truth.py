"""The database against the sandbox: against all that exists there, and against what an answer ever showed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dashboard.sandbox import Sandbox

Key = tuple[str, str, str, str]


def key_of(number: str, sender: str, text: str, at: datetime) -> Key:
    """A message as both sides know it: to the second, NUL in the form that PostgreSQL can store."""
    return number, sender.replace("\x00", "␀"), text.replace("\x00", "␀"), at.isoformat()[:19]


def stored_sms() -> Counter[Key]:
    from dashboard.models import Sms

    rows = Sms.objects.values_list("number", "sender", "text", "received_at")
    return Counter(key_of(*row) for row in rows.iterator())


def existing_sms(*sandboxes: Sandbox) -> Counter[Key]:
    rows: list[Any] = []
    for sandbox in sandboxes:
        with sandbox.world.lock:
            rows += sandbox.world.sms
    return Counter(key_of(row.number, row.sender, row.text, row.at) for row in rows)


def shown_sms(*sandboxes: Sandbox) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for row in (row for sandbox in sandboxes for row in sandbox.shown()["sms"]):
        at = datetime.fromisoformat(row["date"].replace("Z", "+00:00"))
        found[key_of(row["number"], row["sender"], row["text"], at)] += row["real"]
    return found


def sms_differences(*sandboxes: Sandbox) -> dict[str, int]:
    """How many messages are lost and doubled, against what exists and against what was shown."""
    # The sandboxes are read first: what comes later cannot count as lost.
    shown, existing = shown_sms(*sandboxes), existing_sms(*sandboxes)
    stored = stored_sms()
    later = existing_sms(*sandboxes)
    return {
        "lost": (existing - stored).total(),
        "lost_of_shown": (shown - stored).total(),
        "doubled": (stored - later).total(),
    }


def other_differences(sandbox: Sandbox) -> list[str]:
    """What the database lacks or has otherwise in orders, bookings and prices, against all that exists."""
    from dashboard.models import Booking, Order

    with sandbox.world.lock:
        orders = {pk: row.price for pk, row in sandbox.world.orders.items()}
        bookings = {pk: (row.number, row.price, row.order) for pk, row in sandbox.world.bookings.items()}
    found = _unlike("order", orders, dict(Order.objects.values_list("remote_id", "price_usd")))
    stored = {
        row[0]: (row[1], row[2], row[3])
        for row in Booking.objects.values_list("remote_id", "number", "price_usd", "order__remote_id")
    }
    return found + _unlike("booking", bookings, stored)


def _unlike(what: str, wanted: dict[int, Any], stored: dict[int, Any]) -> list[str]:
    found = [f"{what} {pk} is {stored.get(pk)}, not {value}" for pk, value in wanted.items() if stored.get(pk) != value]
    return found + [f"{what} {pk} was never sold" for pk in stored if pk not in wanted]


def balance_is(sandbox: Sandbox) -> bool:
    from dashboard.models import Account

    stored: Decimal | None = Account.objects.values_list("balance_usd", flat=True).get()
    return stored == sandbox.world.balance
