"""What a save did: it drives the nudges to browsers and what is read next."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Changes:
    """`new` and `changed` count rows; `topics` have moved; `hurry` names kinds that are worth reading at once;
    `received` tells when the provider got each new message."""

    new: int = 0
    changed: int = 0
    topics: set[str] = field(default_factory=set)
    hurry: set[str] = field(default_factory=set)
    received: list[datetime] = field(default_factory=list)

    def add(self, other: Changes) -> Changes:
        self.new += other.new
        self.changed += other.changed
        self.topics |= other.topics
        self.hurry |= other.hurry
        return self
