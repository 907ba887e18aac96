from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.utils import timezone

from .accounts import Account
from .bookings import Booking
from .visibility import AccountQuerySet


class SmsQuerySet(AccountQuerySet["Sms"]):
    def blank(self, now: datetime) -> int:
        """Take text and code out of these rows for good; how many. Row, sender and fingerprint stay, so that the
        next read of the provider's list finds the message stored and does not bring the text back (issue 5)."""
        return self.update(text="", code="", blanked_at=now)

    def newest(self) -> SmsQuerySet:
        return self.order_by("-received_at", "-id")

    def for_list(self) -> Any:
        """Named tuples of what a list shows, its booking's country and service included; half the cost of models."""
        return self.values_list(
            "id", "account_id", "booking_id", "number", "sender", "text", "received_at", "code",
            "booking__country", "booking__service",
            named=True,
        )  # fmt: skip


class Sms(models.Model):
    """One message received by a number. Its text and sender are somebody else's: never trusted, always escaped.

    The provider gives no id. A row is known by account, fingerprint (HMAC of number, sender, text and second) and
    ordinal, its place among equal rows of one answer (reliability.md 4.6).
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="sms", db_index=False)
    booking = models.ForeignKey(Booking, models.SET_NULL, null=True, related_name="sms", db_index=False)
    number = models.CharField(max_length=40, blank=True)
    sender = models.TextField(blank=True)
    text = models.TextField(blank=True)
    received_at = models.DateTimeField()
    code = models.CharField(max_length=32, blank=True)
    fingerprint = models.CharField(max_length=64)
    ordinal = models.PositiveSmallIntegerField()
    seen_at = models.DateTimeField(default=timezone.now)
    # When retention took text and code away.
    blanked_at = models.DateTimeField(null=True)

    objects = SmsQuerySet.as_manager()

    class Meta:
        verbose_name = "SMS"
        verbose_name_plural = "SMS"
        constraints = [
            # Pollers that save one message at once, and every re-read: the row is there once.
            models.UniqueConstraint(fields=["account", "fingerprint", "ordinal"], name="sms_once"),
        ]
        indexes = [
            # The inbox; that of several accounts joins the first rows of each.
            models.Index(fields=["account", "received_at", "id"], name="sms_inbox"),
            # The inbox "with a code".
            models.Index(fields=["account", "received_at", "id"], name="sms_with_code", condition=~models.Q(code="")),
            # A booking's thread.
            models.Index(fields=["booking", "received_at", "id"], name="sms_thread"),
            # A number's messages, and those whose booking is not known yet.
            models.Index(fields=["account", "number", "received_at", "id"], name="sms_of_number"),
        ]

    def __str__(self) -> str:
        # Never the text: this ends up in logs and in the admin.
        return f"SMS {self.pk}"


class SmsGapQuerySet(AccountQuerySet["SmsGap"]):
    def open(self) -> SmsGapQuerySet:
        return self.filter(closed_at=None)


class SmsGap(models.Model):
    """A span in which the window of 100 may have let messages pass. Filled by the bookings' own lists, or shown."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="sms_gaps", db_index=False)
    from_at = models.DateTimeField(null=True, help_text="Newest message known before; empty at the first read.")
    to_at = models.DateTimeField(help_text="Oldest message of the window that showed the gap.")
    found_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    # A booking whose own list was full as well: what lay before it cannot be had any more.
    lost = models.BooleanField(default=False)

    objects = SmsGapQuerySet.as_manager()

    class Meta:
        verbose_name = "SMS gap"
        indexes = [
            models.Index(fields=["account", "found_at"], name="gap_open", condition=models.Q(closed_at__isnull=True)),
            models.Index(fields=["account", "found_at"], name="gap_lost", condition=models.Q(lost=True)),
        ]

    def __str__(self) -> str:
        return f"Gap up to {self.to_at}"
