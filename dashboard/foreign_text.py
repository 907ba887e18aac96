"""Text that strangers wrote: SMS and their senders, made to show what they hold. The templates escape it.

Characters that act on a terminal or turn the reading direction of what stands after them become visible
signs, so that nothing in a message can hide or re-order another part of it. Nothing is cut or lost.
"""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, and the bidirectional embeddings, overrides and isolates.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# Also what begins a new line, what only marks a direction, and halves of characters, which no database takes.
_LINES = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

# Longer texts are folded: their beginning stands in the row, the whole behind it.
FOLD_OVER = 600
FOLD_AT = 300


def visible(text: str) -> str:
    """ "a\\0b" -> "a[U+0000]b", "a\\u202eb" -> "a[U+202E]b"; CR LF becomes a newline. Still has to be escaped."""
    if _CONTROLS.search(text) is None:
        return text
    return _CONTROLS.sub(_sign, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """As `visible`, and a line break or tab becomes a sign too: what is made of it is one line of a record or log."""
    return _LINES.sub(_sign, text)


def beginning(text: str) -> str:
    """The first words of a text that is to be folded, with an ellipsis; empty for a shorter one."""
    if len(text) <= FOLD_OVER:
        return ""
    head = text[:FOLD_AT]
    space = head.rfind(" ")
    return (head[:space] if space > FOLD_AT // 2 else head).rstrip() + "…"


def _sign(match: re.Match[str]) -> str:
    # In plain letters: few fonts hold the pictures that Unicode has for these.
    return f"[U+{ord(match.group()):04X}]"
