"""What the provider's lists say about a purchase: a look before sending, a look after, and what the two prove.

Plain data in, verdict out; no network and no database, so that every case can be tested as a table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ..anosim import Booking, Listing, Order

WINDOW = 100
EARLIER = timedelta(minutes=2)  # an order may be stamped so long before we sent, by a clock that goes otherwise
# What is stamped earlier still proves nothing, unless it is so old that no clock goes so wrong.
OLD = timedelta(hours=26)
# States of a booking whose money came back (anosim-api.md #14).
GIVEN_BACK = frozenset({"not used", "notused", "cancelled", "canceled", "refunded"})


@dataclass(frozen=True)
class Look:
    """The provider's lists at one moment. `orders` are the rows of GET /Orders, `booking` the one that is extended."""

    at: datetime
    orders: tuple[Order, ...]
    total: int
    balance: Decimal | None
    server_time: datetime | None = None
    booking: Booking | None = None
    unreadable: int = 0

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
            "given_back": [booking.id for booking in _given_back(self.orders)],
            "unreadable": self.unreadable,
        }


def look_of(listing: Listing[Order], at: datetime, balance: Decimal | None, booking: Booking | None = None) -> Look:
    return Look(at, listing.rows, listing.total, balance, listing.server_time, booking, listing.unreadable)


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
    """`found`: the orders that fit. `unclear`: may turn out to fit, once all their bookings are shown. `similar`:
    do not fit, but are too close to say that nothing was bought. `complete`: no order can have slipped through
    between the two looks. `whole`: every row of the answer could be read. `explained`: the balance is what it was,
    less the orders that are new, plus what came back. `moved_end`: the extended booking ends later."""

    found: tuple[Order, ...] = ()
    unclear: tuple[Order, ...] = ()
    similar: tuple[Order, ...] = ()
    complete: bool = False
    whole: bool = True
    explained: bool = False
    moved_end: bool = False
    new: tuple[int, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether the lists hold nothing at all that could be the purchase."""
        doubt = self.found or self.unclear or self.similar or self.moved_end
        return self.complete and self.whole and not doubt


def judge(sought: Sought, before: dict[str, Any], after: Look, taken: Collection[int]) -> Verdict:
    """Compare the look before sending (`before`, as kept by Look.as_json) with one after. `taken`: order ids that
    answer other purchases."""
    old = {int(pk) for pk in before.get("orders", {})}
    new = [order for order in after.orders if order.id not in old and order.id not in taken]
    earliest = sought.sent_at + _clock_difference(before, after) - EARLIER
    by_likeness: dict[str, list[Order]] = {"fits": [], "unclear": [], "similar": [], "": []}
    for order in new:
        by_likeness[_likeness_at(sought, order, earliest)].append(order)
    return Verdict(
        found=tuple(by_likeness["fits"]),
        unclear=tuple(by_likeness["unclear"]),
        similar=tuple(by_likeness["similar"]),
        complete=after.total < WINDOW or any(order.id in old for order in after.orders),
        whole=after.unreadable == 0,
        explained=_explained(before, after),
        moved_end=_moved_end(sought, before, after),
        new=tuple(order.id for order in new),
    )


def answers(sought: Sought, order: Order) -> bool:
    """Whether an order that came as the answer to the very call is what was asked for: product and amount fit, or,
    where its bookings follow later (wild fact 3), the sum does."""
    if not order.bookings:
        return order.price is not None and order.price <= sought.price
    return _likeness(sought, order) == "fits"


def _likeness_at(sought: Sought, order: Order, earliest: datetime) -> str:
    likeness = _likeness(sought, order)
    if order.ordered_at is None or order.ordered_at >= earliest:
        return likeness
    return "similar" if likeness and order.ordered_at >= earliest - OLD else ""


def _likeness(sought: Sought, order: Order) -> str:
    """ "fits", "unclear", "similar", or nothing for an order that certainly is another one."""
    bookings = order.bookings
    if not bookings:
        return "unclear"
    if sought.kind == "extend":
        mine = [booking for booking in bookings if booking.extends == sought.booking_id]
        other = any(booking.duration_minutes not in (None, sought.minutes) for booking in mine)
        return ("similar" if other else "fits") if mine else ""
    if any(booking.extends for booking in bookings):
        return ""
    if sought.kind == "reuse":
        alike = [booking.number == sought.number for booking in bookings]
    else:
        alike = [_same_product(sought, booking) for booking in bookings]
    if all(alike):
        if len(bookings) == sought.amount:
            return "fits"
        return "unclear" if len(bookings) < sought.amount else "similar"
    close = any(alike) or any(_is_close(sought, booking) for booking in bookings)
    return "similar" if close else ""


def _same_product(sought: Sought, booking: Booking) -> bool:
    """What a row leaves out is no difference (wild fact 4: `service` may be null), but all that is there must agree."""
    pairs = (
        (sought.country, booking.country),
        (sought.rental_type, booking.rental_type),
        (sought.service, booking.service),
        (sought.minutes, booking.duration_minutes),
    )
    said = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs not in (None, "")]
    return len(said) >= 2 and all(mine == theirs for mine, theirs in said)


def _is_close(sought: Sought, booking: Booking) -> bool:
    """Same country and service: the provider may have written length or type otherwise than in the catalogue."""
    if sought.kind == "reuse":
        return booking.number == sought.number
    return booking.country in ("", sought.country) and booking.service in ("", sought.service)


def _clock_difference(before: dict[str, Any], after: Look) -> timedelta:
    """The provider's clock less ours, as the Date headers told it; the lesser of both looks, as it may have jumped."""
    differences = []
    if before.get("server_time") and before.get("at"):
        differences.append(datetime.fromisoformat(before["server_time"]) - datetime.fromisoformat(before["at"]))
    if after.server_time is not None:
        differences.append(after.server_time - after.at)
    return min(differences, default=timedelta(0))


def _explained(before: dict[str, Any], after: Look) -> bool:
    """Whether the balance moved by just what came since: orders that are new, and bookings given back."""
    if not before.get("balance") or after.balance is None:
        return False
    old = {int(pk) for pk in before.get("orders", {})}
    known = set(before.get("given_back", ()))
    spent = _sum(order.price for order in after.orders if order.id not in old)
    back = _sum(booking.price for booking in _given_back(after.orders) if booking.id not in known)
    if spent is None or back is None:
        return False
    return Decimal(before["balance"]) - spent + back == after.balance


def _given_back(orders: Iterable[Order]) -> list[Booking]:
    return [each for order in orders for each in order.bookings if each.state.strip().lower() in GIVEN_BACK]


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
