"""When everything works again after something broke."""

from __future__ import annotations

from datetime import datetime


def is_current(since: datetime, mark: str) -> bool:
    """Whether nothing is stale or failing, what is read quickly was read since then, and the message is there."""
    from django.utils import timezone

    from dashboard.models import Sms, SyncState
    from dashboard.sync.health import is_stale

    now = timezone.now()
    states = list(SyncState.objects.all())
    current = all(not state.error and not is_stale(state, now) for state in states)
    quick = [state.last_success_at for state in states if state.pace_seconds <= 10]
    return current and all(at and at >= since for at in quick) and Sms.objects.filter(text=mark).exists()
