"""The Celery application as beat needs it: schedule and broker, no models, no tasks.

Beat sends task names on time and never runs one, so it does without loading Django's apps, which would double
the memory of the process.

Usage: python -m anosim_dashboard.beat   (or celery -A anosim_dashboard.beat:app beat; that command line takes 10 MB)
"""

import logging.config
import os

from celery.signals import setup_logging
from django.conf import settings

from .clocked_celery import ClockedCelery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anosim_dashboard.settings")

app = ClockedCelery("anosim_dashboard", fixups=[])
app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect
def _use_our_logging(**_: object) -> None:
    """In place of Celery's own handlers, which know nothing of the filter that masks keys."""
    logging.config.dictConfig(settings.LOGGING)


def main() -> None:
    # The schedule is one tick each second: nothing in it is worth a file.
    app.Beat(scheduler="celery.beat:Scheduler", loglevel=settings.LOG_LEVEL, quiet=True).run()


if __name__ == "__main__":
    main()
