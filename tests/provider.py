"""Reading a sandbox to the end, and judging the database against what the sandbox ever showed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from dashboard.models import Account, Booking, Order, Sms, SyncState
from dashboard.sandbox import Sandbox
from dashboard.sync import runs, schedule

from .factories import make_account

KINDS = ("balance", "countries", "products", "orders", "bookings", "current_bookings", "sim_cards", "sms")


def account_at(sandbox: Sandbox, **fields: Any) -> Account:
    account = make_account(base_url=sandbox.url, api_key=sandbox.key, **fields)
    schedule.ensure_states()
    return account


def read(account: Account, kind: str) -> SyncState:
    """One claimed run of a kind; gives its row afterwards."""
    state = SyncState.objects.get(account=account, kind=kind)
    number = SyncState.objects.claim(state, timezone.now() + schedule.CLAIM)
    assert number is not None
    runs.run(state.pk, number)
    state.refresh_from_db()
    return state


def read_until_done(account: Account, tries: int = 12) -> None:
    """Read every kind until it succeeds, then the single bookings' lists until none is wanted."""
    for kind in KINDS:
        for _ in range(tries):
            if not read(account, kind).error:
                break
        else:
            raise AssertionError(f"{kind} was not read in {tries} tries")
    for _ in range(200):
        if not Booking.objects.filter(account=account).sms_wanted().exists():
            return
        read(account, "booking_sms")
    raise AssertionError("some bookings' lists were never read")


def differences(account: Account, sandbox: Sandbox) -> list[str]:
    """What the database lacks, has too much of or has otherwise than the sandbox ever showed."""
    shown = sandbox.shown()
    found: list[str] = []
    orders = dict(Order.objects.filter(account=account).values_list("remote_id", "price_usd"))
    wanted = {row["id"]: Decimal(str(row["priceInUSD"])) for row in shown["orders"]}
    found += [f"order {pk}: {orders.get(pk)} is not {price}" for pk, price in wanted.items() if orders.get(pk) != price]
    bookings = {row.remote_id: row for row in Booking.objects.filter(account=account)}
    for row in shown["bookings"]:
        stored = bookings.get(row["id"])
        if stored is None:
            found.append(f"booking {row['id']} is missing")
        elif "priceInUSD" in row and stored.price_usd != Decimal(str(row["priceInUSD"])):
            found.append(f"booking {row['id']}: {stored.price_usd} is not {row['priceInUSD']}")
    if len(bookings) > len(shown["bookings"]) or len(orders) > len(wanted):
        found.append("there are orders or bookings that were never shown")
    return found + _sms_differences(account, shown["sms"])


def _sms_differences(account: Account, shown: list[dict[str, Any]]) -> list[str]:
    wanted: Counter[tuple[str, str, str, str]] = Counter()
    for row in shown:
        at = datetime.fromisoformat(row["date"].replace("Z", "+00:00")).replace(microsecond=0)
        wanted[(row["number"], row["sender"], row["text"].replace("\x00", "␀"), at.isoformat()[:19])] += row["real"]
    have: Counter[tuple[str, str, str, str]] = Counter()
    for number, sender, text, at in Sms.objects.filter(account=account).values_list(
        "number", "sender", "text", "received_at"
    ):
        have[(number, sender, text, at.isoformat()[:19])] += 1
    lost, doubled = wanted - have, have - wanted
    return [f"lost {key[0]} {key[3]} ×{n}" for key, n in lost.items()] + [
        f"too many {key[0]} {key[3]} ×{n}" for key, n in doubled.items()
    ]
