"""Named points at which a test may kill this process, to prove that nothing is lost or doubled there.

Without the variable FAILPOINT, which only tests set, a point is a look at a module variable.
"""

import os
import signal

# Every move of a purchase, each with a point inside its transaction and one right after it.
MOVES = (
    *("queued>preparing", "queued>cancelled", "preparing>queued", "preparing>sending", "preparing>rejected"),
    *("sending>confirmed", "sending>unknown", "sending>queued"),
    *("unknown>confirmed", "unknown>rejected", "unknown>absent", "unknown>needs_review"),
    *("needs_review>confirmed", "needs_review>absent"),
)
# Every point in the code: each step that commits or calls. tests/crash kills at each and fails if one is not reached.
POINTS = (
    *("queue:before-commit", "queue:after-commit"),
    *("prepare:before-look", "prepare:looked", "send:before-call", "send:after-call"),
    *("settle:before-look", "settle:looked", "settle:later", "sweep:claimed"),
    *(f"{each}:{place}" for each in MOVES for place in ("before-commit", "after-commit")),
)
_armed = os.environ.get("FAILPOINT", "")
_signal = getattr(signal, os.environ.get("FAILPOINT_SIGNAL", "SIGKILL"))


def reach(point: str) -> None:
    """Pass the point, or end (or stop) this very process if a test armed it."""
    if _armed and point == _armed:
        _strike()


def _strike() -> None:
    os.kill(os.getpid(), _signal)
