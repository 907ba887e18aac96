"""What the parts of a run share: the engine, the image, the report, a provider; and how a part is told."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Report
from dashboard.sandbox import Sandbox

from .engine import Engine, EngineError
from .project import PROVIDER, Project, build

SIZE = {"orders": 24, "bookings": 60, "sms": 150}


@dataclass
class Course:
    """One run. `image` is the one of this working tree."""

    engine: Engine
    image: str
    report: Report
    built: list[str] = field(default_factory=list)

    def build(self, image: str, folder: Path) -> float:
        """Build an image that goes when the run ends; gives the seconds."""
        self.built.append(image)
        return build(self.engine, image, folder)

    def remove_images(self) -> None:
        for image in self.built:
            with contextlib.suppress(EngineError):
                self.engine.run("rmi", "-f", image)

    @contextlib.contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Tell how long it took, and whether it came to its end."""
        print(f"\n## {title}", flush=True)
        began, words = time.monotonic(), ""
        try:
            yield
        except (EngineError, AssertionError, OSError) as error:
            words = f"{type(error).__name__}: {error}"
        self.report.add(f"{title}: took", time.monotonic() - began, "s")
        self.report.add(f"{title}: broke off", int(bool(words)), "times", 0, spread=words)

    def hold(self, name: str, *wrong: object) -> None:
        """Note whether something is as it has to be: `wrong` holds what is not."""
        self.report.add(name, len(wrong), "wrong", 0, spread="; ".join(map(str, wrong))[:600])


@contextlib.contextmanager
def provider(**options: Any) -> Iterator[Sandbox]:
    """A sandbox on this machine that containers reach, with nothing happening there but what the run does."""
    with Sandbox(host="0.0.0.0", **{"seed": 7, "size": SIZE, "balance": "90000.00", **options}) as sandbox:
        yield sandbox


def at_provider(sandbox: Sandbox) -> dict[str, str]:
    """The lines of .env that name it."""
    port_and_path = sandbox.url.rpartition(":")[2]
    return {"ANOSIM_API_KEY": sandbox.key, "ANOSIM_BASE_URL": f"http://{PROVIDER}:{port_and_path}"}


def use_django(project: Project) -> None:
    """Set Django up in this process over the servers of the project (once in a process)."""
    database = project.secret("database_url").replace("@postgres:5432/", f"@127.0.0.1:{project.postgres_port}/")
    redis = project.secret("redis_url").replace("@redis:6379/", f"@127.0.0.1:{project.redis_port}/")
    own = dict.fromkeys(("ANOSIM_API_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SECRET_KEY", "HOST"), "")
    keys = project.exec("web", "cat", "/data/secrets/field_keys").strip()
    own |= {"DATABASE_URL": database, "REDIS_URL": redis, "FIELD_KEYS": keys, "DATA_DIR": tempfile.mkdtemp()}
    os.environ.update(own, DJANGO_SETTINGS_MODULE="anosim_dashboard.settings", LOG_LEVEL="ERROR")
    import django

    django.setup()
    # What is killed is missed: the pool tells each try.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
