"""What clients have been told: every row that an answer ever showed, and every call that came in."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import datetime
from typing import Any

from .clock import Clock

Row = dict[str, Any]


class Shown:
    """Remembers rows of answers that went out whole.

    With `keep`, only about that many of each kind, the newest.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._orders: dict[int, Row] = {}
        self._bookings: dict[int, Row] = {}
        self._sms: dict[tuple[str, str, str, str], tuple[int, set[int]]] = {}
        self.newest_sms = 0

    def orders(self, rows: list[Row]) -> None:
        """Orders were shown, with their bookings."""
        with self._lock:
            for row in rows:
                self._orders.setdefault(row["id"], {}).update(row)
                self._merge(row["bookings"] if "bookings" in row else row["orderBookings"])
            self._forget(self._orders)

    def bookings(self, rows: list[Row]) -> None:
        """Bookings were shown; what an answer left out keeps its last value."""
        with self._lock:
            self._merge(rows)

    def _merge(self, rows: list[Row]) -> None:
        for row in rows:
            self._bookings.setdefault(row["id"], {}).update(row)
        self._forget(self._bookings)

    def sms(self, rows: list[Row], ids: list[int]) -> None:
        """Messages were shown; `ids` are the world's own, in the same order."""
        counts: dict[tuple[str, str, str, str], set[int]] = {}
        for row, sms_id in zip(rows, ids, strict=True):
            key = (row["simCardNumber"], row["messageDate"], row["messageSender"], row["messageText"])
            counts.setdefault(key, set()).add(sms_id)
        with self._lock:
            self.newest_sms = max(self.newest_sms, *ids) if ids else self.newest_sms
            for key, found in counts.items():
                most, known = self._sms.get(key, (0, set()))
                self._sms[key] = (max(most, len(found)), known | found)
            self._forget(self._sms)

    def _forget(self, rows: dict[Any, Any]) -> None:
        while self._keep is not None and len(rows) > self._keep:
            del rows[next(iter(rows))]

    def as_dict(self) -> dict[str, list[Row]]:
        """All rows.

        Of equal messages `count` stood in one answer at most, `real` were shown over all answers.
        """
        with self._lock:
            return {
                "orders": [dict(row) for row in self._orders.values()],
                "bookings": [dict(row) for row in self._bookings.values()],
                "sms": [
                    {
                        "number": key[0],
                        "date": key[1],
                        "sender": key[2],
                        "text": key[3],
                        "count": most,
                        "real": len(ids),
                    }
                    for key, (most, ids) in self._sms.items()
                ],
            }


class CallLog:
    """The calls that came in, oldest first; keys never stand in it."""

    def __init__(self, clock: Clock, keep: int) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._count = 0
        self.entries: deque[Row] = deque(maxlen=keep)

    def begin(self, method: str, path: str, query: dict[str, str], auth: str, kind: str) -> Row:
        """Note a call as it comes in; `end` tells how it went."""
        with self._lock:
            self._count += 1
            entry: Row = {
                "number": self._count,
                "at": self._clock.now(),
                "method": method,
                "path": path,
                "query": {name: value for name, value in query.items() if name != "apikey"},
                "auth": auth,
                "kind": kind,
                "status": None,
                "fault": None,
                "began": time.monotonic(),
            }
            self.entries.append(entry)
            return entry

    def as_list(self) -> list[Row]:
        """The calls as JSON can carry them; `status` None: no answer was sent."""
        with self._lock:
            entries = list(self.entries)
        return [{name: _plain(value) for name, value in row.items() if name != "began"} for row in entries]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
