"""How the provider writes what it knows: the documented shape, and the wild shapes that clients have met.

Which row is wild is decided by its id, so that a row looks the same each time it is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any
from zlib import crc32

from .records import PENDING, RENTAL_FULL, Booking, Order, Product, Sms
from .world import World

Row = dict[str, Any]

WILD = {
    "money-text": 'money as text: "30.00"',
    "null-service": 'service null instead of ""',
    "dates": "dates with 0 to 7 fractional digits",
    "no-zone": "dates without the Z (still UTC)",
    "order-bookings": "orderBookings instead of bookings in an order",
    "list-wrapped": "the order answered to a spending call stands in a list",
    "late-bookings": "a new order answers with no bookings; they turn up seconds later",
    "empty-400": "an empty list comes as HTTP 400 with text",
    "extra-fields": "unknown fields, among them autoRenewal",
    "unknown-states": "states and rental types that no document knows",
    "equal-rows": "the world's own messages come twice, equal in every field",
    "reordered": "messages of one second change places from answer to answer",
    "json-errors": 'errors as JSON {"message": …} instead of plain text',
    "html-type": "Content-Type text/html on JSON answers",
    "other-paths": "where the documents write a path in two ways, the call example's form answers 404",
    "raw-utf8": "text outside ASCII as UTF-8 instead of \\u escapes",
}
LATE_SECONDS = 3.0
UNKNOWN_STATES = ("Reserved", "WaitingForSim", "Überprüfung", "")
EMPTY_TEXTS = {"orders": "No Order found", "bookings": "No OrderBooking found", "sms": "No SMS found"}


class Shapes:
    """`wild` maps names of WILD to rates from 0 to 1; change it at any time with `set`."""

    def __init__(self, world: World, wild: dict[str, float] | None = None) -> None:
        self.world = world
        self.wild: dict[str, float] = {}
        self._rng = Random(f"{world.seed}/shapes")
        world.hide_new_bookings = lambda order_id: LATE_SECONDS if self.has("late-bookings", order_id) else 0.0
        self.set(wild or {})

    def set(self, wild: dict[str, float]) -> None:
        """Take these rates instead of the old ones; `all` stands for every name.

        Raises ValueError for an unknown one.
        """
        unknown = set(wild) - set(WILD) - {"all"}
        if unknown:
            raise ValueError(f"There is no wild shape {sorted(unknown)[0]!r}. There are: all, {', '.join(WILD)}.")
        everything = dict.fromkeys(WILD, wild["all"]) if "all" in wild else {}
        # Every call by its other path would hide the usual ones: asked for by name only.
        everything.pop("other-paths", None)
        self.wild = everything | {name: rate for name, rate in wild.items() if name != "all"}
        self.world.twins = self.wild.get("equal-rows", 0.0)

    def has(self, name: str, key: object) -> bool:
        """Whether the row or answer with this key is wild; the same for the same seed, name and key."""
        rate = self.wild.get(name, 0.0)
        return rate > 0 and crc32(f"{self.world.seed}/{name}/{key}".encode()) / 2**32 < rate

    # Fields ---------------------------------------------------------------------------------------

    def money(self, amount: Decimal, key: object) -> Decimal | str:
        """An amount in USD with two decimals, as number or as text."""
        return f"{amount:.2f}" if self.has("money-text", key) else amount.quantize(Decimal("0.01"))

    def instant(self, at: datetime, key: object) -> str:
        """A time in UTC: milliseconds without trailing zeros, or 0 to 7 digits."""
        digits = f"{at.microsecond // 1000:03d}".rstrip("0")
        if self.has("dates", key):
            noise = crc32(f"{key}/{at.timestamp()}".encode())
            digits = (f"{at.microsecond // 1000:03d}" + f"{noise % 10_000:04d}")[: noise // 7 % 8]
        text = f"{at:%Y-%m-%dT%H:%M:%S}" + (f".{digits}" if digits else "")
        return text if self.has("no-zone", key) else text + "Z"

    def service(self, row: Product | Booking) -> str | None:
        """The service; "" for a RentalFull, which is for every service."""
        return None if not row.service and self.has("null-service", row.id) else row.service

    # Rows -----------------------------------------------------------------------------------------

    def product(self, row: Product, *, providers: bool = False) -> Row:
        """A product (anosim-api.md #3, #4); `providers` adds who has how many free numbers."""
        shape: Row = {
            "id": row.id,
            "country": row.country,
            "rentalType": row.rental_type,
            "service": self.service(row),
            "durationInMinutes": row.minutes,
            "price": self.money(row.price, f"product {row.id}"),
        }
        if providers:
            free = [{"id": net.id, "name": net.name, "availableCount": net.available} for net in row.providers]
            total = sum(net.available for net in row.providers)
            shape["provider"] = [{"id": 0, "name": "Any", "availableCount": total}, *free]
        return self._extra(shape, f"product {row.id}", {"currency": "USD", "rentalTypeId": 1, "isPromoted": False})

    def booking(self, row: Booking, *, current: bool = False) -> Row:
        """A booking; `current` leaves out the two fields that #12 does not have."""
        key = f"booking {row.id}"
        shape: Row = {
            "id": row.id,
            "number": row.number,
            "country": row.country,
            "rentalType": row.rental_type,
            "service": self.service(row),
            "startDate": self.instant(row.starts_at, key),
            "endDate": self.instant(row.ends_at, key),
            "durationInMinutes": row.minutes,
        }
        if not current:
            shape["priceInUSD"] = self.money(row.price, key)
        shape["state"] = row.state
        if row.state != PENDING and self.has("unknown-states", key):
            shape["state"] = UNKNOWN_STATES[row.id % len(UNKNOWN_STATES)]
            if row.rental_type == RENTAL_FULL:
                shape["rentalType"] = "RentalVoice"
        if not current:
            shape["extentionForId"] = row.extends
        return self._extra(shape, key, {"autoRenewal": row.auto_renewal, "simCardId": row.id * 7, "tags": []})

    def order(self, row: Order) -> Row:
        """An order with its bookings (anosim-api.md #5)."""
        key = f"order {row.id}"
        bookings = [self.booking(booking) for booking in self.world.visible_bookings(row)]
        shape: Row = {
            "id": row.id,
            "date": self.instant(row.at, key),
            "priceInUSD": self.money(row.price, key),
            "orderBookings" if self.has("order-bookings", key) else "bookings": bookings,
        }
        return self._extra(shape, key, {"invoice": None, "user": {"id": 4711}})

    def sim_card(self, row: Booking) -> Row:
        """A card in use (anosim-api.md #8)."""
        key = f"booking {row.id}"
        shape: Row = {
            "number": row.number,
            "country": row.country,
            "rentalType": row.rental_type,
            "service": self.service(row),
            "inUseStart": self.instant(row.starts_at, key),
            "inUseEnd": self.instant(row.ends_at, key),
        }
        return self._extra(shape, key, {"simCardId": row.id * 7})

    def sms(self, row: Sms) -> Row:
        """A message (anosim-api.md #9). It has no id: two equal rows are two messages."""
        # Twins came in the same moment: what the key decides must not tell them apart.
        key = f"sms {row.booking}/{row.at.timestamp()}/{crc32(row.text.encode('utf-8', 'replace'))}"
        shape: Row = {
            "simCardNumber": row.number,
            "messageDate": self.instant(row.at, key),
            "messageSender": row.sender,
            "messageText": row.text,
        }
        return self._extra(shape, key, {"simCardId": row.booking * 7})

    def in_order(self, rows: list[Sms]) -> list[Sms]:
        """Messages as an answer lists them: newest first, within one second in any order if `reordered`."""
        if self._rng.random() >= self.wild.get("reordered", 0.0):
            return rows
        return sorted(rows, key=lambda row: (row.at.replace(microsecond=0), self._rng.random()), reverse=True)

    def _extra(self, shape: Row, key: str, fields: Row) -> Row:
        return shape | fields if self.has("extra-fields", key) else shape


def written(value: object, *, ascii_only: bool = True) -> str:
    """JSON text in which money keeps both decimals (`10.00`), which the json module cannot write."""
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    write: Callable[[object], str] = lambda inner: written(inner, ascii_only=ascii_only)  # noqa: E731
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{write(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)
