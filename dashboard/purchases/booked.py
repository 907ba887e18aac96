"""Filing the order that answers a purchase: the rows are there at once, with who bought them and what for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..anosim import Listing
from ..anosim import Order as OrderRecord
from ..live import topics
from ..models import Account, Booking, Order, Purchase, SyncState
from ..sync.save_bookings import save_orders

Kind = SyncState.Kind


@dataclass(frozen=True)
class Filing:
    purchase: Purchase
    record: OrderRecord
    asked_at: datetime

    def words(self) -> str:
        numbers = [booking.number for booking in self.record.bookings if booking.number]
        dearer = self.record.price is not None and self.record.price > self.purchase.price_usd
        said = "Bought." if numbers else "Bought. The numbers follow in a moment."
        if dearer:
            said += f" ANOSIM charged ${self.record.price:,.2f}, more than was confirmed."
        return said

    def save(self) -> None:
        """Store order and bookings, and link the order; in the transaction of the move to `confirmed`."""
        account = self.purchase.account
        # One saver of an account's rows at a time (PostgreSQL; SQLite has one writer), as in sync.runs.
        Account.objects.select_for_update(of=("self",)).only("pk").get(pk=account.pk)
        listing = Listing((self.record,), 1, 0, "", None)
        changes = save_orders(account, listing, self.asked_at)
        order = Order.objects.get(account=account, remote_id=self.record.id)
        Purchase.objects.filter(pk=self.purchase.pk).update(order=order)
        dedicate(self.purchase, order)
        # Notes and who looks after a booking narrow both lists.
        topics.touch(account.pk, *changes.topics, topics.BOOKINGS, topics.SMS)
        SyncState.objects.hurry(account.pk, Kind.BALANCE, Kind.CURRENT, Kind.BOOKINGS, Kind.SMS)
        self.purchase.order = order


def dedicate(purchase: Purchase, order: Order) -> None:
    """Give the order's bookings the purpose and the person of the purchase, where they have none yet."""
    if purchase.note:
        Booking.objects.filter(order=order, note="").update(note=purchase.note)
    Booking.objects.filter(order=order, assignee=None).update(assignee=purchase.requested_by)
