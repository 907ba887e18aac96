"""What ails a database that cannot be used, in words for people: full, for reading only, busy, or away."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, OperationalError

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
    """A sentence if the error, or what it came from, is that the database cannot be used; else ""."""
    for each in _chain(error):
        if isinstance(each, DatabaseError | InterfaceError) and (words := _words_of(each)):
            return words
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _words_of(error: DatabaseError | InterfaceError) -> str:
    cause = error.__cause__
    code = getattr(cause, "sqlstate", None)
    if code:
        return next((words for start, words in _POSTGRESQL.items() if code.startswith(start)), "")
    if hasattr(cause, "sqlstate"):
        # PostgreSQL's driver, without a code: no connection could be made, or it broke.
        return AWAY if isinstance(error, OperationalError | InterfaceError) else ""
    return next((words for part, words in _SQLITE.items() if part in str(error).lower()), "")
