"""An embedded Redis-compatible server that a test may kill."""

from __future__ import annotations

import subprocess
from pathlib import Path

from anosim_dashboard import embedded_redis
from tests.streaming import wait_until


class RedisServer:
    """Starts stopped; `url` stays the same over kills and starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = embedded_redis.url(folder)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(embedded_redis.command(self.folder), stdout=subprocess.DEVNULL)
        wait_until(lambda: embedded_redis.answers(self.folder), 10)

    def kill(self) -> None:
        """As a crash would: nothing is said goodbye to."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
