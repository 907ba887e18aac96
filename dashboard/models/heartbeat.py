from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    def beat(self, now: datetime) -> bool:
        """Note that a tick of beat came through the broker to a worker and into the database, every few seconds.

        True if the last one lies ahead: the clock was set back.
        """
        at = self._at()
        if at is None:
            Heartbeat.objects.bulk_create([Heartbeat(pk=1, at=now)], ignore_conflicts=True)
            return False
        set_back = at > now + Heartbeat.AHEAD
        if set_back or now - at >= Heartbeat.EVERY:
            self.filter(pk=1).update(at=now)
        return set_back

    def age(self, now: datetime) -> timedelta | None:
        """How long ago the last one came; None if never. One query."""
        at = self._at()
        return None if at is None else max(now - at, timedelta())

    def _at(self) -> datetime | None:
        return self.filter(pk=1).values_list("at", flat=True).first()


class Heartbeat(models.Model):
    """The canary, in one row: that beat, broker, worker and database work together (reliability.md 4.10)."""

    EVERY = timedelta(seconds=10)
    AHEAD = timedelta(seconds=30)  # more than clocks of hosts that keep time differ

    at = models.DateTimeField(default=timezone.now)

    objects = HeartbeatQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="heartbeat_once")]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S}"
