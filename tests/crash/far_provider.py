"""The sandbox as a process of its own, which can be frozen."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from bench.figures import BASE_DIR
from dashboard.sandbox.control import PREFIX, TOKEN_HEADER


class FarProvider:
    """`with FarProvider(seed) as provider:` speaks to it by its control paths; it has `url` and `key` like a Sandbox,
    and the `ledger` and `calls` that the judge asks for."""

    def __init__(self, seed: int) -> None:
        port = _free_port()
        self.key, self._token = os.urandom(12).hex(), os.urandom(12).hex()
        self._root = f"http://127.0.0.1:{port}"
        self.url = f"{self._root}/api/v1"
        self._command = [sys.executable, "-m", "dashboard.sandbox", "--port", str(port), "--seed", str(seed)]
        self._command += ["--key", self.key, "--control-token", self._token, "--quiet-world", "--balance", "90000.00"]
        self._command += ["--size", "orders=20,bookings=40,sms=20"]

    def __enter__(self) -> FarProvider:
        self.process = subprocess.Popen(self._command, cwd=BASE_DIR, stdout=subprocess.DEVNULL)
        ends = time.monotonic() + 20
        while True:
            try:
                self.ask("GET", "world")
                return self
            except OSError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def ask(self, method: str, name: str, **values: Any) -> Any:
        """One control call. Raises OSError."""
        request = urllib.request.Request(
            f"{self._root}{PREFIX}{name}", json.dumps(values).encode(), {TOKEN_HEADER: self._token}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def send(self, text: str) -> None:
        """Let a message come at one of the numbers that run."""
        self.ask("POST", "sms", text=text)

    def fill_up(self, products: list[int]) -> None:
        """Enough free numbers of these."""
        for product in products:
            self.ask("POST", "product", id=product, available=500)

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "ledger"))

    @property
    def calls(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "calls"))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
