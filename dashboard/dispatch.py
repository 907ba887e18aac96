"""Handing work to the workers from a page: at once or not at all, never waiting for a queue that is away."""

from __future__ import annotations

import logging
from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# Seconds that a page waits for each answer of the queue. The workers' own connections are far more patient.
PATIENCE = 1.0


def enqueue(task: Any, *ids: int | str, expires: float | None = None) -> bool:
    """Put `task(*ids)` into the queue; true when the queue has it, false when the queue is away.

    The work is dropped if no worker took it within `expires` seconds. Never raises because of the queue, and
    takes about PATIENCE seconds at most (reliability.md 4.10, stack.md pitfall 11). Call it after the commit
    of what the task is to read.
    """
    app = task.app
    # A connection of its own: one of the shared pool would wait for half a minute on a server that is frozen.
    options = {
        **app.conf.broker_transport_options,
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        "retry_on_timeout": False,
    }
    policy = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    try:
        with app.connection_for_write(transport_options=options) as connection:
            task.apply_async(args=ids, connection=connection, retry=True, retry_policy=policy, expires=expires)
    except (OperationalError, RedisError, OSError) as error:
        # Only the kind of error: its text can hold the queue's address.
        logger.warning("The queue does not take %s (%s).", task.name, type(error).__name__)
        return False
    return True
