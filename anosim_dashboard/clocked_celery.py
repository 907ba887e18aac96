"""Celery whose "expires" goes by the clock that all hosts share.

Celery writes the sender's time into a message and compares it with the receiver's: a worker whose clock is some
seconds ahead would drop every message that it takes, and take most of them, being so quick.
"""

from __future__ import annotations

from datetime import datetime

from celery import Celery, Task

from . import shared_clock


class ClockedTask(Task):
    Request = "anosim_dashboard.clocked_request:ClockedRequest"  # by name: only workers have to load it


class ClockedCelery(Celery):
    task_cls = "anosim_dashboard.clocked_celery:ClockedTask"

    def now(self) -> datetime:
        """What "expires" counts from."""
        return shared_clock.now().astimezone(self.timezone)
