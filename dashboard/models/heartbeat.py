from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    def beat(self, now: datetime) -> None:
        """Note that a tick of beat came through the broker to a worker and into the database, every few seconds."""
        age = self.age(now)
        if age is not None and age >= Heartbeat.EVERY:
            self.filter(pk=1).update(at=now)
        elif age is None:
            Heartbeat.objects.bulk_create([Heartbeat(pk=1, at=now)], ignore_conflicts=True)

    def age(self, now: datetime) -> timedelta | None:
        """How long ago the last one came; None if never. One query."""
        at = self.filter(pk=1).values_list("at", flat=True).first()
        return None if at is None else max(now - at, timedelta())


class Heartbeat(models.Model):
    """The canary, in one row: that beat, broker, worker and database work together (reliability.md 4.10)."""

    EVERY = timedelta(seconds=10)

    at = models.DateTimeField(default=timezone.now)

    objects = HeartbeatQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="heartbeat_once")]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S}"
