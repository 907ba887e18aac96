"""How a page shows that a worker was asked for something: asking, answered, no answer yet, queue away.

The question lives in the page's URL alone: when it was asked, and a digest of the answer known then. No row
and no session remembers it, and a link that is opened again later shows the answer.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest

from .parameters import text_of, whole_of

# Seconds after which a worker's silence is worth a sentence, and after which the question is forgotten.
LATE = 20
FORGOTTEN = 180


def digest(*answer: Any) -> str:
    """Short text that changes with the answer."""
    return hashlib.blake2s(repr(answer).encode(), digest_size=5).hexdigest()


def question(known: str, queued: bool) -> str:
    """Query string of a question asked now; `known` is the digest of the answer so far."""
    parameters = {"asked": str(int(time.time())), "known": known}
    return urlencode(parameters if queued else parameters | {"away": "1"})


@dataclass(frozen=True)
class Asking:
    """State of the question in a URL."""

    age: float
    known: str
    away: bool

    @classmethod
    def of(cls, request: HttpRequest) -> Asking:
        asked = whole_of(request.GET, "asked")
        age = time.time() - asked if asked is not None else FORGOTTEN
        return cls(age, text_of(request.GET, "known"), "away" in request.GET)

    @property
    def phase(self) -> str:
        """What time alone says: "away", "asking", "late", or "" for a question that is none (any more)."""
        if not -LATE <= self.age < FORGOTTEN:
            return ""
        if self.away:
            return "away"
        return "asking" if self.age < LATE else "late"

    def state(self, answer: str) -> str:
        """The phase, or "" when the answer (its digest) is another one than when the question was asked."""
        return self.phase if answer == self.known else ""


def phase(request: HttpRequest, **kwargs: Any) -> str:
    """Salt for a panel's version: the panel also moves when an answer is late."""
    return Asking.of(request).phase
