from __future__ import annotations

from django.db import models

from .accounts import Account
from .visibility import AccountQuerySet


class TopicVersion(models.Model):
    """How often a topic of an account has moved. Written in the transaction of the change: it never lags the data."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="topic_versions", db_index=False)
    topic = models.CharField(max_length=20)
    version = models.BigIntegerField(default=0)

    objects = AccountQuerySet["TopicVersion"].as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "topic"], name="topic_once")]

    def __str__(self) -> str:
        return f"{self.topic} {self.version}"
