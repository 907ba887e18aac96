"""The passwords between the containers of docker-compose.yml: made once, as files that only they can read.

Usage: python -m anosim_dashboard.container_secrets FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from .stored_secret import secret_or_stored


def make(folder: Path) -> None:
    """Make what is missing: passwords of PostgreSQL and Redis, and the addresses that hold them."""
    database = secret_or_stored("POSTGRES_PASSWORD", folder)
    redis = secret_or_stored("REDIS_PASSWORD", folder)
    _write(folder / "database_url", f"postgresql://dashboard:{database}@postgres:5432/dashboard\n")
    _write(folder / "redis_url", f"redis://:{redis}@redis:6379/0\n")
    # Read by the Redis server, which runs as somebody else; the volume is mounted into our containers only.
    _write(folder / "redis.conf", f"requirepass {redis}\n", 0o644)
    folder.chmod(0o755)


def _write(file: Path, content: str, mode: int = 0o600) -> None:
    """Whole or not at all: others wait for the file to be there."""
    draft = file.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(content, encoding="ascii")
    draft.chmod(mode)
    draft.replace(file)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
