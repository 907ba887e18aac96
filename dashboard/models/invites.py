from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .accounts import Account, Membership
from .users import User

LIFETIME = timedelta(hours=72)


class InviteQuerySet(models.QuerySet["Invite"]):
    def open(self, now: datetime | None = None) -> Self:
        """Invites whose link still works: neither used, nor taken back, nor too old."""
        return self.filter(used_at=None, revoked_at=None, expires_at__gt=now or timezone.now())

    def behind(self, token: str) -> Invite | None:
        """The open invite of this link."""
        return self.open().select_related("account", "invited_by").filter(token_hash=digest(token)).first()

    def take(self, invite: Invite, user: User) -> bool:
        """Use the invite up for `user`; False when somebody else was quicker. Part of the caller's transaction."""
        return bool(self.open().filter(pk=invite.pk).update(used_at=timezone.now(), used_by=user))


class Invite(models.Model):
    """A link that makes one new member, once, within LIFETIME. Only a digest of the link is stored."""

    ADMIN = "admin"

    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="invites")
    account = models.ForeignKey(Account, models.CASCADE, null=True, related_name="invites")
    role = models.CharField(max_length=10, choices=[*Membership.Role.choices, (ADMIN, _("Admin"))])
    daily_cap_usd = models.DecimalField(_("cap per day"), max_digits=10, decimal_places=2, null=True, blank=True)
    # For whom, in the words of who invites: tells open invites apart.
    label = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    objects = InviteQuerySet.as_manager()

    class Meta:
        constraints = [
            # An admin is one of all accounts, everybody else of the one that the invite names.
            models.CheckConstraint(
                condition=Q(role="admin", account=None) | Q(role__in=["viewer", "operator", "manager"], account__gt=0),
                name="invite_to_something",
            ),
        ]
        indexes = [
            # The open invites of an account, on its members' page.
            models.Index(fields=["account", "-created_at"], name="invite_of_account"),
        ]

    def __str__(self) -> str:
        return f"{self.label or 'somebody'} as {self.role} to {self.account or 'all accounts'}"

    @classmethod
    def make(cls, **fields: Any) -> tuple[Invite, str]:
        """A new invite and the token of its link, which is not stored and cannot be had again."""
        token = secrets.token_urlsafe(32)
        return cls.objects.create(token_hash=digest(token), expires_at=timezone.now() + LIFETIME, **fields), token


def digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
