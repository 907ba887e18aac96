"""The stand-in provider as a whole: a world, its life, its faults, and the HTTP server in front of them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from . import history, state
from .calls import BASE, Calls, given_key, kind_of
from .clock import http_date
from .control import PREFIX, Control
from .faults import Faults, Limit
from .ledger import Ledger, as_dict
from .life import Life
from .shapes import Shapes
from .shown import CallLog, Shown
from .strikes import Strikes
from .wire import Closed, Connection, Listener, Reply, Request
from .world import World

BEAT_SECONDS = 0.2
SAVE_SECONDS = 5.0
KEEP_WHEN_LIVING = 2_000
CALLS_WHEN_QUIET = 200_000


class Sandbox:
    """A provider on a port of its own, in threads of this process.

    `with Sandbox(seed=7, faults={"reset-after": {"only": "spends"}}) as sandbox:` serves at `sandbox.url` for
    `sandbox.key`; `sandbox.world` is what happens there; `ledger`, `shown()` and `calls` are for checking.
    A quiet world does nothing by itself but end what is over. Raises ValueError for unknown names of faults
    and shapes; `start` raises OSError if the port is taken.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        quiet: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str = "sandbox-key",
        more_keys: tuple[str, ...] = (),
        size: Mapping[str, int] | None = None,
        balance: Decimal | str = "418.60",
        start: datetime | None = None,
        faults: dict[str, Any] | None = None,
        wild: dict[str, float] | None = None,
        limit: float | None = None,
        retry_after: str = "number",
        speed: float = 1.0,
        sms_per_minute: float = 4.0,
        hostile: float = 0.01,
        ledger: str | Path | None = None,
        state_file: str | Path | None = None,
        control_token: str | None = None,
        control_port: int | None = None,
    ) -> None:
        keep = None if quiet else KEEP_WHEN_LIVING
        self.key = key
        self.control_token = os.urandom(16).hex() if control_token is None else control_token
        self.world = World(
            seed, quiet=quiet, balance=Decimal(balance), start=start, ledger=Ledger(ledger, keep), keep=keep
        )
        self._faults = Faults(seed, faults)
        self._limit = Limit(limit, retry_after)
        self._shapes = Shapes(self.world, wild)
        self._shown = Shown(keep)
        self._calls = Calls(self.world, self._shapes, self._shown, (key, *more_keys))
        self._strikes = Strikes(self.world, self._limit)
        self._control = Control(self)
        self._log = CallLog(self.world.clock, keep or CALLS_WHEN_QUIET)
        self._listener = Listener(host, port, self._handle)
        self._control_listener = None if control_port is None else Listener(host, control_port, self._handle_control)
        self._state_file = Path(state_file) if state_file else None
        self._fill(dict(history.DEFAULT_SIZE) | dict(size or {}), hostile)
        self._life = None if quiet else Life(self.world, speed=speed, sms_per_minute=sms_per_minute, hostile=hostile)
        self._stopping = threading.Event()
        self._heart: threading.Thread | None = None

    def _fill(self, size: dict[str, int], hostile: float) -> None:
        if self._state_file is None or not state.load(self.world, self._state_file):
            history.write(self.world, size, hostile=hostile)

    # Life of the server ---------------------------------------------------------------------------

    def start(self) -> None:
        """Serve; returns when the port answers. Raises OSError if the port or the file cannot be used."""
        self._save()
        self._listener.open()
        if self._control_listener is not None:
            self._control_listener.open()
        self._stopping.clear()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def stop(self) -> None:
        """End all threads, save the state, close the ledger's file."""
        self._stopping.set()
        self._listener.close()
        if self._control_listener is not None:
            self._control_listener.close()
        if self._heart is not None:
            self._heart.join(5)
        self._save_or_tell()
        self.world.ledger.close()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _beat(self) -> None:
        saved_at, sold = time.monotonic(), self.world.sold_by_call
        while not self._stopping.wait(BEAT_SECONDS):
            self.world.settle()
            if self._life is not None:
                self._life.tick()
            # What a caller has paid for is saved at once; what only happened can wait.
            if sold != self.world.sold_by_call or time.monotonic() - saved_at >= SAVE_SECONDS:
                saved_at, sold = time.monotonic(), self.world.sold_by_call
                self._save_or_tell()

    def _save(self) -> None:
        if self._state_file is not None and self.world.changes != self.world.saved_changes:
            state.save(self.world, self._state_file)

    def _save_or_tell(self) -> None:
        # A full disk must not end the provider; the next save may work again.
        try:
            self._save()
        except OSError as error:
            print(f"Sandbox: cannot save {self._state_file}: {error.strerror}", file=sys.stderr)

    def go_down(self, seconds: float | None = None, *, after: float = 0.0) -> None:
        """Refuse all connections, `after` seconds from now, for `seconds` or until `come_back` (0: now)."""
        if seconds == 0:
            self.come_back()
        elif after:
            self._timer(after, lambda: self.go_down(seconds))
        else:
            self._listener.close()
            if seconds is not None:
                self._timer(seconds, self.come_back)

    def come_back(self) -> None:
        """Accept connections again, on the same port; nothing happens after `stop`."""
        if not self._stopping.is_set():
            self._listener.open()

    def _timer(self, seconds: float, act: Any) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()

    # For tests and the curious --------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL of the API, e.g. http://127.0.0.1:40123/api/v1 (the port is known after `start`)."""
        return f"http://{self._listener.host}:{self._listener.port}{BASE}"

    @property
    def control_url(self) -> str:
        """Where the control paths begin; on the control port if there is one, else on the API's."""
        listener = self._control_listener or self._listener
        return f"http://{listener.host}:{listener.port}{PREFIX}"

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """What was really sold since the start, oldest first; the history before it does not stand here."""
        with self.world.lock:
            return [as_dict(sale) for sale in self.world.ledger.sales]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls that came in, oldest first."""
        return self._log.as_list()

    def shown(self) -> dict[str, list[dict[str, Any]]]:
        """Every row that an answer ever showed: `orders`, `bookings`, and `sms` with counts."""
        return self._shown.as_dict()

    @property
    def newest_sms_shown(self) -> int:
        """The world's own id of the newest message that an answer has shown, 0 before the first."""
        return self._shown.newest_sms

    def set_faults(
        self,
        faults: dict[str, Any] | None = None,
        *,
        wild: dict[str, float] | None = None,
        limit: float | None = -1,
        retry_after: str | None = None,
    ) -> None:
        """Replace the faults ({} for none) and what else is given; raises ValueError for unknown names."""
        if faults is not None:
            self._faults.set(faults)
        if wild is not None:
            self._shapes.set(wild)
        self._limit.set(self._limit.rate if limit == -1 else limit, retry_after or self._limit.retry_after)

    def settings(self) -> dict[str, Any]:
        """What is switched on, as `set_faults` takes it."""
        return {
            "faults": self._faults.as_dict(),
            "wild": self._shapes.wild,
            "limit": self._limit.rate,
            "retry_after": self._limit.retry_after,
        }

    # One request ----------------------------------------------------------------------------------

    def _date(self) -> str:
        return http_date(self.world.now())

    def _handle_control(self, request: Request, connection: Connection) -> None:
        connection.send_reply(self._control.answer(request), date=self._date(), close=_wants_close(request))

    def _handle(self, request: Request, connection: Connection) -> None:
        if request.path.startswith(PREFIX):
            return self._handle_control(request, connection)
        kind = kind_of(request)
        entry = self._log.begin(request.method, request.path, request.query, given_key(request)[1], kind)
        close = _wants_close(request)
        if self._limit.refuses():
            entry["fault"] = "limit"
            return self._send(self._strikes.throttled(), entry, connection, close)
        strike = self._faults.strike(kind, request.path[len(BASE) :])
        if strike is None:
            return self._send(self._calls.answer(request, entry["number"]), entry, connection, close)
        entry["fault"] = strike.name
        if strike.name == "late-commit":
            self.world.later(strike.seconds, lambda: self._commit_late(request, entry["number"]))
        reply = Reply(200, b"") if strike.before else self._calls.answer(request, entry["number"])
        other = self._strikes.reply(strike.name, request)
        if other is not None:
            return self._send(other, entry, connection, close)
        if strike.name == "latency":
            if not connection.wait(strike.seconds):
                raise Closed
            return self._send(reply, entry, connection, close)
        return self._strikes.spoil(strike, reply, connection, self._date())

    def _commit_late(self, request: Request, number: int) -> None:
        # The caller has long given up: the answer goes nowhere.
        self._calls.answer(request, number)

    def _send(self, reply: Reply, entry: dict[str, Any], connection: Connection, close: bool) -> None:
        # Written down before it is sent: who has the answer may ask at once what was shown.
        entry["status"] = reply.status
        entry["seconds"] = round(time.monotonic() - entry["began"], 3)
        if reply.shown is not None:
            reply.shown()
        connection.send_reply(reply, date=self._date(), close=close)


def _wants_close(request: Request) -> bool:
    # The answer to HEAD has no body, ours have: such a connection cannot go on.
    return request.headers.get("connection", "").lower() == "close" or request.method == "HEAD"
