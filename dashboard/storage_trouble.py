"""What ails a database that cannot be used, in words for people: full, for reading only, busy, or away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import OperationalError

FULL = "The disk of the server is full: nothing can be saved until there is room again."
READ_ONLY = "The database can only be read at the moment: nothing can be saved."
BUSY = "The database is busy with something that takes long."
AWAY = "The database does not answer."
# SQLite tells by text alone; what is not here (a table that is missing) is an error of ours.
_SQLITE = {
    "database or disk is full": FULL,
    "attempt to write a readonly database": READ_ONLY,
    "database is locked": BUSY,
    "database table is locked": BUSY,
    "disk i/o error": AWAY,
    "unable to open database file": AWAY,
}
# PostgreSQL's codes by their beginning (its manual, appendix A).
_POSTGRESQL = {"53100": FULL, "25006": READ_ONLY, "55P03": BUSY, "53": BUSY, "57": AWAY, "58": AWAY, "08": AWAY}


def words_of(error: BaseException | None) -> str:
    """A sentence if the error, or one that it came from, is that the database cannot be used; else ""."""
    return next((words for each in _origins(error) if (words := _words_of(each))), "")


def _origins(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and what was being handled then. Django and its driver leave both."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        each = todo.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [each.__context__, each.__cause__]


def _words_of(error: BaseException) -> str:
    if hasattr(error, "sqlstate"):
        return _words_of_driver(error)
    if not isinstance(error, OperationalError):
        return ""
    return next((words for part, words in _SQLITE.items() if part in str(error).lower()), "")


def _words_of_driver(error: Any) -> str:
    """PostgreSQL's: without a code no connection could be made, or it broke; or we used it wrongly."""
    if error.sqlstate:
        return next((words for start, words in _POSTGRESQL.items() if error.sqlstate.startswith(start)), "")
    return AWAY if any(each.__name__ in ("OperationalError", "InterfaceError") for each in type(error).__mro__) else ""
