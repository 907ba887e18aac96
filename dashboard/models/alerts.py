from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import encryption
from .accounts import Account
from .visibility import AccountQuerySet


class AlertQuerySet(AccountQuerySet["Alert"]):
    def open(self) -> AlertQuerySet:
        return self.filter(resolved_at=None)


class Alert(models.Model):
    """Something that needs a hand, from when it was noticed until it was over. `key` tells apart what can stand in
    one account at the same time: the purchase, the gap."""

    class Kind(models.TextChoices):
        LOW_BALANCE = "low_balance", _("Low balance")
        UNKNOWN_PURCHASE = "unknown_purchase", _("Purchase not known")
        KEY_REFUSED = "key_refused", _("Key refused")
        SYNC_STALE = "sync_stale", _("Not current")
        SMS_LOST = "sms_lost", _("SMS lost")
        RENEWAL_SHORT = "renewal_short", _("Renewal not covered")

    account = models.ForeignKey(Account, models.CASCADE, related_name="alerts", db_index=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    key = models.CharField(max_length=40, blank=True)
    words = models.CharField(max_length=400)
    opened_at = models.DateTimeField(default=timezone.now)
    # When it was last seen to stand: it is over when it has not been for a while, so that what flickers is told once.
    seen_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            # Two workers that look at once, and every later look: one alert of one thing.
            models.UniqueConstraint(
                fields=["account", "kind", "key"], condition=Q(resolved_at=None), name="alert_open_once"
            ),
        ]
        indexes = [models.Index(fields=["account", "opened_at"], name="alert_of_account")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.account_id}"


class AlertChannel(models.Model):
    """Where a person wants alerts: an address of the apprise library, sealed, since it can hold a password."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="alert_channels")
    name = models.CharField(max_length=80)
    sealed_address = models.TextField(editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    # How the last message went, in words; empty before the first.
    verdict = models.CharField(max_length=200, blank=True)
    verdict_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.name

    @property
    def address(self) -> str:
        """In clear, for the sender alone. Raises encryption.CannotUnseal."""
        return encryption.unseal(self.sealed_address, f"alert channel of {self.user_id}")

    @address.setter
    def address(self, address: str) -> None:
        self.sealed_address = encryption.seal(address, f"alert channel of {self.user_id}")


class NoticeQuerySet(models.QuerySet["AlertNotice"]):
    def due(self, now: datetime) -> NoticeQuerySet:
        return self.filter(sent_at=None, next_try_at__lte=now)

    def claim(self, notice: AlertNotice, until: datetime) -> bool:
        """Take it until then; False if another worker was quicker."""
        mine = self.filter(pk=notice.pk, sent_at=None, tries=notice.tries, next_try_at=notice.next_try_at)
        return mine.update(tries=notice.tries + 1, next_try_at=until) == 1


class AlertNotice(models.Model):
    """One message about an alert, to one channel: that it began, or that it is over. The rows are the outbox."""

    class What(models.TextChoices):
        OPENED = "opened", "Began"
        RESOLVED = "resolved", "Over"

    MOST_TRIES = 6
    FIRST_DELAY = timedelta(seconds=30)

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="notices")
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="notices")
    what = models.CharField(max_length=10, choices=What.choices)
    created_at = models.DateTimeField(default=timezone.now)
    tries = models.PositiveSmallIntegerField(default=0)
    # None: given up.
    next_try_at = models.DateTimeField(null=True, default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        constraints = [
            # Once each, whatever looks twice.
            models.UniqueConstraint(fields=["alert", "channel", "what"], name="alert_notice_once"),
        ]
        indexes = [models.Index(fields=["next_try_at"], name="alert_notice_due", condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return f"{self.what} to {self.channel_id}"

    def later(self, now: datetime) -> dict[str, Any]:
        """When it is tried again after a failure: later each time, in the end never."""
        tries = self.tries + 1
        again = None if tries >= self.MOST_TRIES else now + self.FIRST_DELAY * 2 ** (tries - 1)
        return {"next_try_at": again}
