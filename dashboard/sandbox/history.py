"""The past that a world starts with: so many orders, bookings, messages, the same for the same seed."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from . import texts
from .catalogue import DAY
from .records import (
    ACTIVATION,
    ACTIVE,
    ENDED,
    NOT_USED,
    PENDING,
    RENTAL_FULL,
    RENTAL_SERVICE,
    Booking,
    Order,
    Product,
)
from .world import World

DEFAULT_SIZE = {"orders": 60, "bookings": 140, "sms": 300}
PAST_MINUTES = 45 * DAY
EXTENDABLE = (RENTAL_SERVICE, RENTAL_FULL)


def write(world: World, size: dict[str, int], *, hostile: float = 0.02, unused: float = 0.25) -> None:
    """Fill an empty world; `unused`: share of activations without SMS, `hostile`: share of attacks."""
    orders, bookings = size["orders"], max(size["bookings"], size["orders"])
    if orders == 0:
        return
    rng = Random(f"{world.seed}/history")
    with world.lock:
        amounts = _parts(bookings, orders, rng)
        ages = _ages(orders, rng)
        for place, (age, amount) in enumerate(zip(ages, amounts, strict=True)):
            _write_order(world, rng, age, amount, last=place == orders - 1)
        if orders > 3:
            _write_pending(world, rng)
        _write_sms(world, rng, size["sms"], hostile, unused)
        for booking in world.bookings.values():
            _settle(world, booking)


def _parts(total: int, count: int, rng: Random) -> list[int]:
    """`total` cut into `count` parts of at least one; the last order has one booking only."""
    parts = [1] * count
    for _ in range(total - count):
        parts[rng.randrange(max(1, count - 1))] += 1
    return parts


def _ages(count: int, rng: Random) -> list[float]:
    """Minutes since each order, oldest first, denser towards now; the last five are minutes old."""
    recent = [1.5, 3.0, 6.5, 9.0, 13.0][: max(1, count // 4)]
    old = [30 + PAST_MINUTES * rng.random() ** 2.2 for _ in range(count - len(recent))]
    return sorted(old + recent, reverse=True)


def _write_order(world: World, rng: Random, age: float, amount: int, *, last: bool) -> None:
    product = _choose(world, rng, age, last=last)
    at = world.now() - timedelta(minutes=age, milliseconds=rng.randrange(1000))
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    order = Order(world.next_order_id(), at, product.price * amount, [], "history")
    for _ in range(amount):
        starts = at + timedelta(milliseconds=130 * rng.randrange(4))
        _add(world, order, product, starts)
    world.orders[order.id] = order


def _choose(world: World, rng: Random, age: float, *, last: bool) -> Product:
    """Recent orders are activations; older ones anything, some long enough to run until today."""
    kind = rng.choices((ACTIVATION, RENTAL_SERVICE, RENTAL_FULL), (60, 28, 12))[0]
    if last or age < 20:
        kind = ACTIVATION
    products = [row for row in world.products.values() if row.rental_type == kind]
    running = [row for row in products if row.minutes > age + 600]
    if kind != ACTIVATION and running and rng.random() < 0.55:
        products = running
    return rng.choice(products)


def _add(world: World, order: Order, product: Product, starts_at: datetime) -> None:
    booking = Booking(
        id=world.next_booking_id(),
        order=order.id,
        product=product.id,
        number=world.free_number(product.country),
        country=product.country,
        rental_type=product.rental_type,
        service=product.service,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=product.minutes),
        minutes=product.minutes,
        price=product.price,
        state=ACTIVE,
    )
    order.bookings.append(booking.id)
    world.bookings[booking.id] = booking
    if booking.ends_at > world.now():
        world.open.add(booking.id)


def _write_pending(world: World, rng: Random) -> None:
    """One rental that has been paid but begins in a quarter of an hour."""
    rentals = [row for row in world.running() if row.rental_type == RENTAL_SERVICE]
    if rentals:
        booking = rentals[-1]
        booking.state = PENDING
        booking.starts_at = world.now() + timedelta(minutes=15)
        booking.ends_at = booking.starts_at + timedelta(minutes=booking.minutes)
        booking.auto_renewal = rng.random() < 0.5


def _write_sms(world: World, rng: Random, count: int, hostile: float, unused: float) -> None:
    """`count` messages: one for each activation that was used, then the rest on whoever could receive."""
    rows = [row for row in world.bookings.values() if row.state == ACTIVE]
    activations = [row for row in rows if row.rental_type == ACTIVATION]
    used = [row for row in activations if rng.random() >= unused]
    used = [row for row in used if row.id not in world.open or rng.random() < 0.4][:count]
    others = [row for row in rows if row.rental_type in EXTENDABLE] or used or rows
    receivers = list(used)
    while rows and len(receivers) < count:
        receivers.append(rng.choice(others if rng.random() < 0.75 or not used else used))
    left = count
    for booking in receivers:
        at = _moment(world, rng, booking)
        for sender, text in texts.message(booking.country, booking.service, rng, hostile=hostile):
            times = min(left, 2 if rng.random() < world.twins else 1)
            if times:
                left -= times
                world.receive_sms(booking.id, text, sender, times=times, at=at)
                at = min(at + timedelta(milliseconds=rng.randrange(400, 1600)), world.now())


def _moment(world: World, rng: Random, booking: Booking) -> datetime:
    """When a message came: activations get their code within minutes, rentals hear something at any time."""
    until = min(booking.ends_at, world.now())
    span = (until - booking.starts_at).total_seconds()
    after = span * (rng.uniform(0.02, 0.3) if booking.rental_type == ACTIVATION else rng.uniform(0.01, 0.99))
    return booking.starts_at + timedelta(seconds=after)


def _settle(world: World, booking: Booking) -> None:
    """What ended in the past has its state; the opening balance has paid and refunded all of it."""
    if booking.id not in world.open:
        booking.state = NOT_USED if booking.rental_type == ACTIVATION and not booking.sms else ENDED
