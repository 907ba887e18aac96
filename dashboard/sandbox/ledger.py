"""What was really sold and how the balance moved: append-only, written before any answer goes out."""

from __future__ import annotations

import json
import os
from collections import deque
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from .records import Sale


class Ledger:
    """Sales and money movements.

    With `path`, each sale is also one JSON line in that file, on disk (fsync) on return.
    """

    def __init__(self, path: str | Path | None = None, keep: int | None = None) -> None:
        self.sales: deque[Sale] = deque(maxlen=keep)
        self.movements: deque[tuple[datetime, Decimal, str]] = deque(maxlen=keep)
        self._file: TextIO | None = Path(path).open("a", encoding="utf-8") if path else None  # noqa: SIM115

    def sold(self, sale: Sale) -> None:
        """Keep one sale for ever; returns when it cannot be lost any more."""
        self.sales.append(sale)
        if self._file is not None:
            self._file.write(json.dumps(as_dict(sale)) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def moved(self, at: datetime, amount: Decimal, why: str) -> None:
        """Note that the balance changed by `amount` USD; the sum of all movements is the balance."""
        self.movements.append((at, amount, why))

    def close(self) -> None:
        """Close the file; later sales stay in memory only."""
        if self._file is not None:
            self._file.close()
            self._file = None


def as_dict(sale: Sale) -> dict[str, Any]:
    """A sale as JSON can carry it: money as text, time as ISO 8601 in UTC."""
    return {
        "order": sale.order,
        "product": sale.product,
        "amount": sale.amount,
        "price": str(sale.price),
        "at": sale.at.isoformat(),
        "call": sale.call,
        "kind": sale.kind,
        "origin": sale.origin,
        "bookings": list(sale.bookings),
    }
