"""`python -m bench`: every question in turn, each in a process of its own; a table, and the figures as JSON."""

from __future__ import annotations

import sys

from .runner import Suite

QUESTIONS = (
    *("lifecycle", "pages", "search", "sync", "memory", "browser", "streams", "fan_out", "freshness", "outages"),
    *("migrations", "backups", "scale"),
)
# Two of them at a time.
WAITING = ("convergence", "purchases")

if __name__ == "__main__":
    sys.exit(Suite("bench", __doc__ or "", QUESTIONS, quick=True, waiting=WAITING).run())
