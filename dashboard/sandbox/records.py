"""What the stand-in provider keeps: products, orders, bookings, messages.

Times are aware UTC, money is Decimal (USD).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

ACTIVATION = "Activation"
RENTAL_SERVICE = "RentalService"
RENTAL_FULL = "RentalFull"

ACTIVE = "Active"
PENDING = "Pending"
ENDED = "Ended"
NOT_USED = "Not Used"


class Refusal(Exception):
    """The provider says no; `text` are its words, `status` the HTTP status they come with."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@dataclass(slots=True)
class Provider:
    """A mobile network that still has `available` free numbers for one product."""

    id: int
    name: str
    available: int


@dataclass(slots=True)
class Product:
    """One line of the catalogue; `price` is for one booking of `minutes`."""

    id: int
    country: str
    rental_type: str
    service: str
    minutes: int
    price: Decimal
    providers: list[Provider]


@dataclass(slots=True)
class Order:
    """What was sold in one go. `origin` is history, api, elsewhere or renewal."""

    id: int
    at: datetime
    price: Decimal
    bookings: list[int]
    origin: str


@dataclass(slots=True)
class Booking:
    """One rented number.

    `visible_at`: lists hide it until then; `merge_at`: when an extension takes effect.
    """

    id: int
    order: int
    product: int
    number: str
    country: str
    rental_type: str
    service: str
    starts_at: datetime
    ends_at: datetime
    minutes: int
    price: Decimal
    state: str
    extends: int | None = None
    auto_renewal: bool = False
    visible_at: datetime | None = None
    merge_at: datetime | None = None
    sms_due_at: datetime | None = None
    sms: list[Sms] = field(default_factory=list)


@dataclass(slots=True)
class Sms:
    """One message that a number received. The id is ours alone: no call ever shows it."""

    id: int
    booking: int
    number: str
    sender: str
    text: str
    at: datetime


@dataclass(slots=True)
class Sale:
    """One line of the ledger: what was really sold, written before the answer goes out."""

    order: int
    product: int
    amount: int
    price: Decimal
    at: datetime
    call: str
    kind: str
    origin: str
    bookings: list[int]
