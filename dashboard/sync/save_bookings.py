from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from anosim_dashboard import shared_clock

from ..anosim import Booking as BookingRecord
from ..anosim import Listing
from ..anosim import Order as OrderRecord
from ..live.topics import BOOKINGS, ORDERS, SMS
from ..models import Account, Booking, Order, Purchase, Sms, SyncState
from .changes import Changes
from .columns import CHUNK, fitted, write_changed
from .save_sms import EARLY, complete_since, settle_bookings, whose

Kind = SyncState.Kind
# Written with whatever moved. All columns for a hundred rows would take a second to put together.
_WITH_IT = ("runs_until", "sms_wanted_at", "read_at")


def save_orders(account: Account, listing: Listing[OrderRecord], asked_at: datetime) -> Changes:
    """Insert and update orders and the bookings inside them. What left the window stays as it is."""
    records = {record.id: record for record in listing.rows}
    stored = {row.remote_id: row for row in Order.objects.filter(account=account, remote_id__in=records)}
    new = [
        Order(
            account=account,
            remote_id=pk,
            ordered_at=record.ordered_at,
            price_usd=record.price,
            read_at=asked_at,
        )
        for pk, record in records.items()
        if pk not in stored
    ]
    changed = [row for pk, row in stored.items() if _update_order(row, records[pk], asked_at)]
    Order.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)
    write_changed(changed, ("ordered_at", "price_usd", "read_at"))
    if new:
        stored = {row.remote_id: row for row in Order.objects.filter(account=account, remote_id__in=records)}
    bookings = [booking for record in records.values() for booking in record.bookings]
    order_of = {booking.id: stored[record.id] for record in records.values() for booking in record.bookings}
    changes = Changes(len(new), len(changed), {ORDERS} if new or changed else set())
    if new:
        changes.hurry.add(Kind.BALANCE)
    return changes.add(_save(account, bookings, asked_at, order_of))


def save_bookings(account: Account, listing: Listing[BookingRecord], asked_at: datetime) -> Changes:
    """Insert and update bookings of a list; also of the running ones, whose rows lack price and extension."""
    return _save(account, listing.rows, asked_at, {})


def _update_order(row: Order, record: OrderRecord, asked_at: datetime) -> bool:
    if asked_at < row.read_at:
        return False
    moved = bool(_set(row, {"ordered_at": record.ordered_at, "price_usd": record.price}))
    row.read_at = asked_at
    return moved


def _save(
    account: Account, rows: Sequence[BookingRecord], asked_at: datetime, order_of: Mapping[int, Order]
) -> Changes:
    records = {record.id: record for record in rows}
    stored = {row.remote_id: row for row in Booking.objects.filter(account=account, remote_id__in=records)}
    now = shared_clock.now()
    new, changed = [], []
    moved: set[str] = set()
    changes = Changes()
    # What is seen with its order for the first time.
    placed = [pk for pk in order_of if pk not in stored or stored[pk].order_id is None]
    since = complete_since(account) if len(records) > len(stored) else None
    for pk, record in records.items():
        row = stored.get(pk)
        if row is None:
            row = Booking(account=account, remote_id=pk, first_seen_at=now, read_at=asked_at)
            _set(row, _values(record, order_of.get(pk)))
            row.runs_until = row.believed_end(asked_at)
            if since is None or row.starts_at is None or row.starts_at <= since + EARLY:
                row.sms_wanted_at = now  # messages from before our first look are in its own list only
            new.append(row)
        elif names := _update_booking(row, _values(record, order_of.get(pk)), asked_at, changes):
            changed.append(row)
            moved |= names
    Booking.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)
    write_changed(changed, (*sorted(moved), *_WITH_IT))
    _dedicate(account, placed, {order_of[pk].pk for pk in placed})
    changes.new, changes.changed = len(new), len(changed)
    if new or changed:
        changes.topics.add(BOOKINGS)
    if new:
        changes.hurry |= {Kind.BALANCE, Kind.SMS}
        if any(row.sms_wanted_at for row in new):
            changes.hurry.add(Kind.BOOKING_SMS)
        if any(row.order_id is None for row in new):
            changes.hurry.add(Kind.ORDERS)
        if _adopt_sms(account, [row.number for row in new]):
            changes.topics.add(SMS)
    return changes


def _dedicate(account: Account, remote_ids: Sequence[int], order_ids: set[int]) -> None:
    """Bookings that turn up after the order they were bought with (wild fact 3) get its purpose and its buyer."""
    if not order_ids:
        return
    for purchase in Purchase.objects.filter(order__in=order_ids).only("note", "requested_by_id", "order_id"):
        rows = Booking.objects.filter(account=account, remote_id__in=remote_ids, order=purchase.order_id)
        if purchase.note:
            rows.filter(note="").update(note=purchase.note)
        rows.filter(assignee=None).update(assignee=purchase.requested_by_id)


def _update_booking(row: Booking, values: dict[str, Any], asked_at: datetime, changes: Changes) -> set[str]:
    """Take over what is known; an answer older than the row fills only what is missing. What moved."""
    if asked_at < row.read_at:
        values = {name: value for name, value in values.items() if getattr(row, name) in (None, "")}
        return _set(row, values)
    was_closed = row.is_closed
    if not (moved := _set(row, values)):
        return moved
    row.read_at = asked_at
    if not (was_closed and row.is_closed):
        row.runs_until = row.believed_end(asked_at)
    if row.is_closed and not was_closed:
        # Its last messages may have come after our last look, and a booking that was not used gives money back.
        row.sms_wanted_at = shared_clock.now()
        changes.hurry |= {Kind.BOOKING_SMS, Kind.BALANCE}
    return moved


def _set(row: Any, values: Mapping[str, Any]) -> set[str]:
    """Set what the answer knows: None and "" are what a list leaves out, never news. What moved."""
    known = {name: value for name, value in values.items() if value is not None and value != ""}
    moved = {name for name, value in known.items() if getattr(row, name) != value}
    for name in moved:
        setattr(row, name, known[name])
    return moved


def _values(record: BookingRecord, order: Order | None) -> dict[str, Any]:
    values = {
        "number": record.number,
        "country": record.country,
        "rental_type": record.rental_type,
        "service": record.service,
        "starts_at": record.starts_at,
        "ends_at": record.ends_at,
        "duration_minutes": record.duration_minutes,
        "price_usd": record.price,
        "state": record.state,
        "extends": record.extends,
        "auto_renewal": record.auto_renewal,
    }
    # By id: to compare the order itself would read it, one statement for each booking.
    return {name: fitted(Booking, name, value) for name, value in values.items()} | {"order_id": order and order.pk}


def _adopt_sms(account: Account, numbers: Sequence[str]) -> int:
    """Give messages that came before we knew their booking to it. How many found one."""
    # In the order of the index by number. In that of the time alone SQLite would read the whole archive.
    orphans = list(
        Sms.objects.filter(account=account, number__in=set(numbers), booking=None)
        .only("account_id", "booking_id", "number", "received_at")
        .order_by("-number", "-received_at", "-id")[:1000]
    )
    found = whose(account, {sms.number for sms in orphans})
    adopted = []
    for sms in orphans:
        sms.booking_id = found.booking_of(sms.number, sms.received_at)
        if sms.booking_id:
            adopted.append(sms)
    write_changed(adopted, ("booking",))
    settle_bookings({sms.booking_id for sms in adopted if sms.booking_id})
    return len(adopted)
