"""What happens by itself: messages come, orders come from elsewhere, counts and balance move."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from . import catalogue, sales, texts
from .records import ACTIVATION, ACTIVE, Booking, Refusal
from .world import World

FEWEST_WAITING = 3
ORDER_EVERY = 240.0  # seconds between orders from elsewhere, on average
LOW_BALANCE = Decimal(60)
TOP_UP = Decimal("250.00")
DEAREST = Decimal(15)


class Life:
    """Moves a world on; `speed`: everything happens so many times as often, but the clock keeps its pace."""

    def __init__(self, world: World, *, speed: float = 1.0, sms_per_minute: float = 4.0, hostile: float = 0.01) -> None:
        self.world = world
        self.speed = speed
        self.sms_per_minute = sms_per_minute
        self.hostile = hostile
        self.rng = Random(f"{world.seed}/life/{world.last_sms_id}")
        self._planned: set[int] = set()
        self._last_tick: datetime | None = None
        self._next_order = world.now() + timedelta(seconds=20 / speed)

    def tick(self) -> None:
        """Do what has fallen due since the last tick (call it a few times a second)."""
        with self.world.lock:
            now = self.world.now()
            # After a jump of the clock life goes on from there; it does not make up for the time between.
            passed = min(5.0, max(0.0, (now - (self._last_tick or now)).total_seconds())) * self.speed
            self._last_tick = now
            running = [row for row in self.world.running() if row.extends is None]
            self._plan(running, now)
            self._deliver(running, now)
            self._chatter(running, passed)
            self._order(running, now)
            if self.rng.random() < passed / 2:
                catalogue.drift(self.world.products, self.rng)
            if self.world.balance < LOW_BALANCE:
                self.world.move_money(TOP_UP, "top-up")

    def _plan(self, running: list[Booking], now: datetime) -> None:
        """Decide once for each new booking when its first message comes; a fifth wait in vain."""
        ids = {row.id for row in running}
        self._planned &= ids
        for booking in running:
            if booking.id in self._planned:
                continue
            self._planned.add(booking.id)
            if not booking.sms and self.rng.random() < 0.8:
                booking.sms_due_at = now + timedelta(seconds=self.rng.uniform(6, 150) / self.speed)

    def _deliver(self, running: list[Booking], now: datetime) -> None:
        for booking in running:
            if booking.sms_due_at is None or booking.sms_due_at > now or booking.state != ACTIVE:
                continue
            booking.sms_due_at = None
            self._receive(booking)
            if self.rng.random() < 0.25:
                booking.sms_due_at = now + timedelta(seconds=self.rng.uniform(20, 180) / self.speed)

    def _chatter(self, running: list[Booking], passed: float) -> None:
        """Messages to numbers that have been in use for a while: sms_per_minute in all."""
        known = [row for row in running if row.rental_type != ACTIVATION or row.sms]
        left = self.sms_per_minute * passed / 60
        while known and left > 0:
            if self.rng.random() < left:
                self._receive(self.rng.choice(known))
            left -= 1

    def _receive(self, booking: Booking) -> None:
        times = 2 if self.rng.random() < self.world.twins else 1
        for sender, text in texts.message(booking.country, booking.service, self.rng, hostile=self.hostile):
            self.world.receive_sms(booking.id, text, sender, times=times)

    def _order(self, running: list[Booking], now: datetime) -> None:
        """Somebody else orders with this account now and then, sooner when hardly anything waits."""
        waiting = sum(1 for row in running if row.rental_type == ACTIVATION and not row.sms)
        if waiting < FEWEST_WAITING:
            soon = 12 if waiting > 1 else 2
            self._next_order = min(self._next_order, now + timedelta(seconds=soon / self.speed))
        if now < self._next_order:
            return
        self._next_order = now + timedelta(seconds=ORDER_EVERY * self.rng.uniform(0.5, 1.5) / self.speed)
        try:
            self._buy(running, only_activations=waiting < FEWEST_WAITING)
        except Refusal:
            # Sold out or the money is short: another customer tries later, too.
            return

    def _buy(self, running: list[Booking], *, only_activations: bool) -> None:
        rentals = [row for row in running if row.rental_type != ACTIVATION and row.minutes <= 7 * catalogue.DAY]
        if rentals and not only_activations and self.rng.random() < 0.15:
            booking = self.rng.choice(rentals)
            sales.extend(self.world, booking.id, catalogue.DAY, origin="elsewhere", call="elsewhere")
            return
        kind = ACTIVATION if only_activations or self.rng.random() < 0.85 else None
        products = [
            row
            for row in self.world.products.values()
            if kind in (row.rental_type, None) and row.price < DEAREST and any(net.available for net in row.providers)
        ]
        self.world.order(self.rng.choice(products).id)
