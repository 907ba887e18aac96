"""The whole dashboard as `script/server` runs it, started for a test; and a person's session on it."""

from __future__ import annotations

import http.client
import http.cookies
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

from tests.streaming import wait_until

ROOT = Path(__file__).resolve().parent.parent
OURS = ("DATABASE_URL", "REDIS_URL", "ANOSIM_API_KEY", "ALLOWED_HOSTS", "ADMIN_USERNAME", "ADMIN_PASSWORD", "HOST")


class Stack:
    """One `script/server` process (without its bootstrap) over a data folder."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        environment |= {"DATA_DIR": str(data_dir), "PORT": "0", **variables}
        self.output, self.errors = data_dir.with_suffix(".output"), data_dir.with_suffix(".errors")
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "anosim_dashboard.supervisor"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    def wait_ready(self, seconds: float = 60) -> None:
        wait_until(lambda: "Ready: " in self.said() or self.process.poll() is not None, seconds)
        assert self.process.poll() is None, self.errors.read_text()

    def said(self) -> str:
        return self.output.read_text()

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.getheader("Location", "")
        finally:
            connection.close()

    def children(self) -> dict[int, str]:
        """Process ids and command lines of what the supervisor started."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.process.pid and fields[0] != "Z":
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def child(self, part: str) -> int:
        return next((pid for pid, command in self.children().items() if part in command), 0)

    def kill(self, part: str) -> None:
        """SIGKILL to the child in whose command line the part stands."""
        os.kill(self.child(part), signal.SIGKILL)

    def memory(self) -> float:
        """Proportional set size of all its processes, in MB."""
        total = 0
        for pid in (self.process.pid, *self.children()):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1])  # type: ignore[index]
        return total / 1024

    def stop(self) -> float:
        """End it as a service manager would; gives the seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.errors.read_text()
        return time.monotonic() - begun

    def port(self) -> int:
        found = re.search(r"^Ready: http://127\.0\.0\.1:(\d+)/$", self.said(), re.MULTILINE)
        assert found, self.said()
        return int(found[1])


class Session:
    """A signed-in browser without scripts: keeps cookies, sends the CSRF token with what it posts."""

    def __init__(self, stack: Stack, username: str, password: str) -> None:
        self._stack = stack
        self._cookies: dict[str, str] = {}
        self.get("/accounts/login/")
        status, _ = self.post("/accounts/login/", {"username": username, "password": password})
        assert status == 302, "the sign-in was refused"

    @property
    def key(self) -> str:
        return self._cookies["sessionid"]

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask("GET", path)

    def post(self, path: str, fields: dict[str, str]) -> tuple[int, bytes]:
        token = self._cookies.get("csrftoken", "")
        return self._ask("POST", path, urllib.parse.urlencode({"csrfmiddlewaretoken": token, **fields}))

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded"}
        connection = http.client.HTTPConnection("127.0.0.1", self._stack.port(), timeout=20)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            for line in response.headers.get_all("Set-Cookie") or []:
                for name, morsel in http.cookies.SimpleCookie(line).items():
                    self._cookies[name] = morsel.value
            return response.status, response.read()
        finally:
            connection.close()


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)
