"""What is known about languages and patterns, read from the JSON files beside this module.

README.md says how to add a language. Words are compared folded: lower case, without accents.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..code_candidates import read

FOLDER = Path(__file__).parent
KINDS = (
    "code",
    "label",
    "enter",
    "sign_in",
    "offer",
    "secret",
    "hint",
    "number",
)  # of two equal phrases the earlier counts
KEY = 4

Phrase = tuple[str, bool, bool, str]  # folded text, open at the left, open at the right, kind


@dataclass(frozen=True, slots=True)
class Rules:
    phrases: dict[str, list[Phrase]]
    vetoes: tuple[re.Pattern[str], ...]  # searched in the whole folded text
    unit_after: re.Pattern[str]
    currency_before: re.Pattern[str]
    iso_currencies: frozenset[str]
    connector: re.Pattern[str]


@lru_cache(maxsize=1)
def rules() -> Rules:
    """The data of this folder, read once per process, at the first message."""
    measures, connectors = _load(FOLDER / "measures.json"), _load(FOLDER / "connectors.json")
    patterns = [_load(path) for path in sorted(FOLDER.glob("not_*.json"))]
    found = {phrase for path in (FOLDER / "languages").glob("*.json") for phrase in _phrases(_load(path))}
    return Rules(
        phrases=_by_beginning(found),
        vetoes=tuple(re.compile(pattern) for rule in patterns for pattern in rule["patterns"]),
        unit_after=re.compile(r"[ \-]?(?:" + _alternatives(measures["after"]) + ")"),
        currency_before=re.compile(
            r"(?<![^\W\d_])(?<!\d)(?<!\d )(?:" + _alternatives(measures["before"]) + r")[.:]?[ ]?$"
        ),
        iso_currencies=frozenset(measures["iso_currencies"]),
        connector=re.compile(r"(?:" + _alternatives(connectors["words"], left=True) + r")[ :]{0,2}$"),
    )


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _phrases(language: dict[str, Any]) -> set[Phrase]:
    return {
        (read(entry.strip("*")).folded, entry.startswith("*"), entry.endswith("*"), kind)
        for kind in KINDS
        for entry in language.get(kind, ())
    }


def _by_beginning(found: set[Phrase]) -> dict[str, list[Phrase]]:
    """Phrases by their first characters, the longest first; a bucket also holds those of its shorter keys."""
    table: dict[str, list[Phrase]] = {}
    for phrase in found:
        table.setdefault(phrase[0][:KEY], []).append(phrase)
    for key in sorted(table, key=len):
        for size in range(1, len(key)):
            table[key] += [phrase for phrase in table.get(key[:size], ()) if len(phrase[0]) == size]
        table[key].sort(key=lambda entry: (-len(entry[0]), KINDS.index(entry[3]), entry))
    return table


def _alternatives(entries: list[str], *, left: bool = False) -> str:
    """One pattern for all entries: "min" is a whole word, "минут*" a beginning, "*分*" stands anywhere."""
    parts = []
    for entry in sorted(entries, key=len, reverse=True):
        word = re.escape(read(entry.strip("*")).folded)
        opening = "" if not left or entry.startswith("*") else r"(?<![^\W\d_])"
        parts.append(opening + word + ("" if entry.endswith("*") else r"(?![^\W_])"))
    return "|".join(parts)
