"""What a save did: it drives the nudges to browsers and what is read next."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Changes:
    """`new` and `changed` count rows; `topics` have moved; `hurry` names kinds that are worth reading at once."""

    new: int = 0
    changed: int = 0
    topics: set[str] = field(default_factory=set)
    hurry: set[str] = field(default_factory=set)

    def add(self, other: Changes) -> Changes:
        self.new += other.new
        self.changed += other.changed
        self.topics |= other.topics
        self.hurry |= other.hurry
        return self
