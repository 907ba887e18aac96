"""A message as a worker takes it, whose "expires" goes by the clock that all hosts share (clocked_celery.py)."""

from typing import Literal

from celery.worker.request import Request
from celery.worker.state import revoked

from . import shared_clock


class ClockedRequest(Request):
    def maybe_expire(self) -> Literal[True] | None:
        """Mark the task as dropped if its time is over."""
        if not self.expires or shared_clock.now() <= self.expires:
            return None
        revoked.add(self.id)
        return True
