"""Messages in bursts at several stand-in providers, for the crash modules that ask whether any is lost or doubled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random

from dashboard.sandbox import Sandbox

TWINS = 0.02  # of the messages come twice, equal in every field
WORDS = ("Your code is {}.", "{} is your verification code", "Dein Code lautet {}. Gib ihn niemandem.", "代码 {}")


class Traffic:
    """Sends `total` messages to the running numbers of a provider, in bursts of at most `most`, in a thread.

    A burst comes when the provider has shown the last one, as traffic that does not outrun the list by itself:
    whatever passes the list then does so because of a reader that was killed. `may_send(n)` holds it back.
    """

    def __init__(self, sandbox: Sandbox, total: int, may_send: Callable[[int], bool], *, most: int = 95) -> None:
        self._sandbox = sandbox
        self._total = total
        self._most = most
        self._may_send = may_send
        self._rng = Random(f"{sandbox.world.seed}/traffic")
        self._stop = threading.Event()
        self.sent = 0
        self.twins = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self.sent < self._total and not self._stop.is_set():
            if not self._may_send(self.sent):
                self._stop.wait(0.05)
                continue
            newest = self._burst(min(self._rng.randint(5, self._most), self._total - self.sent))
            while self._sandbox.newest_sms_shown < newest and not self._stop.wait(0.05):
                pass

    def _burst(self, count: int) -> int:
        """All at one moment, as far as a loop can; the world's id of the newest."""
        world, ends = self._sandbox.world, self.sent + count
        numbers = [row.id for row in world.running() if row.extends is None]
        newest = 0
        while self.sent < ends:
            times = 2 if ends - self.sent > 1 and self._rng.random() < TWINS / 2 else 1
            text = self._rng.choice(WORDS).format(100_000 + self.sent)
            # A third is alike but for its time: what came in one second is told apart by nothing else.
            text = "Your code is 482913." if self._rng.random() < 0.3 else text
            newest = world.receive_sms(self._rng.choice(numbers), text, "Bank", times=times)[-1].id
            self.sent += times
            self.twins += times if times > 1 else 0
        return newest

    def wait(self, patience: float) -> bool:
        """Whether all is sent within so many seconds."""
        self._thread.join(patience)
        return not self._thread.is_alive()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def wait_until(condition: Callable[[], bool], patience: float) -> float:
    """Seconds until it is so, at most `patience`."""
    from django.db import close_old_connections

    began = time.monotonic()
    while not condition() and time.monotonic() - began < patience:
        time.sleep(0.5)
        close_old_connections()
    return time.monotonic() - began
