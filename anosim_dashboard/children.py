"""One program that the supervisor keeps running: start, restart with back-off, stop, leave nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_PR_SET_PDEATHSIG = 1
_FIRST_DELAY, _LONGEST_DELAY = 0.25, 15.0
# A child that lived this long was healthy: its next death is news, not the same failure again.
_HEALTHY_AFTER = 20.0


def _libc() -> Callable[..., int] | None:
    """`prctl` where the kernel has it (Linux). Loaded before any fork: the child must not import."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None
    return prctl


_prctl = _libc()


def die_with(parent: int) -> Callable[[], None] | None:
    """For Popen's `preexec_fn`: the kernel kills the child when `parent` is gone, however it went."""
    if _prctl is None:
        return None
    prctl = _prctl

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return ask_kernel


@dataclass
class Child:
    """A named command line, run in a session of its own, so that a Ctrl-C in the terminal reaches only us."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    keep_open: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float | None = None

    def start(self) -> None:
        """Start it; what it prints goes to our standard error. Raises OSError if it cannot be run."""
        self.started, self.restart_at = time.monotonic(), None
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            env={**os.environ, **self.environment},
            pass_fds=self.keep_open,
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),  # we have one thread
        )

    def look(self, now: float) -> str:
        """Notice a death and plan the restart, or restart when it is time; gives one sentence or ""."""
        if self.restart_at is not None:
            if now < self.restart_at:
                return ""
            try:
                self.start()
            except OSError as error:
                return self._plan_restart(now, f"could not be started ({error.strerror})")
            return ""
        if self.process is None or (status := self.process.poll()) is None:
            return ""
        self.sweep()
        if now - self.started >= _HEALTHY_AFTER:
            self.failures = 0
        cause = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return self._plan_restart(now, cause)

    def _plan_restart(self, now: float, cause: str) -> str:
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2**self.failures)
        self.failures += 1
        self.restart_at = now + delay
        return f"{self.name} {cause}; it starts again in {delay:g} s."

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM; a planned restart is dropped."""
        self.restart_at = None
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def finish(self, deadline: float, impatient: Callable[[], bool] = lambda: False) -> bool:
        """Wait until `deadline` (monotonic seconds) for the end, then kill; True if it ended by itself."""
        if self.process is None:
            return True
        while self.process.poll() is None:
            if time.monotonic() >= deadline or impatient():
                self.process.kill()
                self.process.wait()
                self.sweep()
                return False
            time.sleep(0.02)
        self.sweep()
        return True

    def sweep(self) -> None:
        """Kill what the program left in its process group; the group's number is the program's."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
