"""At which point is killed, on the way to what: one case per failpoint and kind of purchase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

LONGEST = 60.0  # seconds from the restart until a purchase is settled (G2)
KINDS = ("order", "extend", "reuse")
AFTER = {"reset-after": {"rate": 1, "only": "spends", "times": 1}}
BEFORE = {"reset-before": {"rate": 1, "only": "spends", "times": 1}}


def _both(*moves: str) -> tuple[str, ...]:
    return tuple(f"{move}:{place}" for move in moves for place in ("before-commit", "after-commit"))


@dataclass(frozen=True)
class Way:
    """How a purchase gets to the points: what goes wrong at the provider, what is done before (and killed there, if
    `killed_before` says so), what happens then, and what the worker does that is killed at the point."""

    points: tuple[str, ...]
    acts: tuple[str, ...]
    faults: dict[str, Any] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    killed_before: str = ""
    meanwhile: str = ""
    patch: dict[str, float] = field(default_factory=dict)
    ends: tuple[str, ...] = ("confirmed", "absent")


WAYS: dict[str, Way] = {
    "bought": Way(
        (
            *("queue:before-commit", "queue:after-commit", *_both("queued>preparing")),
            *("prepare:before-look", "prepare:looked", *_both("preparing>sending")),
            *("send:before-call", "send:after-call", *_both("sending>confirmed")),
        ),
        ("queue", "send"),
    ),
    "answer lost": Way(
        (*_both("sending>unknown"), "settle:before-look", "settle:looked", *_both("unknown>confirmed")),
        ("queue", "send", "work"),
        AFTER,
        ends=("confirmed",),
    ),
    "never arrived": Way(
        ("settle:later", *_both("unknown>absent")), ("queue", "send", "age", "work"), BEFORE, ends=("absent",)
    ),
    "refused": Way(_both("unknown>rejected"), ("queue", "send", "work"), meanwhile="unavailable", ends=("rejected",)),
    "dearer": Way(_both("preparing>rejected"), ("queue", "send"), meanwhile="dearer", ends=("rejected",)),
    "slow reads": Way(_both("preparing>queued"), ("queue", "send"), patch={"LOOK_FRESH": -1.0}, ends=("confirmed",)),
    "slept": Way(_both("sending>queued"), ("queue", "send"), patch={"FRESH": -1.0}),
    "bell lost": Way(("sweep:claimed",), ("queue", "work"), ends=("confirmed",)),
    "worker died preparing": Way(
        _both("preparing>queued"),
        ("work",),
        before=("queue", "send"),
        killed_before="prepare:looked",
        ends=("confirmed",),
    ),
    "worker died sending": Way(
        _both("sending>unknown"),
        ("work",),
        before=("queue", "send"),
        killed_before="send:after-call",
        ends=("confirmed",),
    ),
    "too many orders": Way(
        _both("unknown>needs_review"),
        ("work",),
        AFTER,
        before=("queue", "send"),
        meanwhile="crowd",
        ends=("needs_review",),
    ),
    "said to be bought": Way(
        _both("needs_review>confirmed"),
        ("decide",),
        AFTER,
        before=("queue", "send", "crowd", "work"),
        ends=("confirmed",),
    ),
    "said to be absent": Way(
        _both("needs_review>absent"),
        ("decide",),
        BEFORE,
        before=("queue", "send", "crowd", "work"),
        ends=("absent",),
    ),
    "taken back": Way(_both("queued>cancelled"), ("queue", "withdraw"), ends=("cancelled",)),
}


@dataclass(frozen=True)
class Case:
    name: str
    point: str
    kind: str
    way: Way

    def __str__(self) -> str:
        return f"{self.kind:7} {self.point:32} {self.name}"


def all_cases() -> Iterator[Case]:
    for name, way in WAYS.items():
        for point in way.points:
            for kind in KINDS:
                yield Case(name, point, kind, way)


QUICK = (
    ("order", "send:before-call"),
    ("extend", "send:after-call"),
    ("reuse", "send:after-call"),
    ("order", "sending>confirmed:before-commit"),
    ("order", "queue:after-commit"),
    ("extend", "preparing>sending:after-commit"),
    ("order", "sending>unknown:before-commit"),
    ("reuse", "unknown>confirmed:before-commit"),
    ("order", "unknown>absent:before-commit"),
    ("order", "unknown>rejected:before-commit"),
)


def quick_cases() -> list[Case]:
    """One case of each of the points where most could be lost or doubled."""
    cases: dict[tuple[str, str], Case] = {}
    for case in all_cases():
        cases.setdefault((case.kind, case.point), case)
    return [cases[wanted] for wanted in QUICK]
