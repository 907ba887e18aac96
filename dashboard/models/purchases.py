from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from .accounts import Account
from .bookings import Booking
from .catalogue import Product
from .orders import Order
from .visibility import AccountQuerySet


class Purchase(models.Model):
    """Our intent to spend money, written before anything is sent (reliability.md 4.1)."""

    class Kind(models.TextChoices):
        ORDER = "order", "Order"
        EXTEND = "extend", "Extend"
        REUSE = "reuse", "Reuse"

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        PREPARING = "preparing", "Preparing"
        SENDING = "sending", "Sending"
        CONFIRMED = "confirmed", "Confirmed"
        REJECTED = "rejected", "Rejected"
        UNKNOWN = "unknown", "Not known yet"
        ABSENT = "absent", "Not bought"
        NEEDS_REVIEW = "needs_review", "Needs review"
        CANCELLED = "cancelled", "Cancelled"

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="purchases")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.QUEUED)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="purchases")
    product = models.ForeignKey(Product, models.PROTECT, null=True, related_name="purchases")
    booking = models.ForeignKey(Booking, models.PROTECT, null=True, related_name="purchases")
    amount = models.PositiveSmallIntegerField(default=1)
    price_usd = models.DecimalField(max_digits=12, decimal_places=2, help_text="Total that the person confirmed.")
    order = models.ForeignKey(Order, models.SET_NULL, null=True, related_name="purchases")
    created_at = models.DateTimeField(default=timezone.now)

    objects = AccountQuerySet["Purchase"].as_manager()

    class Meta:
        constraints = [
            # At most one spending call in flight per account, whatever the workers do.
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(status__in=["preparing", "sending"]),
                name="purchase_in_flight_once",
            ),
            models.CheckConstraint(condition=Q(amount__gte=1, amount__lte=20), name="purchase_amount_1_to_20"),
            models.CheckConstraint(condition=Q(price_usd__gte=0), name="purchase_price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.uuid}"
