"""`script/server`: runs web, worker, beat and the embedded Redis server in the foreground, as one program.

A plain small Python process that imports neither Django nor Celery; the children it starts do all the work.
Start: Redis, then `manage.py prepare`, then everything else at once. Stop: beat, web and worker, Redis last,
within ten seconds. Whoever ends this process, by whatever signal, ends the children too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from .children import Child, die_with
from .embedded_redis import LOG_NAME
from .environment import BadEnvironment
from .programs import BASE_DIR, Plan, plan, read_data_dir

STOP_SECONDS = 10.0
# Redis is last and quick; what is left of the ten seconds belongs to web and worker.
_REDIS_SHARE = 1.5
_SLOW_START = 30.0
_STARTS_BEFORE_READY = 3
_APART = 0.5
# The worker touches its file every few seconds, see worker.py. Silent this long, it hangs: a purchase may take 135 s
# (20 to look, 90 for the call, 25 to note what came of it), and all threads may be at one.
_SILENT_WORKER = 150.0


class PrepareFailed(Exception):
    """`manage.py prepare` ended with this status; it has said why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Supervisor:
    """Starts the children in order, keeps them running, and stops them in order."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.children: list[Child] = []
        self.stop_requests = 0
        self._asked_at = -_APART
        self._wakeup, wakeup_in = os.pipe()
        for end in (self._wakeup, wakeup_in):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakeup_in, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the loop

    def run(self) -> int:
        """The whole life: 0 after an asked-for stop, 1 if the start failed.

        Raises BadEnvironment or PrepareFailed; nothing is left running in any case.
        """
        try:
            self._start()
            return self._live() if self.stop_requests or self._wait_until_ready() else 1
        finally:
            self._stop()

    def _on_stop(self, *_: object) -> None:
        """Count requests. `timeout` and others signal the process and its group: that is one request, not two."""
        now = time.monotonic()
        if now - self._asked_at >= _APART:
            self._asked_at = now
            self.stop_requests += 1

    def _wait(self, seconds: float) -> None:
        """Sleep until a signal comes, a child's death included, or the time is over."""
        select.select([self._wakeup], [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wakeup, 512):
                pass

    # Starting

    def _start(self) -> None:
        self.plan.worker_file.unlink(missing_ok=True)
        if self.plan.redis is not None:
            self._start_redis(self.plan.redis)
        lines = self._prepare()
        self._welcome = [line for line in lines if line.startswith("Admin: ")]
        if self.stop_requests:
            return
        if self.plan.sandbox is not None and any(line.startswith("Sandbox: needed") for line in lines):
            self._add(self.plan.sandbox)
        for child in self.plan.programs:
            self._add(child)

    def _add(self, child: Child) -> None:
        self.children.append(child)
        try:
            child.start()
        except OSError as error:
            raise BadEnvironment(f"{child.command[0]} cannot be run ({error.strerror}).") from None

    def _start_redis(self, redis: Child) -> None:
        self._add(redis)
        end = time.monotonic() + _SLOW_START
        while not self.plan.redis_answers() and not self.stop_requests:
            if not redis.alive() or time.monotonic() > end:
                raise BadEnvironment(
                    f"The embedded Redis server did not start: {self.plan.data_dir / 'redis' / LOG_NAME} "
                    "says why; REDIS_URL would use another server."
                )
            time.sleep(0.01)

    def _prepare(self) -> list[str]:
        """Migrate and so on in a process of its own; gives what it printed. Raises PrepareFailed."""
        with subprocess.Popen(
            self.plan.prepare,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, **self.plan.prepare_environment},
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),
        ) as process:
            output = b"".join(self._read(process))
        if process.returncode and not self.stop_requests:
            raise PrepareFailed(2 if process.returncode == 2 else 1)
        return output.decode(errors="replace").splitlines()

    def _read(self, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
        """Standard output until its end; a stop request ends the process, so that Ctrl-C works here too."""
        assert process.stdout is not None  # noqa: S101 (asked for by the caller)
        output = process.stdout.fileno()
        while True:
            readable, _, _ = select.select([output, self._wakeup], [], [], 5.0)
            if self.stop_requests:
                process.kill()
                return
            if self._wakeup in readable:
                self._wait(0)
            if output in readable:
                part = os.read(output, 65536)
                if not part:
                    return
                yield part

    def _wait_until_ready(self) -> bool:
        """Until all is up or a stop is asked for; False if a child cannot get up at all."""
        slow_at = time.monotonic() + _SLOW_START
        while not self.stop_requests:
            self._look_after_children()
            for child in self.children:
                if child.failures >= _STARTS_BEFORE_READY:
                    _say(f"{child.name} ended {child.failures} times while starting; its words are above.")
                    return False
            awaited = self.plan.awaited()
            if not awaited:
                _say("\n".join((f"Ready: {self.plan.address}", *self._welcome)), sys.stdout)
                break
            if time.monotonic() > slow_at:
                slow_at += _SLOW_START
                _say(f"Still waiting for {awaited}. Do the database and Redis answer? See /healthz.")
            self._wait(0.03)
        return True

    # Running

    def _live(self) -> int:
        silence = _Silence(self.plan.worker_file)
        while not self.stop_requests:
            self._look_after_children()
            self._restart_if_silent(silence)
            self._wait(self._seconds_until_restart(5.0))
        return 0

    def _look_after_children(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if news := child.look(now):
                _say(news)

    def _seconds_until_restart(self, longest: float) -> float:
        planned = [child.restart_at for child in self.children if child.restart_at is not None]
        return min([longest, *(at - time.monotonic() for at in planned)])

    def _restart_if_silent(self, silence: _Silence) -> None:
        """A worker can live on without taking work after a Redis reconnect (known of Celery), and beat without sending
        any (the same): which of them hangs is not to be seen from here, so both start again."""
        worker = next((child for child in self.children if child.name == "worker"), None)
        if worker is None or not worker.alive() or silence.seconds(worker.started) <= _SILENT_WORKER:
            return
        _say(f"worker has done nothing for {_SILENT_WORKER:g} s; it and beat are started again.")
        hung = [child for child in self.children if child.name in ("worker", "beat")]
        for child in hung:
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for child in hung:
            child.finish(deadline, lambda: self.stop_requests > 0)

    # Stopping

    def _stop(self) -> None:
        """Beat, then web and worker, then sandbox and Redis; ten seconds in all, a second signal hurries."""
        begun = time.monotonic()
        if self.plan.listener is not None:
            self.plan.listener.close()
        self._end({"beat"}, begun + 2.0)
        self._end({"web", "worker"}, begun + STOP_SECONDS - _REDIS_SHARE)
        self._end({child.name for child in self.children}, begun + STOP_SECONDS - 0.3)

    def _end(self, names: set[str], deadline: float) -> None:
        going = [child for child in self.children if child.name in names]
        for child in going:
            child.ask_to_stop()
        for child in going:
            if not child.finish(deadline, lambda: self.stop_requests > 1):
                _say(f"{child.name} did not stop in time and was killed.")
        self.children = [child for child in self.children if child not in going]


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


@contextlib.contextmanager
def sole_owner(data_dir: Path) -> Iterator[None]:
    """Hold the lock of the data folder; the kernel drops it with the process. Raises BadEnvironment."""
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadEnvironment(
                f"Another copy (process {file.read().strip() or 'unknown'}) already uses {data_dir}: "
                "stop it, or set DATA_DIR to another folder."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _say(sentence: str, to: TextIO = sys.stderr) -> None:
    """Whoever reads it may be gone (a journal that restarts, a full disk): nothing stops for that."""
    with contextlib.suppress(OSError):
        os.write(to.fileno(), f"{sentence}\n".encode())


def main() -> int:
    """Run until stopped; gives the exit status: 0 stopped, 1 could not start, 2 a setting must be mended."""
    os.chdir(BASE_DIR)
    os.environ["PYTHONUNBUFFERED"] = "1"
    # Eight worker threads would each get a heap of their own and keep it.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    # Without compiled files every start would compile our own code four times over.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        data_dir = read_data_dir()
        os.environ["DATA_DIR"] = str(data_dir)
        with sole_owner(data_dir):
            return Supervisor(plan(data_dir)).run()
    except BadEnvironment as error:
        _say(str(error))
        return 2
    except PrepareFailed as error:
        return error.status


if __name__ == "__main__":
    sys.exit(main())
