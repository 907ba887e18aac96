"""The Celery application as a worker process runs it: logging and connections of ours, and a sign of life.

Usage: python -m anosim_dashboard.worker   one process with THREADS threads, as `script/server` wants it
       celery -A anosim_dashboard.worker:app worker …   any other way; Celery's command line alone takes 10 MB

Beat sends a tick each second, so a worker that takes tasks touches WORKER_ALIVE_FILE every few seconds. The
supervisor and the container's health check read its age; `celery inspect ping` would start a whole Celery.
"""

import logging.config
import os
import sys
import time
from pathlib import Path
from typing import Any

from celery.signals import setup_logging, task_postrun, task_prerun, worker_ready
from django.conf import settings
from django.db import connections

from .celery import app as app

THREADS = 8
# Celery would run the system checks and keep to itself what they find: they read every URL, and with them all pages
# and forms, for which a worker has no use.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

_EVERY_SECONDS = 2.0
_alive_file = os.environ.get("WORKER_ALIVE_FILE", "")
_touched = 0.0


# Celery would close the pool of connections before and after every task; we give them back to it.
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize


@task_prerun.connect
@task_postrun.connect
def _give_connections_back(task: Any = None, **_: object) -> None:
    """What the pool hands out next it has tried before, so that a server that was restarted is found again."""
    if not (task and task.request.is_eager):
        for each in connections.all(initialized_only=True):
            each.close()


@setup_logging.connect
def _use_our_logging(**_: object) -> None:
    """In place of Celery's own handlers, which know nothing of the filter that masks keys."""
    logging.config.dictConfig(settings.LOGGING)


@worker_ready.connect
@task_postrun.connect
def _show_life(**_: object) -> None:
    global _touched
    now = time.monotonic()
    if not _alive_file or now - _touched < _EVERY_SECONDS:
        return
    _touched = now
    try:
        Path(_alive_file).touch()
    except OSError as error:
        logging.getLogger(__name__).warning("%s cannot be written (%s).", _alive_file, error.strerror)


def main() -> None:
    worker = app.Worker(
        pool_cls="threads",
        concurrency=THREADS,
        loglevel=settings.LOG_LEVEL,
        quiet=True,
        # Nobody listens to the three, and they slow a reconnect to Redis down.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main()
