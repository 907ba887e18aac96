"""Everything that costs money at the provider, and what gives it back.

Callers hold the world's lock: each sale is atomic.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING

from .catalogue import CENT, KLEINANZEIGEN
from .records import ACTIVATION, ACTIVE, ENDED, NOT_USED, PENDING, Booking, Order, Product, Refusal, Sale

if TYPE_CHECKING:
    from .world import World

MOST_AT_ONCE = 100
LONGEST_EXTENSION = 365 * 1440
NOT_ENOUGH_MONEY = "Insufficient account balance."


def place(world: World, product_id: int, amount: int, provider_id: int, *, origin: str, call: str) -> Order:
    """Sell `amount` bookings (anosim-api.md #5); raises Refusal and changes nothing if it cannot."""
    product = world.find_product(product_id)
    if not 1 <= amount <= MOST_AT_ONCE:
        raise Refusal(f"The amount must be between 1 and {MOST_AT_ONCE}.")
    price = product.price * amount
    if price > world.balance:
        raise Refusal(NOT_ENOUGH_MONEY)
    _take(product, amount, provider_id)
    numbers = [world.free_number(product.country) for _ in range(amount)]
    return _sell(world, product, numbers, origin=origin, call=call)


def _take(product: Product, amount: int, provider_id: int) -> None:
    providers = [row for row in product.providers if provider_id in (0, row.id)]
    if not providers:
        raise Refusal("The provider does not exist.")
    if sum(row.available for row in providers) < amount:
        raise Refusal("Not enough numbers available for this product.")
    for row in sorted(providers, key=lambda row: -row.available):
        taken = min(row.available, amount)
        row.available -= taken
        amount -= taken


def _sell(world: World, product: Product, numbers: list[str], *, origin: str, call: str, kind: str = "order") -> Order:
    now = world.now()
    order = Order(world.next_order_id(), now, product.price * len(numbers), [], origin)
    hidden_for = world.hide_new_bookings(order.id) if origin == "api" else 0.0
    for number in numbers:
        booking = Booking(
            id=world.next_booking_id(),
            order=order.id,
            product=product.id,
            number=number,
            country=product.country,
            rental_type=product.rental_type,
            service=product.service,
            starts_at=now,
            ends_at=now + timedelta(minutes=product.minutes),
            minutes=product.minutes,
            price=product.price,
            state=ACTIVE,
            visible_at=now + timedelta(seconds=hidden_for) if hidden_for else None,
        )
        _keep(world, order, booking)
    _charge(world, order, product.id, call=call, kind=kind)
    return order


def _keep(world: World, order: Order, booking: Booking) -> None:
    order.bookings.append(booking.id)
    world.bookings[booking.id] = booking
    if booking.state in (ACTIVE, PENDING):
        world.open.add(booking.id)


def _charge(world: World, order: Order, product_id: int, *, call: str, kind: str) -> None:
    """Write the ledger and take the money; the last step of each sale."""
    world.orders[order.id] = order
    ids = list(order.bookings)
    world.ledger.sold(Sale(order.id, product_id, len(ids), order.price, order.at, call, kind, order.origin, ids))
    world.move_money(-order.price, f"{kind} {order.id}")
    world.sold_by_call += order.origin == "api"


def reuse(world: World, booking_id: int, *, origin: str, call: str) -> Order:
    """Sell the same number again (anosim-api.md #15): only an ended Activation of Kleinanzeigen."""
    booking = world.find_booking(booking_id)
    if booking.rental_type != ACTIVATION or booking.service != KLEINANZEIGEN:
        raise Refusal("Reuse is only available for Activation-Kleinanzeigen.")
    if booking.id in world.open:
        raise Refusal("The booking is still running.")
    product = world.products[booking.product]
    if product.price > world.balance:
        raise Refusal(NOT_ENOUGH_MONEY)
    return _sell(world, product, [booking.number], origin=origin, call=call, kind="reuse")


def extension_price(world: World, booking: Booking, minutes: int) -> Decimal:
    """What `minutes` more cost, in USD: what the catalogue asks for that length of the same.

    For a length that it does not sell in proportion to the booking's product, rounded up to a cent.
    """
    product = world.products[booking.product]
    same = (product.country, product.rental_type, product.service, minutes)
    for row in world.products.values():
        if (row.country, row.rental_type, row.service, row.minutes) == same:
            return row.price
    return (product.price * minutes / product.minutes).quantize(CENT, rounding=ROUND_UP)


def extend(world: World, booking_id: int, minutes: int, *, origin: str, call: str) -> Order:
    """Sell more time (anosim-api.md #16): a Pending booking that takes effect `merge_after` seconds later."""
    booking = world.find_booking(booking_id)
    if booking.rental_type == ACTIVATION:
        raise Refusal("Activations cannot be extended.")
    if booking.state != ACTIVE or booking.extends is not None:
        raise Refusal("Only running bookings can be extended.")
    if not 1 <= minutes <= LONGEST_EXTENSION:
        raise Refusal("The extension is too short or too long.")
    price = extension_price(world, booking, minutes)
    if price > world.balance:
        raise Refusal(NOT_ENOUGH_MONEY)
    return _sell_extension(world, booking, minutes, price, origin=origin, call=call, kind="extend")


def _sell_extension(
    world: World, booking: Booking, minutes: int, price: Decimal, *, origin: str, call: str, kind: str
) -> Order:
    now = world.now()
    order = Order(world.next_order_id(), now, price, [], origin)
    extension = Booking(
        id=world.next_booking_id(),
        order=order.id,
        product=booking.product,
        number=booking.number,
        country=booking.country,
        rental_type=booking.rental_type,
        service=booking.service,
        starts_at=now,
        ends_at=now,
        minutes=minutes,
        price=price,
        state=PENDING,
        extends=booking.id,
        merge_at=now + timedelta(seconds=world.merge_after),
    )
    _keep(world, order, extension)
    _charge(world, order, booking.product, call=call, kind=kind)
    return order


def merge(world: World, extension: Booking) -> None:
    """An extension takes effect: the extended booking ends later, the extension itself is over."""
    extended = world.bookings[extension.extends or 0]
    extended.ends_at += timedelta(minutes=extension.minutes)
    extended.minutes += extension.minutes
    if extended.state == ENDED:
        # Paid in time, merged after the end: the booking goes on.
        extended.state = ACTIVE
        world.open.add(extended.id)
    world.close(extension, ENDED)


def renew(world: World, booking: Booking) -> bool:
    """At the end of a rental with auto-renewal: sell the same time again.

    False if it is off or the money is short.
    """
    product = world.products[booking.product]
    if not booking.auto_renewal or booking.rental_type == ACTIVATION or product.price > world.balance:
        return False
    world.changes += 1
    order = _sell_extension(
        world, booking, product.minutes, product.price, origin="renewal", call="auto-renewal", kind="renewal"
    )
    merge(world, world.bookings[order.bookings[0]])
    return True


def cancel(world: World, booking_id: int) -> None:
    """Cancel an Activation that heard nothing (anosim-api.md #14), money back; raises Refusal."""
    booking = world.find_booking(booking_id)
    if booking.rental_type != ACTIVATION:
        raise Refusal("Only bookings of type Activation can be cancelled.")
    if booking.state != ACTIVE:
        raise Refusal("The booking is not active.")
    if booking.sms:
        raise Refusal("The booking has already received an SMS and cannot be cancelled.")
    booking.ends_at = world.now()
    world.close(booking, NOT_USED)


def set_auto_renewal(world: World, enable: bool, booking_id: int | None) -> int:
    """Set the renewal of one rental or of all that run (anosim-api.md #17); returns how many."""
    if booking_id is None:
        rows = [row for row in world.running() if row.rental_type != ACTIVATION and row.extends is None]
    else:
        booking = world.find_booking(booking_id)
        if booking.rental_type == ACTIVATION:
            raise Refusal("Auto-renewal is not available for activations.")
        if booking.id not in world.open or booking.extends is not None:
            raise Refusal("The booking is not active.")
        rows = [booking]
    for row in rows:
        row.auto_renewal = enable
    world.changes += 1
    return len(rows)
