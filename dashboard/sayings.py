"""Sentences that are kept as they were first said, in English, and shown in the language of who reads them.

Workers write down what became of a purchase, why a reading failed, what an alert is about; the audit keeps why a form
was declined. Who reads it later may read another language, so the record stays English, and `said` finds the sentence
that it was made from. What is none of ours, such as the provider's own words, stays as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from django.conf import settings
from django.utils.translation import gettext

from .languages import current
from .local_time import short_day
from .sentences import SENTENCES
from .wording import usd

_HOLE = re.compile(r"%\((\w+)\)s")


def said(words: str) -> str:
    """The words in the current language: each sentence of ours that is in them, and all else as it is."""
    language = current()
    return words if language == settings.LANGUAGE_CODE or not words else _said(words, language)


@lru_cache(maxsize=2000)
def _said(words: str, language: str) -> str:
    known = _one(words)
    if known is not None:
        return known
    # Several sentences in a row: what a worker adds, the provider's answer before or after it.
    for at in (found.end() for found in re.finditer(r"[.:!?] ", words)):
        first = _one(words[: at - 1])
        if first is not None:
            return f"{first} {_said(words[at:], language)}"
        rest = _one(words[at:])
        if rest is not None:
            return f"{_said(words[: at - 1], language)} {rest}"
    return words


def _one(words: str) -> str | None:
    """One sentence of the list in the current language, or None where it is not in it."""
    if words in SENTENCES:
        return gettext(words)
    for sentence, pattern in _patterns():
        if found := pattern.fullmatch(words):
            values = {name: _VALUES.get(name, _figure)(value) for name, value in found.groupdict().items()}
            return gettext(sentence) % values
    return None


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The sentences with holes, those that say most first: a hole takes in whatever stands there."""
    holed = sorted((each for each in SENTENCES if "%(" in each), key=lambda each: -len(_HOLE.sub("", each)))
    return [(each, re.compile(_pattern(each), re.DOTALL)) for each in holed]


def _pattern(sentence: str) -> str:
    *most, last = _HOLE.split(sentence)
    pairs = zip(most[::2], most[1::2], strict=True)
    return "".join(f"{re.escape(words)}(?P<{name}>{_hole(name)})" for words, name in pairs) + re.escape(last)


def _hole(name: str) -> str:
    """What fits a hole: sentences only where sentences may stand."""
    return ".+?" if name in ("rest", "answer") else r"(?:(?![.!?] ).)+?"


def _figure(value: str) -> str:
    """An amount of money in the notation of the language; anything else stays."""
    if re.fullmatch(r"-?\$[\d,]+\.\d\d", value):
        return usd(Decimal(value.replace("$", "").replace(",", "")))
    return value


def _when(value: str) -> str:
    """ "21 Nov 14:31", as alerts write it."""
    try:
        # The year only has to have a 29 February.
        at = datetime.strptime(f"2024 {value}", "%Y %d %b %H:%M")  # noqa: DTZ007 (its zone stands behind it)
    except ValueError:
        return value
    return f"{short_day(at)} {at:%H:%M}"


def _listed(value: str) -> str:
    return ", ".join(gettext(each) for each in value.split(", "))


# How what stands in a hole of this name is said.
_VALUES: dict[str, Callable[[str], str]] = {
    "when": _when,
    "kinds": _listed,
    "rest": lambda value: said(value),
    "deed": gettext,
}
