"""What may stand in the record of deeds: one line each, bounded, plain. Pure functions."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from anosim_dashboard.redaction import redact

from .foreign_text import one_line

LONGEST = 300  # characters of a text in the details
MOST = 40  # entries of a list or a table in them
DEEPEST = 3
DETAILS_LENGTH = 4000  # characters of all details together, as JSON


def line(text: Any, limit: int) -> str:
    """The text in one line, with what acts on a terminal made visible and keys masked; cut at `limit`."""
    return one_line(redact(str(text)))[:limit]


def details(values: dict[str, Any]) -> dict[str, Any]:
    """The same as plain JSON that every database gives back as it was; only the names of what is too much."""
    plain = {line(name, 60): _plain(value, DEEPEST) for name, value in list(values.items())[:MOST]}
    if len(json.dumps(plain)) <= DETAILS_LENGTH:
        return plain
    return {"too long to keep": ", ".join(plain)[:LONGEST]}


def address(text: str | None) -> str | None:
    """An IP address in its usual spelling; None for what is none."""
    try:
        found = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    # Larger ones, and all with a point, do not come back from every database as they were.
    if isinstance(value, int) and abs(value) < 2**53:
        return int(value)
    if depth and isinstance(value, dict):
        return {line(name, 60): _plain(each, depth - 1) for name, each in list(value.items())[:MOST]}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, depth - 1) for each in list(value)[:MOST]]
    return line(value, LONGEST)
