"""What goes wrong on purpose: which fault, how often, for which calls. What it does to an answer: strikes.py.

`…-before` faults strike before anything is executed, all others after it: the sale stands in the ledger.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from .clock import http_date

BEFORE = {
    "timeout-before": "no answer for `seconds`, nothing executed (F1)",
    "late-commit": "no answer; what was asked is executed `seconds` later (F3)",
    "reset-before": "connection reset, nothing executed",
    "error-before": "500, 502, 503 or 504, nothing executed",
    "throttle-before": "429, nothing executed (F21)",
    "maintenance": "HTML page with status 200, nothing executed (F20)",
    "bad-gateway": "HTML page with status 502, nothing executed",
    "redirect": "307 to the same place, nothing executed",
}
AFTER = {
    "timeout-after": "executed, then no answer for `seconds` (F2)",
    "reset-after": "executed, then the connection is reset (F2)",
    "error-after": "executed, then 500, 502, 503 or 504 (F2)",
    "throttle-after": "executed, then 429 (F2)",
    "html-after": "executed, then an HTML error page with status 200 (F2, F20)",
    "truncated-after": "executed, then JSON that ends in the middle (F2, F20)",
    "cut-after": "executed, then fewer bytes than Content-Length says (F2)",
    "empty-after": "executed, then 200 without a body (F2)",
    "redirect-after": "executed, then 307 to the same place",
    "huge": "executed, then a body of 200 MB (F20)",
    "gzip-bomb": "executed, then 1 MB of gzip that unpacks to 1 GB (F20)",
    "trickle": "executed, then one byte every `seconds` (F20)",
    "latency": "executed, then the right answer `seconds` late",
}
FAULTS = BEFORE | AFTER | {"mixed": "one of the quick faults, at random"}
SLOW = ("timeout-before", "timeout-after", "late-commit", "huge", "gzip-bomb", "trickle", "latency")
MIXED = tuple(name for name in BEFORE | AFTER if name not in SLOW)
KINDS = ("all", "reads", "spends", "changes")
RETRY_AFTER = ("number", "date", "huge", "negative", "absent", "garbage")
# How long a fault takes if nothing else is said.
SECONDS = {"timeout-before": 120.0, "timeout-after": 120.0, "late-commit": 5.0, "trickle": 0.2, "latency": 1}


@dataclass(slots=True)
class Fault:
    """One fault that is switched on. `times`: strike so often only. `path`: only calls that begin so."""

    name: str
    rate: float = 1.0
    only: str = "all"
    seconds: float | None = None
    times: int | None = None
    path: str = ""

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"There is no fault {self.name!r}. There are: {', '.join(FAULTS)}.")
        if self.only not in KINDS:
            raise ValueError(f"A fault can be limited to one of {', '.join(KINDS)}, not to {self.only!r}.")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"The rate of {self.name} must be between 0 and 1.")


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault as it meets one call."""

    name: str
    seconds: float

    @property
    def before(self) -> bool:
        """True if the call is not executed."""
        return self.name in BEFORE


class Faults:
    """Decides for each call what goes wrong; deterministic by seed and order of calls."""

    def __init__(self, seed: int = 1, faults: dict[str, Any] | None = None) -> None:
        self._rng = Random(f"{seed}/faults")
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.set(faults or {})

    def set(self, faults: dict[str, Any]) -> None:
        """Replace all faults: name and rate, or name and a dict of Fault's fields; raises ValueError."""
        built = []
        for name, options in faults.items():
            fields = {"rate": options} if isinstance(options, int | float) else dict(options)
            try:
                built.append(Fault(name, **fields))
            except TypeError as error:
                raise ValueError(f"The fault {name!r} has no such option: {sorted(fields)}.") from error
        with self._lock:
            self._faults = built

    def strike(self, kind: str, path: str) -> Strike | None:
        """The fault that meets a call of this kind (reads, spends, changes), or None."""
        with self._lock:
            for fault in self._faults:
                if fault.only not in ("all", kind) or not path.lower().startswith(fault.path.lower()):
                    continue
                if fault.times == 0 or self._rng.random() >= fault.rate:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                name = self._rng.choice(MIXED) if fault.name == "mixed" else fault.name
                return Strike(name, SECONDS.get(name, 0.0) if fault.seconds is None else fault.seconds)
        return None

    def as_dict(self) -> dict[str, Any]:
        """What is switched on, as `set` takes it."""
        fields = ("rate", "only", "seconds", "times", "path")
        return {fault.name: {name: getattr(fault, name) for name in fields} for fault in self._faults}


class Limit:
    """At most `rate` calls in any second (0 or None: no limit); what 429 says in Retry-After is a choice."""

    def __init__(self, rate: float | None = None, retry_after: str = "number") -> None:
        self._lock = threading.Lock()
        self._taken: deque[float] = deque()
        self.set(rate, retry_after)

    def set(self, rate: float | None, retry_after: str) -> None:
        """Change both; `retry_after` may also be a number of seconds. Raises ValueError for an unknown form."""
        if retry_after not in RETRY_AFTER and not retry_after.isdecimal():
            raise ValueError(f"Retry-After can be one of {', '.join(RETRY_AFTER)} or seconds, not {retry_after!r}.")
        self.rate = rate
        self.retry_after = retry_after

    def refuses(self) -> bool:
        """Count one call; True if it is one too many. Refused calls do not count."""
        if not self.rate:
            return False
        now = time.monotonic()
        with self._lock:
            while self._taken and self._taken[0] <= now - max(1.0, 1 / self.rate):
                self._taken.popleft()
            if len(self._taken) >= max(1.0, self.rate):
                return True
            self._taken.append(now)
            return False

    def headers(self, now: datetime) -> dict[str, str]:
        """The Retry-After header in the chosen form; `now` is the provider's time."""
        forms = {
            "number": "1",
            "date": http_date(now + timedelta(seconds=2)),
            "huge": "31536000",
            "negative": "-5",
            "garbage": "soon",
        }
        said = self.retry_after if self.retry_after.isdecimal() else forms.get(self.retry_after)
        return {} if said is None else {"Retry-After": said}
