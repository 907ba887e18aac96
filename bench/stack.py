"""The whole embedded stack as `script/server` runs it, over a data folder of its own, against a given provider."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

from .figures import BASE_DIR


class Provider(Protocol):
    """Where the stack buys: a Sandbox of this process, or one far away."""

    @property
    def url(self) -> str: ...

    key: str


class StackError(Exception):
    """The stack did not do what a measurement needs; the text says what."""


@dataclass(frozen=True)
class Answer:
    """One page as it came: status, seconds until the whole body was there, bytes on the wire, text."""

    status: int
    seconds: float
    size: int
    text: str


class Stack:
    """`with Stack(sandbox) as stack:` starts the supervisor on a free port and ends it, and all it started, by pid.

    The database of the stack can be read from this process after `use_django`. Raises StackError if the stack
    does not get ready within `patience` seconds.
    """

    def __init__(self, sandbox: Provider, *, patience: float = 90.0, environment: dict[str, str] | None = None) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="bench-"))
        self.url = ""
        self.patience = patience
        self.ready_after = 0.0  # seconds of the last start
        self._process: subprocess.Popen[str] | None = None
        self.environment = {
            **os.environ,
            "DATA_DIR": str(self.data_dir),
            "HOST": "127.0.0.1",
            "PORT": "0",
            "ANOSIM_BASE_URL": sandbox.url,
            "ANOSIM_API_KEY": sandbox.key,
            "ADMIN_USERNAME": "bench",
            "ADMIN_PASSWORD": "bench-password-0123",
            **dict.fromkeys(("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_KEYS", "DEBUG"), ""),
            **(environment or {}),
        }
        self._session = ""

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if os.environ.get("BENCH_KEEP"):
            print(f"  Kept: {self.data_dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    # Life ------------------------------------------------------------------------------------------

    def start(self) -> float:
        """Start it; gives the seconds until `Ready:`."""
        began = time.monotonic()
        with (self.data_dir / "bench.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "anosim_dashboard.supervisor"],
                cwd=BASE_DIR,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.url = self._ready_line(began + self.patience).rstrip("/")
        self.ready_after = time.monotonic() - began
        return self.ready_after

    def _ready_line(self, deadline: float) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            if select.select([self._process.stdout], [], [], 0.2)[0]:
                line = self._process.stdout.readline()
                if line.startswith("Ready: "):
                    return line.split()[1]
        log = self.log()
        self.stop()
        raise StackError(f"The stack did not get ready:\n{log[-2000:]}")

    def stop(self, patience: float = 20.0) -> float:
        """SIGTERM; gives the seconds until nothing of the stack lives. Kills what is left after `patience`."""
        if self._process is None:
            return 0.0
        began = time.monotonic()
        ours = [*self.pids().values(), self._process.pid]
        self._process.send_signal(signal.SIGTERM)
        while (left := [pid for pid in ours if alive(pid)]) and time.monotonic() - began < patience:
            self._process.poll()
            time.sleep(0.02)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        return time.monotonic() - began

    def log(self) -> str:
        """What the stack wrote to standard error."""
        return (self.data_dir / "bench.log").read_text(errors="replace")

    # Its processes ---------------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        """Processes below the supervisor by name: worker, web, beat, redis, and others by their number."""
        assert self._process is not None
        return {name_of(pid): pid for pid in descendants(self._process.pid)}

    def pss(self) -> dict[str, float]:
        """Proportional set size in MB of each process, the supervisor included."""
        assert self._process is not None
        return {name: pss_of(pid) for name, pid in {**self.pids(), "supervisor": self._process.pid}.items()}

    def processor_seconds(self) -> float:
        """What the stack and its ended children took of the processors: a start's work, however busy the machine."""
        assert self._process is not None
        return sum(processor_seconds_of(pid) for pid in [self._process.pid, *self.pids().values()])

    def kill(self, name: str, number: int = signal.SIGKILL) -> float:
        """SIGKILL (or another signal) to one of them; gives the moment (monotonic)."""
        os.kill(self.pids()[name], number)
        return time.monotonic()

    # Its pages and data ----------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def use_django(self) -> None:
        """Set Django up in this process over the database of the stack (once in a process)."""
        os.environ.update({name: self.environment[name] for name in ("DATA_DIR", "DATABASE_URL", "REDIS_URL")})
        os.environ["DJANGO_SETTINGS_MODULE"] = "anosim_dashboard.settings"
        # Playwright keeps an event loop in the main thread; nothing else runs in it.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        import django

        django.setup()

    @property
    def session(self) -> str:
        """The session key of the admin, signed in without the form."""
        if not self._session:
            self._session = self.session_of("bench")
        return self._session

    def sign_in_again(self) -> None:
        """The data were put back to before our sign-in."""
        self._session = ""

    def session_of(self, name: str) -> str:
        return session_of(name)

    def get(self, path: str, timeout: float = 10.0) -> Answer:
        """One page on a connection of its own. Raises OSError or HTTPException."""
        return self._ask("GET", path, {"Cookie": f"sessionid={self.session}"}, None, timeout)

    def post(self, path: str, fields: dict[str, str], timeout: float = 10.0) -> Answer:
        """Send a form as a browser without scripts does. Raises OSError or HTTPException."""
        token = "b" * 32
        headers = {
            "Cookie": f"sessionid={self.session}; csrftoken={token}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self._ask("POST", path, headers, urlencode({"csrfmiddlewaretoken": token, **fields}), timeout)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: str | None, timeout: float) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        began = time.perf_counter()
        try:
            connection.request(method, path, body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            found = response.read()
        finally:
            connection.close()
        return Answer(response.status, time.perf_counter() - began, len(found), found.decode(errors="replace"))


def session_of(name: str) -> str:
    """A new session key of this person, who is made an admin if there is none of that name."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from dashboard.models import User

    user, _ = User.objects.get_or_create(username=name, defaults={"is_superuser": True, "password": "!"})
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return str(store.session_key)


def descendants(pid: int) -> list[int]:
    """All processes below this one, by /proc."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def name_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return str(pid)
    ours = next((word for word in words if word.startswith("anosim_dashboard.")), "")
    if ours:
        return ours.rpartition(".")[2]
    return "redis" if any(part in words[0] for part in ("redis", "valkey")) else str(pid)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processor_seconds_of(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def age_of(pid: int) -> float:
    """Seconds since the process was started; 0 for one that is not there."""
    with contextlib.suppress(OSError, IndexError):
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def pss_of(pid: int) -> float:
    """Megabytes (1000 kB) by smaps_rollup; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0
