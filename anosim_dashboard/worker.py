"""The Celery application as a worker process runs it: logging of ours, a sign of life for whoever watches.

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

from celery.signals import setup_logging, task_postrun, worker_ready
from django.conf import settings

from .celery import app as app

THREADS = 8
# Celery would run the system checks and keep to itself what they find: they read every URL, and with them all pages
# and forms, for which a worker has no use.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

_EVERY_SECONDS = 2.0
_alive_file = os.environ.get("WORKER_ALIVE_FILE", "")
_touched = 0.0


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
