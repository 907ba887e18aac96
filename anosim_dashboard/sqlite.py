"""Which SQLite the process uses, and whether its write-ahead log can be trusted.

SQLite before 3.51.3 (3.50.7, 3.44.6) can lose commits in WAL mode with several processes on one file
(sqlite.org/wal.html, "WAL-reset bug"), which is just how web, worker and beat use it.
"""

import sqlite3
import sys

Version = tuple[int, ...]


def wal_is_safe(version: Version) -> bool:
    """Whether this SQLite has the fix of the WAL-reset bug, by its version as (major, minor, patch)."""
    if version >= (3, 51, 3):
        return True
    return (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def use_newest() -> Version:
    """Let Django's `import sqlite3` find the wheel's newer SQLite where the system's is old; the version in use."""
    if wal_is_safe(sqlite3.sqlite_version_info):
        return sqlite3.sqlite_version_info
    try:
        import pysqlite3
        from pysqlite3 import dbapi2
    except ImportError:
        return sqlite3.sqlite_version_info
    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = dbapi2
    version: Version = pysqlite3.sqlite_version_info
    return version


def options(version: Version) -> dict[str, object]:
    """Django's OPTIONS for SQLite: IMMEDIATE ends "database is locked", the journal mode follows the version."""
    journal = "WAL" if wal_is_safe(version) else "DELETE"
    pragmas = f"PRAGMA journal_mode={journal}; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;"
    return {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas}
