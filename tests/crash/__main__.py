"""`python -m tests.crash`: what the dashboard survives, by the goals of reliability.md; a table, and JSON.

Everything is real and everything is broken: processes killed and frozen, Redis emptied, the provider away, the disk
full. The full counts take a night's hour; `--quick` takes some minutes.
"""

from __future__ import annotations

import sys

from bench.runner import Suite

# These keep the processors busy, and are alone.
BUSY = (
    "failpoints",
    "messages",
)
# These mostly wait, and run two at a time: those that time pages first, with each other.
WAITING = (
    "throttle",
    "provider_down",
    "beats",
    "freezes",
    "broker_loss",
    "kills",
    "kills_on_postgres",
    "storage",
    "storage_on_postgres",
    "restore",
    "restore_on_postgres",
    "floods",
    "overlap",
)

if __name__ == "__main__":
    sys.exit(Suite("tests.crash", __doc__ or "", BUSY, quick=False, waiting=WAITING).run())
