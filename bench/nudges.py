"""A nudge about messages without a message, as a worker gives it: what its way to the streams is measured with."""

from __future__ import annotations

from typing import Any


def nudge(account: Any) -> int:
    """Move the topic of this account's messages; gives the version that the streams hear of."""
    from django.db import transaction

    from dashboard.live import topics
    from dashboard.models import TopicVersion

    with transaction.atomic():
        topics.touch(account.pk, topics.SMS)
        return TopicVersion.objects.get(account=account, topic=topics.SMS).version
