"""`script/server`: runs web, worker, beat and the embedded Redis server in the foreground, as one program.

A plain small Python process that imports neither Django nor Celery; all work is done by the children it starts.
Start: Redis, then `manage.py prepare`, then everything else at once. Stop: beat, web and worker, Redis last, within
ten seconds. Whoever ends this process, by whatever signal, ends the children too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import embedded_redis
from .children import Child, die_with
from .environment import BadEnvironment, env, env_int, env_list, env_secret, load_dotenv

BASE_DIR = Path(__file__).resolve().parent.parent
STOP_SECONDS = 10.0
# Redis is last and quick; what is left of the ten seconds belongs to web and worker.
_REDIS_SHARE = 1.5
_SLOW_START = 30.0
_STARTS_BEFORE_READY = 3
# The worker touches its file after tasks, and beat sends one each second. Silent this long, it hangs.
_SILENT_WORKER = 120.0


@dataclass(frozen=True)
class Options:
    """What this process itself needs of the environment; the children read the rest."""

    host: str
    port: int
    data_dir: Path
    own_redis: bool
    may_need_sandbox: bool
    log_level: str

    @classmethod
    def read(cls) -> Options:
        """From the environment and `.env`. Raises BadEnvironment."""
        load_dotenv(BASE_DIR / ".env")
        return cls(
            host=env("HOST", "127.0.0.1").strip("[]"),
            port=env_int("PORT", 8000, minimum=1, maximum=65535),
            data_dir=Path(env("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve(),
            own_redis=not env_secret("REDIS_URL"),
            may_need_sandbox=not env_secret("ANOSIM_API_KEY"),
            log_level=env("LOG_LEVEL", "INFO").upper(),
        )

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def worker_file(self) -> Path:
        return self.data_dir / "worker.alive"


class Supervisor:
    """Starts the children in order, keeps them running, and stops them in order."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.children: list[Child] = []
        self.stop_requests = 0
        self._wakeup, wakeup_in = os.pipe()
        for end in (self._wakeup, wakeup_in):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup_in, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the loop

    def _on_stop(self, *_: object) -> None:
        self.stop_requests += 1

    def wait(self, seconds: float) -> None:
        """Sleep until a signal comes, a child's death included, or the time is over."""
        select.select([self._wakeup], [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wakeup, 512):
                pass

    def run(self) -> int:
        """The whole life: 0 after an asked-for stop, 1 if the start failed. Raises BadEnvironment."""
        try:
            return self._run()
        finally:
            self._stop()

    def _run(self) -> int:
        if self.options.own_redis:
            self._start_redis()
        welcome = self._prepare()
        if self.stop_requests:
            return 0
        self.options.worker_file.unlink(missing_ok=True)
        for child in self._programs():
            self._add(child)
        if not self._wait_until_ready():
            return 0 if self.stop_requests else 1
        with contextlib.suppress(BrokenPipeError):
            print(f"Ready: {self.options.address}", *welcome, sep="\n", flush=True)
        silence = _Silence(self.options.worker_file)
        while not self.stop_requests:
            self._look_after_children()
            self._restart_if_silent(silence)
            self.wait(self._seconds_until_restart(5.0))
        return 0

    # Starting

    def _add(self, child: Child) -> None:
        self.children.append(child)
        try:
            child.start()
        except OSError as error:
            raise BadEnvironment(f"{child.command[0]} cannot be run ({error.strerror}).") from None

    def _start_redis(self) -> None:
        redis = Child("redis", embedded_redis.command(self.options.data_dir))
        self._add(redis)
        end = time.monotonic() + _SLOW_START
        while not embedded_redis.answers(self.options.data_dir) and not self.stop_requests:
            if not redis.alive() or time.monotonic() > end:
                raise BadEnvironment(
                    f"The embedded Redis server did not start (its words are above): check {redis.command[0]} "
                    f"and the folder {self.options.data_dir / 'redis'}, or set REDIS_URL."
                )
            time.sleep(0.01)

    def _prepare(self) -> list[str]:
        """Migrate and so on, in a process of its own; gives the lines to show once. Raises BadEnvironment.

        What prepare says on standard error (the one sentence of a wrong setting) has been seen by then.
        """
        extra: dict[str, str] = {}
        sandbox = _Sandbox(self.options.data_dir) if self.options.may_need_sandbox else None
        if sandbox is not None:
            extra = {"SANDBOX_URL": sandbox.url, "SANDBOX_KEY": sandbox.key}
        with subprocess.Popen(
            [sys.executable, "manage.py", "prepare"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, **extra},
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 (we have one thread)
        ) as process:
            output = self._read_all(process).decode(errors="replace")
        if process.returncode and not self.stop_requests:
            raise PrepareFailed(2 if process.returncode == 2 else 1)
        lines = output.splitlines()
        if sandbox is not None and any(line.startswith("Sandbox: needed") for line in lines):
            self._add(sandbox.child())
        return [line for line in lines if line.startswith("Admin: ")]

    def _read_all(self, process: subprocess.Popen[bytes]) -> bytes:
        """Standard output until its end; a stop request ends the process, so that Ctrl-C works here too."""
        assert process.stdout is not None
        output = b""
        while True:
            readable, _, _ = select.select([process.stdout, self._wakeup], [], [], 5.0)
            if self.stop_requests:
                process.kill()
                return output
            if self._wakeup in readable:
                self.wait(0)
            if process.stdout in readable:
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    return output
                output += part

    def _programs(self) -> Iterator[Child]:
        """Worker first: it takes longest to come up."""
        options = self.options
        celery = (sys.executable, "-m", "celery", "--quiet", "--app")
        level = ("--loglevel", options.log_level)
        yield Child(
            "worker",
            (
                *(*celery, "anosim_dashboard.worker:app", "worker", "--pool", "threads", "--concurrency", "8"),
                # Nobody listens to these, and they make a reconnect slower.
                *("--without-gossip", "--without-mingle", "--without-heartbeat", *level),
            ),
            {"WORKER_ALIVE_FILE": str(options.worker_file)},
        )
        yield Child(
            "web",
            (
                *(sys.executable, "-m", "uvicorn", "anosim_dashboard.asgi:application", "--host", options.host),
                *("--port", str(options.port), "--timeout-graceful-shutdown", "3", "--no-access-log"),
                *("--log-level", options.log_level.lower(), "--no-server-header"),
            ),
        )
        schedule = options.data_dir / "beat.schedule"
        yield Child(
            "beat",
            (*celery, "anosim_dashboard.beat:app", "beat", "--schedule", str(schedule), "--pidfile=", *level),
        )

    def _wait_until_ready(self) -> bool:
        """Until web and worker are up; False on a stop request or if a child cannot get up at all."""
        slow_at = time.monotonic() + _SLOW_START
        web = False
        while not self.stop_requests:
            self._look_after_children()
            hopeless = [child.name for child in self.children if child.failures >= _STARTS_BEFORE_READY]
            if hopeless:
                _say(f"{hopeless[0]} ended {_STARTS_BEFORE_READY} times while starting; its words are above.")
                return False
            web = web or answers_healthy(self.options)
            worker = self.options.worker_file.exists()
            if web and worker:
                return True
            if time.monotonic() > slow_at:
                slow_at += _SLOW_START
                _say(f"Still waiting for {'worker (does Redis answer?)' if web else 'web (see /healthz)'}.")
            self.wait(0.05)
        return False

    # Running

    def _look_after_children(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if news := child.look(now):
                _say(news)

    def _seconds_until_restart(self, longest: float) -> float:
        times = [child.restart_at for child in self.children if child.restart_at is not None]
        return min(longest, *(at - time.monotonic() for at in times)) if times else longest

    def _restart_if_silent(self, silence: _Silence) -> None:
        """A worker can live on without taking work after a Redis reconnect (known of Celery): start it again."""
        worker = next(child for child in self.children if child.name == "worker")
        if silence.seconds(worker.started) > _SILENT_WORKER and worker.alive():
            _say(f"worker has done nothing for {_SILENT_WORKER:g} s; it is stopped and starts again.")
            worker.ask_to_stop()
            worker.finish(time.monotonic() + STOP_SECONDS, lambda: self.stop_requests > 0)

    # Stopping

    def _stop(self) -> None:
        """Beat, then web and worker, then the sandbox, Redis last; ten seconds for all, a second signal hurries."""
        begun, asked = time.monotonic(), self.stop_requests
        by_name = {child.name: child for child in self.children}

        def impatient() -> bool:
            return self.stop_requests > max(asked, 1)

        def end(names: tuple[str, ...], deadline: float) -> None:
            going = [by_name[name] for name in names if name in by_name]
            for child in going:
                child.ask_to_stop()
            for child in going:
                if not child.finish(deadline, impatient):
                    _say(f"{child.name} did not stop in time and was killed.")

        end(("beat",), begun + 2.0)
        end(("web", "worker"), begun + STOP_SECONDS - _REDIS_SHARE)
        end(("sandbox", "redis"), max(time.monotonic() + 0.5, begun + STOP_SECONDS - 0.3))


class PrepareFailed(Exception):
    """`manage.py prepare` ended with this status; it has said why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Silence:
    """How long the worker's file has not moved, by the monotonic clock: a laptop that slept is no fault."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp = 0.0
        self._moved = time.monotonic()

    def seconds(self, started: float) -> float:
        stamp = self._file.stat().st_mtime if self._file.exists() else 0.0
        if stamp != self._stamp:
            self._stamp, self._moved = stamp, time.monotonic()
        return time.monotonic() - max(self._moved, started)


class _Sandbox:
    """The stand-in provider's address and key, the same at every start, kept in the data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.key = _remembered(data_dir / "sandbox.key", lambda: os.urandom(24).hex())
        port_file = data_dir / "sandbox.port"
        self.port = int(_remembered(port_file, lambda: str(_free_port())))
        if port_trouble("127.0.0.1", self.port):
            port_file.unlink()
            self.port = int(_remembered(port_file, lambda: str(_free_port())))
        self.url = f"http://127.0.0.1:{self.port}/api/v1"

    def child(self) -> Child:
        state = str(self._data_dir / "sandbox.json")
        return Child(
            "sandbox",
            (
                *(sys.executable, "-m", "dashboard.sandbox", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--key", self.key, "--state", state),
            ),
        )


def _remembered(file: Path, make: object) -> str:
    raise NotImplementedError
