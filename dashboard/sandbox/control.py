"""The back door for tests and the curious: /__sandbox__/…, open only with the control token (see PATHS)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from . import texts
from .records import Booking, Refusal
from .wire import JSON_TYPE, Reply, Request

if TYPE_CHECKING:
    from .server import Sandbox

PREFIX = "/__sandbox__/"
TOKEN_HEADER = "x-sandbox-token"  # noqa: S105 - the name of a header, not a secret
Values = dict[str, Any]

PATHS = {
    "GET world": "time, balance, counts, ids of running and of waiting bookings",
    "GET ledger": "what was really sold, oldest first",
    "GET movements": "how the balance moved; the sum is the balance",
    "GET sms": "every message there is, oldest first",
    "GET shown": "every row that an answer ever showed: orders, bookings, sms with counts",
    "GET calls": "the calls that came in: time, method, path, status, fault; no keys",
    "GET faults": "what is switched on",
    "POST faults": "{faults: {NAME: RATE or options}, wild: {NAME: RATE}, limit: N, retry_after: FORM}",
    "POST down": "{seconds: N}: refuse all connections for so long (0: be back at once, by the control port)",
    "POST sms": "{booking or number, text, sender, times, at}, {messages: […]} or {count: N}",
    "POST order": "{product, amount, provider}: somebody orders elsewhere",
    "POST clock": "{advance: SECONDS} moves the clock on, {shift: SECONDS} sets its distance to real time",
    "POST balance": "{add: AMOUNT}",
    "POST product": "{id, price, available}: change a price, or the free numbers of each network",
    "POST booking": "{id, auto_renewal, end}: switch the renewal, or end it now",
}


class Control:
    """Answers control requests for one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world

    def answer(self, request: Request) -> Reply:
        """Never raises: 403 without the token, 404 for unknown paths, 400 for senseless values."""
        token = self._sandbox.control_token
        if not token or request.headers.get(TOKEN_HEADER) != token:
            return _json({"message": "The control token is missing or wrong."}, 403)
        name = f"{request.method} {request.path.removeprefix(PREFIX).strip('/')}"
        if name not in PATHS:
            return _json({"message": "There is no such control.", "paths": PATHS}, 404)
        act: Callable[[Values], Any] = getattr(self, "_" + name.lower().replace(" ", "_"))
        try:
            values = json.loads(request.body or b"{}")
            if not isinstance(values, dict):
                raise ValueError("the body must be a JSON object")
            with self._world.lock:
                self._world.settle()
                return _json(act(values))
        except Refusal as refusal:
            return _json({"message": refusal.text}, refusal.status)
        except (ValueError, TypeError, KeyError, InvalidOperation) as error:
            return _json({"message": f"{type(error).__name__}: {error}"}, 400)

    def _get_world(self, values: Values) -> Any:
        running = [row for row in self._world.running() if row.extends is None]
        return {
            "now": self._world.now(),
            "balance": self._world.balance,
            "orders": len(self._world.orders),
            "bookings": len(self._world.bookings),
            "sms": len(self._world.sms),
            "running": [row.id for row in running],
            "waiting": [row.id for row in running if not row.sms],
        }

    def _get_ledger(self, values: Values) -> Any:
        return self._sandbox.ledger

    def _get_movements(self, values: Values) -> Any:
        rows = self._world.ledger.movements
        return [{"at": at, "amount": amount, "why": why} for at, amount, why in rows]

    def _get_sms(self, values: Values) -> Any:
        return [
            {name: getattr(row, name) for name in ("id", "booking", "number", "sender", "text", "at")}
            for row in self._world.sms
        ]

    def _get_shown(self, values: Values) -> Any:
        return self._sandbox.shown()

    def _get_calls(self, values: Values) -> Any:
        return self._sandbox.calls

    def _get_faults(self, values: Values) -> Any:
        return self._sandbox.settings()

    def _post_faults(self, values: Values) -> Any:
        self._sandbox.set_faults(**values)
        return self._sandbox.settings()

    def _post_down(self, values: Values) -> Any:
        self._sandbox.go_down(float(values.get("seconds", 60)), after=0.1)
        return {"down": values.get("seconds", 60)}

    def _post_sms(self, values: Values) -> Any:
        messages = values.get("messages", [values] * int(values.get("count", 1)))
        return {"received": sum(self._receive(message) for message in messages)}

    def _receive(self, values: Values) -> int:
        booking = self._booking_for(values)
        at = datetime.fromisoformat(values["at"]) if "at" in values else None
        rows = self._believable(booking)
        if "text" in values:
            rows = [(values.get("sender", "Service"), values["text"])]
        for sender, text in rows:
            self._world.receive_sms(booking.id, text, sender, times=int(values.get("times", 1)), at=at)
        return len(rows) * int(values.get("times", 1))

    def _believable(self, booking: Booking) -> list[tuple[str, str]]:
        # One row only, so that a caller who asks for fifty gets fifty.
        return texts.message(booking.country, booking.service, self._world.rng)[:1]

    def _booking_for(self, values: Values) -> Booking:
        if "booking" in values:
            return self._world.find_booking(int(values["booking"]))
        rows = [row for row in self._world.running() if row.extends is None]
        if "number" in values:
            rows = [row for row in rows if row.number == values["number"]]
        if not rows:
            raise Refusal("No running booking can receive this.")
        return self._world.rng.choice(rows)

    def _post_order(self, values: Values) -> Any:
        product = values.get("product") or self._world.rng.choice(sorted(self._world.products))
        order = self._world.order(int(product), int(values.get("amount", 1)), int(values.get("provider", 0)))
        return {"order": order.id, "price": order.price, "bookings": order.bookings}

    def _post_clock(self, values: Values) -> Any:
        if "shift" in values:
            self._world.clock.shift = timedelta(seconds=float(values["shift"]))
        self._world.clock.advance(float(values.get("advance", 0)))
        self._world.settle()
        return {"now": self._world.now()}

    def _post_balance(self, values: Values) -> Any:
        self._world.move_money(Decimal(str(values["add"])).quantize(Decimal("0.01")), "top-up")
        return {"balance": self._world.balance}

    def _post_product(self, values: Values) -> Any:
        product = self._world.find_product(int(values["id"]))
        if "price" in values:
            product.price = Decimal(str(values["price"])).quantize(Decimal("0.01"))
        for network in product.providers if "available" in values else ():
            network.available = int(values["available"])
        return {"id": product.id, "price": product.price}

    def _post_booking(self, values: Values) -> Any:
        booking = self._world.find_booking(int(values["id"]))
        if "auto_renewal" in values:
            booking.auto_renewal = bool(values["auto_renewal"])
        if values.get("end") and booking.id in self._world.open:
            booking.ends_at = self._world.now()
            booking.auto_renewal = False
            self._world.settle()
        return {"id": booking.id, "state": booking.state, "auto_renewal": booking.auto_renewal}


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value, default=_plain).encode(), JSON_TYPE)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
