"""A worker in little, for tests with several: reads what is due until its standard input is closed.

`python -m tests.reader AHEAD`: its clock is so many seconds ahead. Prints how many runs it did.
"""

from __future__ import annotations

import os
import select
import sys
from datetime import timedelta

import django
from django.utils import timezone


def main(ahead: float) -> None:
    right = timezone.now
    timezone.now = lambda: right() + timedelta(seconds=ahead)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anosim_dashboard.settings")
    django.setup()
    from dashboard.sync import runs, schedule

    done = 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        for state_id, number in schedule.claim_due():
            done += runs.run(state_id, number) != "passed"
    print(done, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
