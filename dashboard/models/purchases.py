from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .accounts import Account
from .bookings import Booking
from .catalogue import Product
from .orders import Order
from .visibility import AccountQuerySet


class PurchaseQuerySet(AccountQuerySet["Purchase"]):
    def in_flight(self) -> PurchaseQuerySet:
        return self.filter(status__in=Purchase.IN_FLIGHT)

    def unsettled(self) -> PurchaseQuerySet:
        """Purchases that may have taken effect, and nobody knows yet."""
        return self.filter(status__in=Purchase.UNSETTLED)

    def counted(self) -> PurchaseQuerySet:
        """Purchases whose price counts against caps: all but those that certainly cost nothing."""
        return self.exclude(status__in=Purchase.COSTS_NOTHING)

    def sum(self) -> Decimal:
        """USD that these were charged or, as long as that is not known, confirmed for."""
        total = self.aggregate(sum=Sum(Coalesce("charged_usd", "price_usd")))["sum"] or 0
        return Decimal(total).quantize(Decimal("0.01"))


class Purchase(models.Model):
    """Our intent to spend money: written and committed before anything is sent, sent at most once.

    The status moves only by compare-and-set on status and attempt (purchases.transitions), each move with a
    PurchaseStep in the same transaction. Nothing leads back from sending but a connection that was provably not made
    (reliability.md 4.1).
    """

    class Kind(models.TextChoices):
        ORDER = "order", _("Order")
        EXTEND = "extend", _("Extension")
        REUSE = "reuse", _("Reuse")

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        PREPARING = "preparing", _("Preparing")
        SENDING = "sending", _("Sending")
        CONFIRMED = "confirmed", _("Bought")
        REJECTED = "rejected", _("Refused")
        UNKNOWN = "unknown", _("Not known yet")
        ABSENT = "absent", _("Not bought")
        NEEDS_REVIEW = "needs_review", _("A manager decides")
        CANCELLED = "cancelled", _("Cancelled")

    IN_FLIGHT = ("preparing", "sending")
    UNSETTLED = ("unknown", "needs_review")
    # In the order of the condition of the index `purchase_open`: SQLite takes it for no other.
    OPEN = ("queued", *IN_FLIGHT, *UNSETTLED)
    COSTS_NOTHING = ("rejected", "absent", "cancelled")

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # Made with the form: the same form sent again, from any tab, is the same purchase.
    token = models.UUIDField(unique=True, default=uuid4, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="purchases", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.QUEUED)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="purchases")
    product = models.ForeignKey(Product, models.PROTECT, related_name="purchases")
    # The booking that is extended or reused.
    booking = models.ForeignKey(Booking, models.PROTECT, null=True, related_name="purchases")
    # What the call could be confused with at the provider: "product 12", "booking 55" (remote ids).
    target = models.CharField(max_length=40)
    amount = models.PositiveSmallIntegerField(default=1)
    provider_id = models.BigIntegerField(default=0, help_text=_("Provider of the numbers at ANOSIM; 0 is any."))
    provider_name = models.CharField(max_length=80, blank=True)
    minutes = models.PositiveIntegerField(null=True, help_text=_("Length of an extension."))
    price_usd = models.DecimalField(max_digits=12, decimal_places=2, help_text=_("Total that the person confirmed."))
    charged_usd = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    note = models.CharField(max_length=200, blank=True)
    order = models.ForeignKey(Order, models.SET_NULL, null=True, related_name="purchases")
    # Fences a worker that slept: counts how often the row was taken to be sent.
    attempt = models.PositiveSmallIntegerField(default=0)
    # The process that prepares or sends it (purchases.presence).
    sender = models.CharField(max_length=160, blank=True)
    # How things stand in words; the provider's own where it refused.
    words = models.CharField(max_length=400, blank=True)
    refusal = models.CharField(max_length=400, blank=True)
    # What the provider's lists and the balance said before sending, and at the last look (purchases.evidence).
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    status_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    next_check_at = models.DateTimeField(null=True)
    checks = models.PositiveSmallIntegerField(default=0)
    # Complete looks after sending that did not find it.
    empty_looks = models.PositiveSmallIntegerField(default=0)

    objects = PurchaseQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-uuid")
        constraints = [
            # At most one spending call in flight per account, whatever the workers do.
            models.UniqueConstraint(
                fields=["account"], condition=Q(status__in=["preparing", "sending"]), name="purchase_in_flight_once"
            ),
            # Of calls that could be confused with each other, at most one is in flight or unsettled.
            models.UniqueConstraint(
                fields=["account", "target"],
                condition=Q(status__in=["preparing", "sending", "unknown", "needs_review"]),
                name="purchase_unsettled_once",
            ),
            # An order answers one purchase.
            models.UniqueConstraint(fields=["order"], condition=Q(order__isnull=False), name="purchase_order_once"),
            models.CheckConstraint(condition=Q(amount__gte=1, amount__lte=20), name="purchase_amount_1_to_20"),
            models.CheckConstraint(condition=Q(price_usd__gte=0), name="purchase_price_not_negative"),
        ]
        indexes = [
            # Caps of a day, and the list of an account's purchases.
            models.Index(fields=["account", "created_at"], name="purchase_of_account"),
            # What the sweeper looks at.
            models.Index(
                fields=["status", "status_at"],
                name="purchase_open",
                condition=Q(status__in=["queued", "preparing", "sending", "unknown", "needs_review"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.uuid}"

    @property
    def is_open(self) -> bool:
        """Whether it can still move by itself."""
        return self.status in (*self.IN_FLIGHT, self.Status.QUEUED, self.Status.UNKNOWN)


class PurchaseStep(models.Model):
    """One move of a purchase: from, to, why, by whom (nobody: the machine). Written with the move, never changed."""

    purchase = models.ForeignKey(Purchase, models.CASCADE, related_name="steps")
    at = models.DateTimeField(default=timezone.now)
    old = models.CharField(max_length=20, blank=True)
    new = models.CharField(max_length=20)
    attempt = models.PositiveSmallIntegerField(default=0)
    words = models.CharField(max_length=400, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.old} → {self.new}"


class ChangeQuerySet(AccountQuerySet["BookingChange"]):
    def open(self) -> ChangeQuerySet:
        return self.filter(status__in=("queued", "sending"))


class BookingChange(models.Model):
    """A change of a booking that costs nothing: cancel it, or switch auto-renewal (without a booking: of all).

    Both set a value, so sending twice is harmless; what counts is what is read back afterwards.
    """

    class Kind(models.TextChoices):
        CANCEL = "cancel", _("Cancel")
        RENEWAL_ON = "renewal_on", _("Auto-renewal on")
        RENEWAL_OFF = "renewal_off", _("Auto-renewal off")

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        SENDING = "sending", _("Sending")
        DONE = "done", _("Done")
        REFUSED = "refused", _("Refused")
        UNKNOWN = "unknown", _("Not known")

    account = models.ForeignKey(Account, models.CASCADE, related_name="booking_changes")
    booking = models.ForeignKey(Booking, models.CASCADE, null=True, related_name="changes")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    words = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    status_at = models.DateTimeField(default=timezone.now)

    objects = ChangeQuerySet.as_manager()

    class Meta:
        constraints = [
            # Pressed twice, or by two people: one change of a booking at a time.
            models.UniqueConstraint(
                fields=["booking"], condition=Q(status__in=["queued", "sending"]), name="booking_change_once"
            ),
            # Likewise of all bookings of an account.
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(booking=None, status__in=["queued", "sending"]),
                name="account_change_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["status", "status_at"],
                name="booking_change_open",
                condition=Q(status__in=["queued", "sending"]),
            )
        ]

    def __str__(self) -> str:
        return self.get_kind_display()

    @property
    def is_open(self) -> bool:
        """Whether it is still on its way."""
        return self.status in (self.Status.QUEUED, self.Status.SENDING)


def day_start(now: datetime) -> datetime:
    """Midnight in settings.TIME_ZONE, as aware UTC-comparable time: where the caps' day begins."""
    return timezone.localtime(now, timezone.get_default_timezone()).replace(hour=0, minute=0, second=0, microsecond=0)


__all__ = ["BookingChange", "Purchase", "PurchaseStep", "day_start"]
