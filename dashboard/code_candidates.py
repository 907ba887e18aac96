"""What in the text of an SMS could be a code: reading the text, and collecting the candidates.

Nothing here knows a word of any language, and nothing here decides; `codes.py` weighs the candidates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r"[0-9A-Za-z\u00c0-\u024f]+")
# Words with a digit in them (98point6, Trade360) and quantities (5gb, 10am, 2nd): never codes.
_ORDINARY = re.compile(
    r"[a-z\u00df-\u024f]{4,}\d+|[A-Z][a-z\u00df-\u024f]{2,}\d+|\d+[a-z]{3,}|\d+(?:st|nd|rd|th|[ap]m|[gmkt]b(?:ps|it)?|k?m|kg|[xhsmd])"
    r"|\d*[A-Za-z]*[a-z]{4,}\d*",
)
_WORD_LIKE = re.compile(r"[a-z]{3}\d+")  # web3, sha256
_UNSPEAKABLE = re.compile(r"[b-df-hj-np-tv-xz]{5,8}|(?=[a-z]{6,8}$)[b-df-hj-np-tv-xz]*[aeiouy][b-df-hj-np-tv-xz]*")


# "您的验证码是385014,5分钟内有效": a comma that ends a clause, as no decimal has a Han character after it.
_CLAUSE = re.compile(r"(?<![\d.,])(\d{2,4}[- ]\d{2,4}|\d{4,8}),(?=\d{1,2} ?[\u4e00-\u9fff])")


@dataclass(frozen=True, slots=True)
class Message:
    clean: str  # ASCII digits, plain spaces and dashes, nothing invisible
    folded: str  # `clean` in lower case without accents, character for character


@dataclass(frozen=True, slots=True)
class Candidate:
    start: int
    end: int
    code: str
    shape: float  # how much it looks like a code before any context is read


class _CharacterTable(dict[int, str | None]):
    """A table for `str.translate` that fills itself, up to a size that hostile text cannot exceed."""

    def __init__(self, convert: Callable[[str], str | None]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, codepoint: int) -> str | None:
        result = self._convert(chr(codepoint))
        if len(self) < 8000:
            self[codepoint] = result
        return result


def _clean_character(character: str) -> str | None:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in ("Cf", "Me") or "\u0300" <= character <= "\u036f" or "\ufe00" <= character <= "\ufe0f":
        return None
    if category in ("Zs", "Cc") and character not in "\n\v\f\x85":
        return " "
    if category in ("Zl", "Zp", "Cc"):
        return "\n"
    if category == "Pd" or character == "\u2212":
        return "-"
    if "\uff01" <= character <= "\uff5e" and character != "，":  # "385014，5分钟" is no decimal
        return chr(ord(character) - 0xFEE0)
    return character


_FOLDED = dict(zip("ıđłøßħŧæœəкکىیئأإآٱةۃھہۀەے", "idlosht" + "aoeкكييياااااهههههههي", strict=False))


def _fold_character(character: str) -> str | None:
    lower = character.lower()
    if lower in _FOLDED:
        return _FOLDED[lower]
    base = unicodedata.normalize("NFD", lower)[0]
    if base < "\u0530":  # Latin, Greek, Cyrillic: accents are often left out in SMS
        return _FOLDED.get(base, base)
    return lower if len(lower) == 1 else character


_CLEAN = _CharacterTable(_clean_character)
_FOLD = _CharacterTable(_fold_character)


def read(text: str) -> Message:
    clean = _CLAUSE.sub(r"\1，", unicodedata.normalize("NFC", text).translate(_CLEAN))
    return Message(clean, clean.translate(_FOLD))


def candidates(message: Message) -> Iterator[Candidate]:
    tokens = [(found.start(), found.end()) for found in _TOKEN.finditer(message.clean)]
    index = 0
    while index < len(tokens):
        last = _run_end(message.clean, tokens, index)
        yield from _of_run(message.clean, tokens[index : last + 1])
        index = last + 1


def _run_end(clean: str, tokens: list[tuple[int, int]], index: int) -> int:
    """The last token that belongs to the group begun at `index`: "123 456", "1 2 3 4", "G-123456", "a u 8 k"."""
    last = index
    separator = clean[tokens[index][1] : tokens[index][1] + 1]
    if separator not in (" ", "-"):
        return index
    while last + 1 < len(tokens):
        gap = clean[tokens[last][1] : tokens[last + 1][0]]
        if gap != separator:
            break
        if separator == " " and not _joined_by_space(clean[slice(*tokens[last])], clean[slice(*tokens[last + 1])]):
            break
        last += 1
    return last


def _joined_by_space(left: str, right: str) -> bool:
    if len(left) == 1 and len(right) == 1:
        return True
    return left.isdigit() and right.isdigit() and len(left) <= 5 and len(right) <= 5


def _of_run(clean: str, run: list[tuple[int, int]]) -> Iterator[Candidate]:
    parts = [clean[start:end] for start, end in run]
    start, end = run[0][0], run[-1][1]
    if len(parts) == 1:
        yield from _plain(start, end, parts[0])
    elif clean[run[0][1]] == " ":
        yield from _spaced(run, parts)
    elif all(part.isdigit() for part in parts):
        yield from _dashed_digits(start, end, parts)
    else:
        yield from _dashed_letters(run, parts)


def _plain(start: int, end: int, token: str) -> Iterator[Candidate]:
    if token.isdigit():
        shape = {3: -1.5, 4: 1.5, 5: 1.5, 6: 2.0, 7: 0.5, 8: 1.0, 9: 0.0, 10: -0.5}.get(len(token))
        if shape is not None:
            yield Candidate(start, end, token, shape + (_year_like(token) or _day_like(token)))
    elif any(character.isdigit() for character in token):
        if 4 <= len(token) <= 10 and not _ORDINARY.fullmatch(token):
            shape = 1.0 if token.upper() == token and len(token) >= 5 else 0.0
            shape -= 1.5 if _WORD_LIKE.fullmatch(token) else 0.0
            yield Candidate(start, end, token, shape if sum(c.isdigit() for c in token) > 1 else shape - 0.5)
    elif _UNSPEAKABLE.fullmatch(token):
        yield Candidate(start, end, token, -2.0)
    elif 4 <= len(token) <= 10 and token.isupper():
        yield Candidate(start, end, token, -4.0)


def _spaced(run: list[tuple[int, int]], parts: list[str]) -> Iterator[Candidate]:
    if parts[-1].isalpha() and parts[-1].islower() and all(part.isdigit() for part in parts[:-1]):
        run, parts = run[:-1], parts[:-1]  # a word: "4 4 0 2 9 1 è il codice"
    sizes = [len(part) for part in parts]
    total = sum(sizes)
    start, end = run[0][0], run[-1][1]
    if len(parts) == 1:
        yield from _plain(start, end, parts[0])
    elif max(sizes) == 1:
        if 4 <= total <= 10 and any(part.isdigit() for part in parts):
            yield Candidate(start, end, "".join(parts), 1.5)
    elif len(set(sizes)) == 1 and 4 <= total <= 10:
        yield Candidate(start, end, "".join(parts), 1.8 if total >= 6 else 0.0)
    elif total < 9 or len(parts) == 2:  # longer ones with unequal groups are phone or account numbers
        if total == 8 and min(sizes) >= 2 and max(sizes) <= 3:
            yield Candidate(start, end, "".join(parts), 0.0)
        for (left, right), part in zip(run, parts, strict=True):
            if len(part) >= 4:
                yield from _plain(left, right, part)


def _dashed_digits(start: int, end: int, parts: list[str]) -> Iterator[Candidate]:
    sizes = [len(part) for part in parts]
    if not 4 <= sum(sizes) <= 10 or sizes == [3, 4] or len(parts) > 6:
        return
    even = len(set(sizes)) == 1
    if even or sum(sizes) <= 8:
        yield Candidate(start, end, "".join(parts), (1.8 if sum(sizes) >= 6 else 0.5) if even else -0.5)


def _dashed_letters(run: list[tuple[int, int]], parts: list[str]) -> Iterator[Candidate]:
    """A prefix ("G-123456"), a grammatical ending ("123456-os") or a code with letters ("A1B2-C3D4")."""
    head, tail = parts[0], parts[1]
    if len(parts) == 2 and tail.isdigit() and head.isalpha() and 3 <= len(tail) <= 10:
        if head.lower() != head and head.upper() != head and head.title() != head:
            return  # "isG-345821": glued by accident, nobody can tell where it begins
        if head.isupper() and len(head) == len(tail) == 3:
            yield Candidate(run[0][0], run[1][1], f"{head}-{tail}", 0.0)
            return
        google = len(head) == 1 and head.isupper() and 5 <= len(tail) <= 8
        start = run[0][0] if len(head) == 1 else run[1][0]  # "OTP-4821": the word before counts as a word
        yield Candidate(start, run[1][1], tail, 4.5 if google else 1.0 if len(tail) > 3 else -1.5)
    elif len(parts) == 2 and len(head) == 1 and head.isupper() and tail.isalnum():
        yield from _plain(run[0][0], run[1][1], tail)
    elif len(parts) == 2 and head.isdigit() and tail.isalpha() and tail.islower():
        yield from _plain(*run[0], head)
    elif len(parts) <= 3 and all(part.upper() == part for part in parts):
        code = "-".join(parts)
        if 5 <= len(code) <= 12 and any(part.isdigit() for part in code):
            yield Candidate(run[0][0], run[-1][1], code, 1.0 if len(parts) == 2 and len(code) >= 6 else 0.0)
        elif 6 <= len(code) <= 9:
            yield Candidate(run[0][0], run[-1][1], code, -4.0)


def _year_like(token: str) -> float:
    return -2.5 if len(token) == 4 and "1900" <= token <= "2099" else 0.0


def _day_like(token: str) -> float:
    """20260605: a day written in one piece."""
    if len(token) != 8 or token[:2] not in ("19", "20"):
        return 0.0
    return -2.0 if "01" <= token[4:6] <= "12" and "01" <= token[6:] <= "31" else 0.0
