from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import models
from django.db.models import Count, Sum

from .accounts import Account
from .visibility import AccountQuerySet


class OrderQuerySet(AccountQuerySet["Order"]):
    def spent_since(self, start: datetime) -> Decimal:
        """USD of the orders placed at or after `start`, refunds not subtracted."""
        return self.filter(ordered_at__gte=start).aggregate(sum=Sum("price_usd"))["sum"] or Decimal("0.00")

    def with_bookings_count(self) -> OrderQuerySet:
        return self.annotate(bookings_count=Count("bookings"))


class Order(models.Model):
    """What was bought in one go."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="orders", db_index=False)
    remote_id = models.BigIntegerField()
    ordered_at = models.DateTimeField(null=True)
    price_usd = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    # When the answer that we saved was asked for: an older answer that arrives later changes nothing.
    read_at = models.DateTimeField()

    objects = OrderQuerySet.as_manager()

    class Meta:
        constraints = [
            # Two workers that save one order; serves the list, newest first, too: ids grow with time.
            models.UniqueConstraint(fields=["account", "remote_id"], name="order_once"),
        ]
        indexes = [
            # Spending of a day or month is summed from the index alone.
            models.Index(fields=["account", "ordered_at", "price_usd"], name="order_spending"),
            # The list by price.
            models.Index(fields=["account", "price_usd", "id"], name="order_by_price"),
        ]

    def __str__(self) -> str:
        return f"Order {self.remote_id}"
