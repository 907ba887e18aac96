from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class GuessCount(models.Model):
    """Wrong passwords or codes in a row, for one person or one address. What the numbers mean: sign_in/limits.py."""

    # "password person 3 other", "code address 203.0.113.7"; names that are nobody's only as a keyed hash.
    key = models.CharField(max_length=100, unique=True)
    failures = models.PositiveIntegerField(default=0)
    blocked_until = models.DateTimeField(default=timezone.now)
    # The wait that runs was told to the record of deeds.
    told = models.BooleanField(default=False)
    # Serves the removal of what is forgotten.
    updated_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return self.key


class KnownPlace(models.Model):
    """A network from which a person has signed in: guesses from elsewhere do not hold them up there."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    network = models.CharField(max_length=43)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "network"], name="place_once_per_person")]

    def __str__(self) -> str:
        return self.network
