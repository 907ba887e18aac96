"""Named points at which a test may kill this process, to prove that nothing is lost or doubled there.

Without the variable FAILPOINT, which only tests set, a point is a look at a module constant.
"""

import os
import signal

# Every point in the code; tests/crash kills at each and fails if one is never reached.
POINTS = (
    "queue:before-commit",
    "queue:after-commit",
    "prepare:claimed",
    "prepare:looked",
    "send:before-commit",
    "send:after-commit",
    "send:before-call",
    "send:after-call",
    "result:before-commit",
    "result:after-commit",
    "unknown:after-commit",
    "settle:looked",
    "settle:before-commit",
    "settle:after-commit",
    "sweep:before-unknown",
    "sweep:after-unknown",
)
_armed = os.environ.get("FAILPOINT", "")
_signal = getattr(signal, os.environ.get("FAILPOINT_SIGNAL", "SIGKILL"))


def reach(point: str) -> None:
    """Pass the point, or end (or stop) this very process if a test armed it."""
    if _armed and point == _armed:
        os.kill(os.getpid(), _signal)
