"""Databases of a test's own, beside the one that the run uses: for what runs manage.py as people do."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
POSTGRES = os.environ.get("DATABASE_URL", "")
_serial = itertools.count(1)


@contextmanager
def new_database(folder: Path, like: str = "") -> Iterator[str]:
    """The URL of a database of the kind that the run is on, empty or a copy of the one at `like`; gone afterwards."""
    name = f"own_{os.getpid()}_{next(_serial)}"
    if not POSTGRES.startswith("postgres"):
        if like:
            shutil.copy(like.removeprefix("sqlite:///"), folder / f"{name}.sqlite3")
        yield f"sqlite:///{folder / name}.sqlite3"
        return
    with psycopg.connect(POSTGRES, autocommit=True) as server:
        template = f' TEMPLATE "{urlsplit(like).path[1:]}"' if like else ""
        server.execute(f'CREATE DATABASE "{name}"{template}'.encode())
        try:
            yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def manage(url: str, folder: Path, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run `manage.py WORDS` over the database at `url` with the data folder `folder`; `code` runs in its shell."""
    command = ["shell", "--no-imports", "-c", code] if code else list(words)
    environment = {**os.environ, "DATABASE_URL": url, "DATA_DIR": str(folder), "ANOSIM_API_KEY": ""}
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


def database_url() -> str:
    """The database of the run, for another process."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    place = f"{values['HOST']}:{values['PORT'] or 5432}"
    return f"postgresql://{values['USER']}:{values['PASSWORD']}@{place}/{values['NAME']}"
