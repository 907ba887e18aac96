"""A world that outlives its process: JSON lines (no code), replaced in one step, never half written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from .records import ACTIVE, PENDING, Booking, Order, Sms
from .world import World

VERSION = 1
# What was given out between the last save and a sudden end must not be given out again.
ID_GAP = 1000
TIMES = ("starts_at", "ends_at", "visible_at", "merge_at", "sms_due_at")
BOOKING_FIELDS = tuple(field.name for field in fields(Booking) if field.name != "sms")


def save(world: World, path: Path) -> None:
    """Write the world to `path`; on return it is on disk. Raises OSError and leaves the old file whole."""
    with world.lock:
        lines = list(_lines(world))
        changes = world.changes
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    world.saved_changes = changes


def _lines(world: World) -> Iterator[str]:
    head = {
        "version": VERSION,
        "balance": str(world.balance),
        "order": world.last_order_id,
        "booking": world.last_booking_id,
        "sms": world.last_sms_id,
    }
    yield json.dumps(head) + "\n"
    for order in world.orders.values():
        yield (
            json.dumps(
                {"order": [order.id, order.at, str(order.price), order.bookings, order.origin]},
                default=_plain,
            )
            + "\n"
        )
    for booking in world.bookings.values():
        yield (json.dumps({"booking": [getattr(booking, name) for name in BOOKING_FIELDS]}, default=_plain) + "\n")
    for sms in world.sms:
        yield (
            json.dumps({"sms": [sms.id, sms.booking, sms.number, sms.sender, sms.text, sms.at]}, default=_plain) + "\n"
        )


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def load(world: World, path: Path) -> bool:
    """Fill an empty world from `path`.

    False if there is no such file; raises ValueError if it is not one of ours.
    """
    if not path.exists():
        return False
    try:
        with path.open(encoding="utf-8") as file, world.lock:
            head = json.loads(next(file))
            if head["version"] != VERSION:
                raise ValueError(f"its version is {head['version']}, not {VERSION}")
            for line in file:
                ((kind, row),) = json.loads(line).items()
                _add(world, kind, row)
            _finish(world, head)
    except (ValueError, KeyError, TypeError, ArithmeticError, StopIteration) as error:
        raise ValueError(f"{path} holds no state of a sandbox ({error}).") from error
    return True


def _add(world: World, kind: str, row: list[Any]) -> None:
    if kind == "order":
        order = Order(row[0], datetime.fromisoformat(row[1]), Decimal(row[2]), row[3], row[4])
        world.orders[order.id] = order
    elif kind == "booking":
        values = dict(zip(BOOKING_FIELDS, row, strict=True))
        values |= {name: datetime.fromisoformat(values[name]) for name in TIMES if values[name]}
        booking = Booking(**(values | {"price": Decimal(values["price"])}))
        world.bookings[booking.id] = booking
        world.numbers.add(booking.number)
        if booking.state in (ACTIVE, PENDING):
            world.open.add(booking.id)
    else:
        sms = Sms(row[0], row[1], row[2], row[3], row[4], datetime.fromisoformat(row[5]))
        world.sms.append(sms)
        if sms.booking in world.bookings:
            world.bookings[sms.booking].sms.append(sms)


def _finish(world: World, head: dict[str, Any]) -> None:
    world.last_order_id = head["order"] + ID_GAP
    world.last_booking_id = head["booking"] + ID_GAP
    world.last_sms_id = head["sms"] + ID_GAP
    world.move_money(Decimal(head["balance"]) - world.balance, "balance of the saved state")
