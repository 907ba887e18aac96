"""The provider's books: catalogue, orders, bookings, messages, balance; what time changes, what is read.

Everything happens under one lock, so that each sale is atomic. Windows show the newest WINDOW rows
(anosim-api.md #6, #9, #11).
"""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from random import Random

from . import catalogue, phone_numbers, sales
from .clock import Clock
from .ledger import Ledger
from .records import ACTIVATION, ACTIVE, ENDED, NOT_USED, PENDING, Booking, Order, Product, Refusal, Sms

WINDOW = 100
CURRENT_FOR = timedelta(hours=12)
NO_BOOKING = "No OrderBooking found"


class World:
    """All state of the stand-in.

    `keep` bounds what is remembered (None: everything, as a checker wants it).
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        quiet: bool = True,
        balance: Decimal = Decimal("0.00"),
        start: datetime | None = None,
        ledger: Ledger | None = None,
        keep: int | None = None,
    ) -> None:
        self.seed = seed
        self.quiet = quiet
        self.keep = keep
        self.lock = threading.RLock()
        self.clock = Clock(start)
        self.ledger = ledger or Ledger(keep=keep)
        self.rng = Random(f"{seed}/world")
        self.products = catalogue.build(Random(f"{seed}/catalogue"))
        self.balance = Decimal("0.00")
        self.orders: dict[int, Order] = {}
        self.bookings: dict[int, Booking] = {}
        self.sms: list[Sms] = []
        self.open: set[int] = set()
        self.numbers: set[str] = set()
        self.last_order_id, self.last_booking_id, self.last_sms_id = 48_210, 91_500, 0
        self.merge_after = 4.0
        self.hide_new_bookings: Callable[[int], float] = lambda order_id: 0.0
        self.twins = 0.0
        self.saved_changes = self.changes = 0
        self.sold_by_call = 0
        self._later: list[tuple[datetime, Callable[[], None]]] = []
        self.move_money(balance, "opening balance")

    # What moves by itself -------------------------------------------------------------------------

    def now(self) -> datetime:
        """The provider's time, aware UTC."""
        return self.clock.now()

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do `act` when `seconds` of the provider's time have gone by (a sale that is committed late)."""
        with self.lock:
            self._later.append((self.now() + timedelta(seconds=seconds), act))

    def settle(self) -> None:
        """Do all that has fallen due: begin, end, merge, renew, refund.

        Called before each answer and by the life.
        """
        with self.lock:
            now = self.now()
            due = [act for at, act in self._later if at <= now]
            self._later = [entry for entry in self._later if entry[0] > now]
            for act in due:
                act()
            for booking_id in list(self.open):
                self._settle_booking(self.bookings[booking_id], now)
            self._forget()

    def _settle_booking(self, booking: Booking, now: datetime) -> None:
        if booking.extends is not None:
            if booking.merge_at is not None and now >= booking.merge_at:
                sales.merge(self, booking)
        elif booking.state == PENDING:
            if now >= booking.starts_at:
                booking.state = ACTIVE
                self.changes += 1
        elif now >= booking.ends_at and not sales.renew(self, booking):
            self.close(booking, NOT_USED if booking.rental_type == ACTIVATION and not booking.sms else ENDED)

    def close(self, booking: Booking, state: str) -> None:
        """End a booking now; "Not Used" gives the money back."""
        booking.state = state
        booking.merge_at = booking.sms_due_at = None
        self.open.discard(booking.id)
        self.changes += 1
        if state == NOT_USED:
            self.move_money(booking.price, f"refund of booking {booking.id}")

    def move_money(self, amount: Decimal, why: str) -> None:
        """Change the balance by `amount` USD."""
        with self.lock:
            self.balance += amount
            self.ledger.moved(self.now(), amount, why)
            self.changes += 1

    def _forget(self) -> None:
        """A world that lives for weeks remembers the newest rows only; running bookings always stay."""
        if self.keep is None:
            return
        if len(self.sms) > self.keep * 1.1:
            gone = self.sms[: len(self.sms) - self.keep]
            del self.sms[: len(gone)]
            ids = {row.id for row in gone}
            for booking in {row.booking: self.bookings.get(row.booking) for row in gone}.values():
                if booking is not None:
                    # One stays: a booking that has heard anything cannot be cancelled.
                    booking.sms = [row for row in booking.sms if row.id not in ids] or booking.sms[-1:]
        if len(self.bookings) > self.keep * 1.1:
            for booking_id in list(islice(self.bookings, len(self.bookings) - self.keep)):
                if booking_id not in self.open:
                    del self.bookings[booking_id]
            for order_id in [key for key, order in self.orders.items() if order.bookings[-1] not in self.bookings]:
                del self.orders[order_id]

    # What may be read: the contract's lists, newest first -----------------------------------------

    def last_orders(self) -> list[Order]:
        """The newest orders, at most WINDOW (anosim-api.md #6)."""
        return list(islice(reversed(self.orders.values()), WINDOW))

    def find_order(self, order_id: int) -> Order:
        """One order (anosim-api.md #7); raises Refusal if there is none."""
        if order_id not in self.orders:
            raise Refusal("No Order found")
        return self.orders[order_id]

    def visible_bookings(self, order: Order) -> list[Booking]:
        """The bookings of an order that lists show already."""
        rows = [self.bookings[key] for key in order.bookings if key in self.bookings]
        return [row for row in rows if self.is_visible(row)]

    def is_visible(self, booking: Booking) -> bool:
        """False while a new booking has not turned up yet (anosim-api.md, wild fact 3)."""
        return booking.visible_at is None or booking.visible_at <= self.now()

    def last_bookings(self) -> list[Booking]:
        """The newest bookings, at most WINDOW (anosim-api.md #11)."""
        return list(islice(filter(self.is_visible, reversed(self.bookings.values())), WINDOW))

    def current_bookings(self) -> list[Booking]:
        """All that run, wait to begin, or ended within twelve hours (anosim-api.md #12)."""
        since = self.now() - CURRENT_FOR
        return [
            row
            for row in reversed(self.bookings.values())
            if (row.id in self.open or row.ends_at >= since) and self.is_visible(row)
        ]

    def running(self) -> list[Booking]:
        """Bookings that can receive messages now, oldest first."""
        rows = [self.bookings[key] for key in sorted(self.open)]
        return [row for row in rows if row.state == ACTIVE]

    def find_booking(self, booking_id: int) -> Booking:
        """One booking (anosim-api.md #13); raises Refusal if there is none, or none yet."""
        booking = self.bookings.get(booking_id)
        if booking is None or not self.is_visible(booking):
            raise Refusal(NO_BOOKING)
        return booking

    def find_product(self, product_id: int) -> Product:
        """One product (anosim-api.md #4); raises Refusal if there is none."""
        if product_id not in self.products:
            raise Refusal("No Product found")
        return self.products[product_id]

    def last_sms(self) -> list[Sms]:
        """The newest messages, at most WINDOW (anosim-api.md #9)."""
        return self.sms[: -WINDOW - 1 : -1]

    def booking_sms(self, booking_id: int) -> list[Sms]:
        """The newest messages of one booking, at most WINDOW (anosim-api.md #10)."""
        return self.find_booking(booking_id).sms[: -WINDOW - 1 : -1]

    # What happens at the provider -----------------------------------------------------------------

    def order(
        self,
        product_id: int,
        amount: int = 1,
        provider_id: int = 0,
        *,
        origin: str = "elsewhere",
        call: str = "elsewhere",
    ) -> Order:
        """Sell `amount` bookings (anosim-api.md #5), by default from elsewhere; raises Refusal."""
        with self.lock:
            return sales.place(self, product_id, amount, provider_id, origin=origin, call=call)

    def receive_sms(
        self,
        booking_id: int,
        text: str,
        sender: str = "Service",
        *,
        times: int = 1,
        at: datetime | None = None,
    ) -> list[Sms]:
        """A number receives a message, or `times` equal ones; `at` (aware) may be past: a late row."""
        with self.lock:
            booking = self.bookings[booking_id]
            # Stamps have whole milliseconds, or fewer digits, as the contract's examples do.
            stamp = (at or self.now()).astimezone(UTC)
            stamp = stamp.replace(microsecond=stamp.microsecond // 1000 * 1000)
            received = []
            for _ in range(times):
                self.last_sms_id += 1
                row = Sms(self.last_sms_id, booking_id, booking.number, sender, text, stamp)
                insort(self.sms, row, key=_by_time)
                insort(booking.sms, row, key=_by_time)
                received.append(row)
            self.changes += 1
            return received

    def free_number(self, country: str) -> str:
        """A number that no booking has had yet."""
        while (number := phone_numbers.mobile(country, self.rng)) in self.numbers:
            pass
        self.numbers.add(number)
        return number

    def next_order_id(self) -> int:
        """Ids grow with gaps: other customers order too (anosim-api.md, wild fact 9)."""
        self.last_order_id += self.rng.randint(1, 9)
        return self.last_order_id

    def next_booking_id(self) -> int:
        """As next_order_id, for bookings."""
        self.last_booking_id += self.rng.randint(1, 9)
        return self.last_booking_id


def _by_time(row: Sms) -> tuple[datetime, int]:
    return row.at, row.id
