from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from anosim_dashboard import shared_clock

from .accounts import Account
from .visibility import AccountQuerySet


class SyncStateQuerySet(AccountQuerySet["SyncState"]):
    def due(self, now: datetime) -> SyncStateQuerySet:
        """Rows to read now, of accounts that are not paused, the longest due first."""
        return (
            self.filter(due_at__lte=now, account__enabled=True)
            .exclude(account__sealed_key="")
            .select_related("account")
            .order_by("due_at")
        )

    def claim(self, state: SyncState, until: datetime) -> int | None:
        """Take the row until `until`, by compare-and-set. The number of the run, or None if another was quicker."""
        if self.filter(pk=state.pk, run=state.run).update(run=state.run + 1, due_at=until, reading=False) == 1:
            return state.run + 1
        return None

    def begin(self, pk: int, run: int, now: datetime, until: datetime) -> bool:
        """Start the claimed run, once: a message delivered twice, or after the next claim, starts nothing."""
        mine = self.filter(pk=pk, run=run, begun__lt=run)
        return mine.update(begun=run, reading=True, due_at=until, last_attempt_at=now) == 1

    def hurry(self, account_id: int, *kinds: str) -> int:
        """Make the kinds due now, unless they are being read or are due already. A kind that is failing keeps its
        appointment: hurrying it would undo its back-off."""
        now = shared_clock.now()
        waiting = self.filter(account_id=account_id, kind__in=kinds, due_at__gt=now, reading=False, failures=0)
        return waiting.update(due_at=now)


class SyncState(models.Model):
    """How the reading of one kind of data of one account goes: the schedule is these rows.

    `run` counts the claims and fences a reader that slept: its result is only noted while the number is still its own.
    `begun` is the last run that a worker has begun: none is begun twice.
    """

    class Kind(models.TextChoices):
        BALANCE = "balance", _("Balance")
        COUNTRIES = "countries", _("Countries")
        PRODUCTS = "products", _("Products")
        ORDERS = "orders", _("Orders")
        BOOKINGS = "bookings", _("Bookings")
        CURRENT = "current_bookings", _("Running bookings")
        SMS = "sms", "SMS"
        BOOKING_SMS = "booking_sms", _("SMS of single bookings")
        SIM_CARDS = "sim_cards", _("SIM cards")

    account = models.ForeignKey(Account, models.CASCADE, related_name="sync_states", db_index=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    due_at = models.DateTimeField(default=timezone.now)
    run = models.PositiveBigIntegerField(default=0)
    begun = models.PositiveBigIntegerField(default=0)
    reading = models.BooleanField(default=False)
    last_attempt_at = models.DateTimeField(null=True)
    last_success_at = models.DateTimeField(null=True)
    # How often it is read at present, in seconds: what "stale" is measured by.
    pace_seconds = models.PositiveIntegerField(default=60)
    # Newest message of the last list of all SMS: what the next list has to reach back to (reliability.md 4.6).
    window_newest_at = models.DateTimeField(null=True)
    body_digest = models.CharField(max_length=64, blank=True)
    unreadable = models.PositiveIntegerField(default=0, help_text=_("Rows of the last answer that could not be read."))
    failures = models.PositiveIntegerField(default=0)
    error_kind = models.CharField(max_length=20, blank=True)
    error = models.CharField(max_length=400, blank=True)
    error_since = models.DateTimeField(null=True)

    objects = SyncStateQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "kind"], name="sync_state_once")]
        indexes = [models.Index(fields=["due_at"], name="sync_state_due")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of account {self.account_id}"
