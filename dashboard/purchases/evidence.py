"""What the provider's lists say about a purchase: a look before sending, a look after, and what the two prove.

Plain data in, verdict out; no network and no database, so that every case can be tested as a table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ..anosim import Booking, Listing, Order

WINDOW = 100
EARLIER = timedelta(minutes=2)  # an order may be stamped so long before we sent, by a clock that goes otherwise


@dataclass(frozen=True)
class Look:
    """The provider's lists at one moment. `orders` are the rows of GET /Orders, `booking` the one that is extended."""

    at: datetime
    orders: tuple[Order, ...]
    total: int
    balance: Decimal | None
    server_time: datetime | None = None
    booking: Booking | None = None

    def as_json(self) -> dict[str, Any]:
        """What is kept with the purchase and shown to a manager: ids, times and amounts as text."""
        return {
            "at": self.at.isoformat(),
            "orders": {
                str(order.id): {
                    "at": order.ordered_at.isoformat() if order.ordered_at else "",
                    "price": "" if order.price is None else str(order.price),
                    "numbers": [booking.number for booking in order.bookings],
                    "what": sorted({f"{each.country} {each.rental_type} {each.service}" for each in order.bookings}),
                }
                for order in self.orders
            },
            "total": self.total,
            "balance": "" if self.balance is None else str(self.balance),
            "server_time": self.server_time.isoformat() if self.server_time else "",
            "ends_at": self.booking.ends_at.isoformat() if self.booking and self.booking.ends_at else "",
        }


def look_of(listing: Listing[Order], at: datetime, balance: Decimal | None, booking: Booking | None = None) -> Look:
    return Look(at, listing.rows, listing.total, balance, listing.server_time, booking)


@dataclass(frozen=True)
class Sought:
    """The call that was sent, as it would show up in the lists."""

    kind: str
    country: str
    rental_type: str
    service: str
    minutes: int | None
    amount: int
    price: Decimal
    sent_at: datetime
    booking_id: int | None = None
    number: str = ""


@dataclass(frozen=True)
class Verdict:
    """`found`: the orders that fit. `complete`: no order can have slipped through between the two looks.
    `explained`: the balance is what it was, less the orders that are new."""

    found: tuple[Order, ...] = ()
    complete: bool = False
    explained: bool = False
    moved_end: bool = False
    new: tuple[int, ...] = field(default=())


def judge(sought: Sought, before: dict[str, Any], after: Look, taken: Collection[int]) -> Verdict:
    """Compare the look before sending (`before`, as kept by Look.as_json) with one after. `taken`: order ids that
    answer other purchases."""
    old = {int(pk) for pk in before.get("orders", {})}
    complete = after.total < WINDOW or any(order.id in old for order in after.orders)
    new = [order for order in after.orders if order.id not in old and order.id not in taken]
    found = tuple(order for order in new if _fits(sought, order, _clock_difference(before)))
    return Verdict(
        found=found,
        complete=complete,
        explained=_explained(before, after),
        moved_end=_moved_end(sought, before, after),
        new=tuple(order.id for order in new),
    )


def _fits(sought: Sought, order: Order, difference: timedelta) -> bool:
    if order.ordered_at is not None and order.ordered_at < sought.sent_at + difference - EARLIER:
        return False
    if sought.kind == "extend":
        return any(booking.extends == sought.booking_id for booking in order.bookings)
    if any(booking.extends for booking in order.bookings):
        return False
    if not order.bookings:
        # Its bookings turn up later (wild fact 3): the sum is all there is to go by.
        return order.price is not None and order.price <= sought.price and sought.kind == "order"
    if len(order.bookings) != sought.amount:
        return False
    if sought.kind == "reuse":
        return all(booking.number == sought.number for booking in order.bookings)
    return all(_same_product(sought, booking) for booking in order.bookings)


def _same_product(sought: Sought, booking: Booking) -> bool:
    """What a row leaves out is no difference (wild fact 4: `service` may be null)."""
    pairs = (
        (sought.country, booking.country),
        (sought.rental_type, booking.rental_type),
        (sought.service, booking.service),
        (sought.minutes, booking.duration_minutes),
    )
    return all(mine == theirs or mine in (None, "") or theirs in (None, "") for mine, theirs in pairs)


def _clock_difference(before: dict[str, Any]) -> timedelta:
    """The provider's clock less ours, as the Date header of the first look told it."""
    if not before.get("server_time") or not before.get("at"):
        return timedelta(0)
    return datetime.fromisoformat(before["server_time"]) - datetime.fromisoformat(before["at"])


def _explained(before: dict[str, Any], after: Look) -> bool:
    """Whether the balance moved by just what the orders that came since cost: then nothing else was bought."""
    if not before.get("balance") or after.balance is None:
        return False
    old = {int(pk) for pk in before.get("orders", {})}
    spent = _sum(order.price for order in after.orders if order.id not in old)
    return spent is not None and Decimal(before["balance"]) - spent == after.balance


def _sum(prices: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for price in prices:
        if price is None:
            return None
        total += price
    return total


def _moved_end(sought: Sought, before: dict[str, Any], after: Look) -> bool:
    """Whether the extended booking's end moved by at least what was bought."""
    if sought.kind != "extend" or not before.get("ends_at") or after.booking is None or sought.minutes is None:
        return False
    if after.booking.ends_at is None:
        return False
    moved = after.booking.ends_at - datetime.fromisoformat(before["ends_at"])
    return moved >= timedelta(minutes=sought.minutes) - timedelta(minutes=1)
