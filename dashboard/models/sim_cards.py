from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .accounts import Account
from .visibility import AccountQuerySet


class SimCard(models.Model):
    """A card that was booked when the list was read last; `last_seen_at` tells which list was its last."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="sim_cards", db_index=False)
    number = models.CharField(max_length=40)
    country = models.CharField(max_length=80, blank=True)
    rental_type = models.CharField(max_length=40, blank=True)
    service = models.CharField(max_length=500, blank=True)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    # In the newest list, or gone from it since `last_seen_at`.
    in_use = models.BooleanField(default=True)
    last_seen_at = models.DateTimeField()

    objects = AccountQuerySet["SimCard"].as_manager()

    class Meta:
        verbose_name = _("SIM card")
        constraints = [
            # The list has no ids: a card is its number and what it is used for. Serves the list by number too.
            models.UniqueConstraint(fields=["account", "number", "rental_type", "service"], name="sim_card_once"),
        ]
        indexes = [models.Index(fields=["account", "in_use", "ends_at", "id"], name="sim_card_by_end")]

    def __str__(self) -> str:
        return self.number
