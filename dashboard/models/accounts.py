from __future__ import annotations

import secrets
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from anosim_dashboard import redaction

from .. import encryption
from .visibility import AccountQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from .users import User


def default_base_url() -> str:
    return str(settings.ANOSIM_BASE_URL)


class AccountsQuerySet(models.QuerySet["Account"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.filter(pk__in=getattr(user, "visible_account_ids", ()))

    def enabled(self) -> Self:
        """Accounts that are not paused and have a key: the ones that the workers read."""
        return self.filter(enabled=True).exclude(sealed_key="")


class Account(models.Model):
    """One ANOSIM account. Its key is stored sealed, written but never shown; `key_hint` is its last four characters."""

    name = models.CharField(max_length=80, unique=True)
    uid = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    sealed_key = models.TextField(blank=True, default="", editable=False)
    key_hint = models.CharField(max_length=4, blank=True, editable=False)
    base_url = models.CharField(max_length=200, default=default_base_url)
    enabled = models.BooleanField(
        default=True, help_text=_("Off: paused. Nothing is read from ANOSIM, nothing is lost.")
    )
    # The built-in sandbox's account; the account that ANOSIM_API_KEY keeps.
    is_demo = models.BooleanField(default=False, editable=False)
    from_environment = models.BooleanField(default=False, editable=False)
    balance_usd = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True, editable=False)
    balance_at = models.DateTimeField(null=True, blank=True, editable=False)
    # What "test this key" and the workers found out about the key.
    key_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    key_ok = models.BooleanField(null=True, editable=False)
    key_verdict = models.CharField(max_length=400, blank=True, editable=False)
    # Seals the HMAC key of SMS fingerprints: a plain hash of a one-time code could be guessed.
    sealed_fingerprint_key = models.TextField(editable=False)
    # Circuit breaker: failures in a row over all kinds, and until when only a probe is let through.
    breaker_failures = models.PositiveIntegerField(default=0, editable=False)
    breaker_until = models.DateTimeField(null=True, blank=True, editable=False)
    # What may be spent: nothing above the caps (USD; empty: no cap), nothing at all while it is stopped.
    spending_stopped = models.BooleanField(default=False, help_text=_("On: nothing is bought, whoever asks."))
    order_cap_usd = models.DecimalField(_("cap per purchase"), max_digits=10, decimal_places=2, null=True, blank=True)
    daily_cap_usd = models.DecimalField(_("cap per day"), max_digits=10, decimal_places=2, null=True, blank=True)
    # Below this the balance is marked as low wherever it is shown (empty: never).
    low_balance_usd = models.DecimalField(_("low balance"), max_digits=10, decimal_places=2, null=True, blank=True)
    # How long the text of an SMS is kept (empty: for ever), and when the daily task looks next.
    sms_kept_days = models.PositiveSmallIntegerField(
        _("keep SMS texts for (days)"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    retention_due_at = models.DateTimeField(null=True, editable=False)
    # What needs a hand, as alerts.keeping left it: [{"kind": …, "words": …}], and when it looked last.
    open_alerts = models.JSONField(default=list, editable=False)
    alerts_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AccountsQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.sealed_fingerprint_key:
            self.sealed_fingerprint_key = encryption.seal(secrets.token_hex(32), self._context("fingerprint"))
        super().save(*args, **kwargs)

    @property
    def api_key(self) -> str:
        """The key in clear, for the client alone. Raises encryption.CannotUnseal."""
        if not self.sealed_key:
            return ""
        key = encryption.unseal(self.sealed_key, self._context("api key"))
        redaction.remember(key)
        return key

    @api_key.setter
    def api_key(self, key: str) -> None:
        key = key.strip()
        redaction.remember(key)
        self.sealed_key = encryption.seal(key, self._context("api key")) if key else ""
        # Four characters of a short key would be most of it.
        self.key_hint = key[-4:] if len(key) >= 12 else ""
        self.key_checked_at = self.key_ok = None
        self.key_verdict = ""

    @property
    def balance_is_low(self) -> bool:
        """Below the mark that the admin set; what is not known is not low."""
        return None not in (self.balance_usd, self.low_balance_usd) and self.balance_usd < self.low_balance_usd  # type: ignore[operator]

    def text_ends_at(self, now: datetime) -> datetime | None:
        """The moment before which a received SMS has lost its text; None where texts are kept for ever."""
        return None if self.sms_kept_days is None else now - timedelta(days=self.sms_kept_days)

    @property
    def fingerprint_key(self) -> bytes:
        return encryption.unseal(self.sealed_fingerprint_key, self._context("fingerprint")).encode()

    def _context(self, purpose: str) -> str:
        return f"{purpose} of account {self.uid}"


class Membership(models.Model):
    """What a person may do in an account. Admins (`is_superuser`) need none."""

    class Role(models.TextChoices):
        VIEWER = "viewer", _("Viewer")
        OPERATOR = "operator", _("Operator")
        MANAGER = "manager", _("Manager")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    account = models.ForeignKey(Account, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    daily_cap_usd = models.DecimalField(_("cap per day"), max_digits=10, decimal_places=2, null=True, blank=True)

    class Meta:
        constraints = [
            # A person has one role in an account, whatever two admins save at once.
            models.UniqueConstraint(fields=["user", "account"], name="membership_once"),
            models.CheckConstraint(
                condition=models.Q(role__in=["viewer", "operator", "manager"]), name="membership_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role} of {self.account}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new member has read what was there before; who comes back, too."""
        joins = self._state.adding
        super().save(*args, **kwargs)
        if joins:
            from .reading import ReadMark

            ReadMark.objects.begin(self.user_id, [self.account_id], afresh=True)


class BalanceReading(models.Model):
    """The last balance read in an hour: the 30-day line on the overview. At most 720 rows of a month and account."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="balance_readings", db_index=False)
    hour = models.DateTimeField()
    balance_usd = models.DecimalField(max_digits=14, decimal_places=2)

    objects = AccountQuerySet["BalanceReading"].as_manager()

    class Meta:
        constraints = [
            # Two workers that read in the same hour write the same row; serves the line's range query too.
            models.UniqueConstraint(fields=["account", "hour"], name="balance_reading_once"),
        ]

    def __str__(self) -> str:
        return f"{self.balance_usd} at {self.hour:%Y-%m-%d %H}:00"
