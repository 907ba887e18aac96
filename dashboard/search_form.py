"""The form in which texts are searched: case, accents, widths and ways to group digits make no difference.

A stored text and what somebody types go through the same function; "part of a word" is then a substring, in any
script. Indexes know runs of three characters: what is shorter than that is made longer (see `wanted`).
"""

from __future__ import annotations

import re
import unicodedata

# Between the fields of a document; what is looked for never holds it.
FIELD_END = "\n"
# Between words: a letter that is in no word (a click of Khoisan languages). PostgreSQL takes its trigrams word by word,
# and so does not see them across a space: whoever looks for "on code" would get every message with "code".
SPACE = "\u01c0"
SHORTEST = 3
# Letters with a stroke or without a dot, which Unicode does not take apart.
_PLAIN = str.maketrans("ıłøđħ", "ilodh")
_SYMBOLS = 0x20A0  # the euro and all after it: currencies, arrows, pictures
# Chinese, Japanese and Korean have no spaces: each character stands alone, so that one or two can be found.
_ALONE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_GROUPED_DIGITS = re.compile(r"[0-9]+(?: [0-9]+)+")


class _Table(dict[int, str | None]):
    """What becomes of each character, found out once: digits of any script ASCII, marks gone, punctuation a space."""

    def __missing__(self, point: int) -> str | None:
        char = chr(point)
        kind = unicodedata.category(char)
        found: str | None = " "
        if kind == "Cf" or point == 0x640 or 0xFE00 <= point <= 0xFE0F or unicodedata.combining(char):
            found = None  # invisible characters, the Arabic stretching line, accents and vowel points
        elif kind == "Nd":
            found = str(unicodedata.decimal(char))
        elif kind in ("So", "Sc") and point >= _SYMBOLS:
            found = f" u{point:x} "  # indexes know letters only
        elif kind[0] in "LNM" and char != SPACE:
            found = char
        self[point] = found
        return found


_TABLE = _Table()


def words_of(text: str) -> list[str]:
    """The text as words of letters and digits, as they are compared."""
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).casefold()
        text = unicodedata.normalize("NFC", text.translate(_TABLE)).translate(_PLAIN)
        return _ALONE.sub(r" \g<0> ", text).split()
    return text.translate(_TABLE).split()


def form_of(text: str) -> str:
    """The text as it is stored for the search: words with a space before, between and after them, or nothing.

    Digits in groups stand there once more without spaces, so that a number is found however it is grouped.
    """
    words = " ".join(words_of(text))
    numbers = [run.replace(" ", "") for run in _GROUPED_DIGITS.findall(words)]
    return f" {' '.join([words, *numbers])} ".replace(" ", SPACE) if words else ""


def document_of(*fields: str) -> str:
    """Several fields as one text to search, empty where they are: nothing is found that goes across two of them."""
    return FIELD_END.join(form_of(field) for field in fields)


def wanted(typed: str) -> tuple[str, ...]:
    """What a document must hold to be found by what somebody typed: all that stands between spaces, in any order.

    Pieces of at least SHORTEST characters; none where nothing typed could be found. Digits in groups are one number.
    A word of one or two characters belongs to its neighbour; alone, two characters begin a word and one is a word.
    """
    words = [word for part in typed.split() if (word := " ".join(words_of(part)))]
    joined = "".join(words).replace(" ", "")
    if joined.isascii() and joined.isdecimal():
        # "00" before a country is dialled, not stored.
        words = [joined[2:] if joined.startswith("00") and len(joined) > 6 else joined]
    return tuple(dict.fromkeys(piece.replace(" ", SPACE) for piece in _pieces(words)))


def _pieces(words: list[str]) -> list[str]:
    pieces: list[str] = []
    short: list[str] = []
    for word in words:
        short.append(word)
        if len(word) >= SHORTEST:
            pieces.append(" ".join(short))
            short = []
    rest = " ".join(short)
    if rest and len(rest) < SHORTEST and pieces:
        pieces[-1] += f" {rest}"
    elif rest:
        pieces.append(_padded(rest))
    return pieces


def _padded(piece: str) -> str:
    if len(piece) >= SHORTEST:
        return piece
    return f" {piece} " if len(piece) == 1 else f" {piece}"
