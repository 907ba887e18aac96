"""Rows as CSV that a spreadsheet can open without running anything in it: RFC 4180, CRLF. Pure functions."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable

# Without it Excel takes UTF-8 for the code page of the machine.
BOM = "\ufeff"
# What a spreadsheet takes for the beginning of a formula (ASVS 1.2.10), also behind what it may pass over: spaces,
# quotes, marks without width. A tab or line end may begin a cell of its own.
_SIGNS = frozenset("=+-@|\t\r\n")
_PASSED_OVER = re.compile(r"[\"'`\u2018-\u201f\u00ab\u00bb\u00a0\u3000 ]+")
_APOSTROPHE = "'"


def safe_cell(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet could take it for a formula.

    Full-width and other look-alikes of the signs count as the signs; a phone number's + counts too. Only what stands
    in front is added: without a leading apostrophe the cell is the text itself.
    """
    head = text[:64]
    for sign in head:
        if _PASSED_OVER.fullmatch(sign) or unicodedata.category(sign) in ("Cf", "Zs", "Mn", "Me"):
            continue
        plain = unicodedata.normalize("NFKC", sign)[:1]
        risky = plain in _SIGNS or unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Pd") or sign == "\u2212"
        return _APOSTROPHE + text if risky else text
    # Nothing but what is passed over: harmless where that is all, unknown where more follows.
    return _APOSTROPHE + text if len(text) > len(head) else text


def csv_rows(rows: Iterable[Iterable[str]]) -> str:
    """The rows as lines of CSV, every cell made safe."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return lines.getvalue()
