"""`manage.py` in a process of its own, in an environment that a test says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def manage(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it over the data folder `folder`, warnings being errors."""
    environment = {**os.environ, "DATA_DIR": str(folder), "DATABASE_URL": "", "REDIS_URL": "", **variables}
    command = [sys.executable, "-W", "error", "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def setting(name: str, folder: Path, **variables: str) -> str:
    """A setting as the environment makes it, as text."""
    code = f"from django.conf import settings; print(settings.{name})"
    ran = manage(folder, "shell", "--no-imports", "-c", code, **variables)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()
