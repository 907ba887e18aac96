"""The 17 calls of the provider's API (anosim-api.md): which path is which call, what each does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import sales
from .catalogue import COUNTRIES
from .records import Booking, Order, Refusal, Sms
from .shapes import EMPTY_TEXTS, Shapes, written
from .shown import Shown
from .wire import HTML_TYPE, JSON_TYPE, TEXT_TYPE, Reply, Request
from .world import World

BASE = "/api/v1"
READS, SPENDS, CHANGES = "reads", "spends", "changes"


@dataclass(frozen=True, slots=True)
class Route:
    """One way to write one call; `example` marks the form that has another one beside it."""

    method: str
    path: re.Pattern[str]
    name: str
    kind: str
    example: bool = False


def _route(method: str, path: str, name: str, kind: str = READS, *, example: bool = False) -> Route:
    return Route(method, re.compile(BASE + path + "/?", re.IGNORECASE), name, kind, example)


ROUTES = (
    _route("GET", "/Balance", "balance"),
    _route("GET", "/Countries", "countries"),
    _route("GET", "/Products", "products"),
    _route("GET", r"/Products/(\d+)", "product"),
    _route("POST", "/Orders", "place_order", SPENDS),
    _route("GET", "/Orders", "orders"),
    _route("GET", r"/Orders/(\d+)", "order"),
    _route("GET", "/SimCards", "sim_cards"),
    _route("GET", "/Sms", "sms"),
    _route("GET", r"/Sms/(\d+)", "booking_sms"),
    _route("GET", "/OrderBookings", "bookings"),
    _route("GET", "/OrderBookingsCurrent", "current_bookings"),
    _route("GET", r"/OrderBookings/(\d+)", "booking", example=True),
    _route("GET", r"/OrderBooking/?:?(\d+)", "booking"),
    _route("PATCH", r"/OrderBookings/(\d+)", "cancel", CHANGES, example=True),
    _route("PATCH", r"/OrderBooking/?:?(\d+)", "cancel", CHANGES),
    _route("POST", r"/OrderBookingsReUse/(\d+)", "reuse", SPENDS, example=True),
    _route("POST", r"/OrderBookingReUse/(\d+)", "reuse", SPENDS),
    _route("POST", "/OrderBookings", "extend", SPENDS),
    _route("POST", "/OrderBookingsAutoRenewal", "auto_renewal", CHANGES, example=True),
    _route("POST", "/OrderBookingsAutoRenewal/SetAutoRenewalAsync", "auto_renewal", CHANGES),
)


def kind_of(request: Request) -> str:
    """Whether a request reads, spends money or changes something else; unknown paths go by their method."""
    for route in ROUTES:
        if route.method == request.method and route.path.fullmatch(request.path):
            return route.kind
    return READS if request.method in ("GET", "HEAD") else CHANGES


class Calls:
    """Answers calls. `keys` are the accepted API keys, all of the same account."""

    def __init__(self, world: World, shapes: Shapes, shown: Shown, keys: tuple[str, ...]) -> None:
        self.world = world
        self.shapes = shapes
        self.shown = shown
        self.keys = keys

    def answer(self, request: Request, number: int) -> Reply:
        """Execute a request, `number` in the log of calls. Never raises: a refusal is an answer too."""
        try:
            if given_key(request)[0] not in self.keys:
                raise Refusal("The API key is not valid.", 401)
            route, identity = self._find(request)
            with self.world.lock:
                self.world.settle()
                run: Callable[[_Call], Reply] = getattr(self, f"_{route.name}")
                return run(_Call(request, identity, number))
        except Refusal as refusal:
            return self._refused(refusal, number)

    def _find(self, request: Request) -> tuple[Route, int]:
        fits = [(route, match) for route in ROUTES if (match := route.path.fullmatch(request.path))]
        if not fits:
            raise Refusal("Not found", 404)
        for route, match in fits:
            if route.method == request.method:
                if route.example and self.shapes.has("other-paths", route.name):
                    raise Refusal("Not found", 404)
                return route, int(match.group(1)) if match.groups() else 0
        raise Refusal("Method not allowed", 405)

    def _refused(self, refusal: Refusal, number: int) -> Reply:
        if self.shapes.has("json-errors", number):
            return Reply(refusal.status, written({"message": refusal.text}).encode(), JSON_TYPE)
        return Reply(refusal.status, refusal.text.encode(), TEXT_TYPE)

    def _json(self, value: Any, call: _Call, shown: Callable[[], None] | None = None) -> Reply:
        text = written(value, ascii_only=not self.shapes.has("raw-utf8", call.number))
        content_type = HTML_TYPE if self.shapes.has("html-type", call.number) else JSON_TYPE
        return Reply(200, text.encode("utf-8", "replace"), content_type, shown=shown)

    # 1–4: balance and catalogue -------------------------------------------------------------------

    def _balance(self, call: _Call) -> Reply:
        return self._json({"accountBalanceInUSD": self.shapes.money(self.world.balance, "balance")}, call)

    def _countries(self, call: _Call) -> Reply:
        return self._json([{"id": row.id, "country": row.name} for row in COUNTRIES], call)

    def _products(self, call: _Call) -> Reply:
        rows = list(self.world.products.values())
        if call.request.query.get("countryid"):
            wanted = call.number_of("countryId")
            names = {row.name for row in COUNTRIES if row.id == wanted}
            rows = [row for row in rows if row.country in names]
        return self._json([self.shapes.product(row) for row in rows], call)

    def _product(self, call: _Call) -> Reply:
        return self._json(self.shapes.product(self.world.find_product(call.identity), providers=True), call)

    # 5–7: orders ----------------------------------------------------------------------------------

    def _place_order(self, call: _Call) -> Reply:
        product, amount = call.number_of("productId"), call.number_of("amount")
        provider = call.number_of("providerId", "0")
        return self._sold(self.world.order(product, amount, provider, origin="api", call=call.name), call)

    def _sold(self, order: Order, call: _Call) -> Reply:
        row = self.shapes.order(order)
        wrapped = self.shapes.has("list-wrapped", order.id)
        return self._json([row] if wrapped else row, call, lambda: self.shown.orders([row]))

    def _orders(self, call: _Call) -> Reply:
        rows = [self.shapes.order(row) for row in self.world.last_orders()]
        return self._list(rows, "orders", call, lambda: self.shown.orders(rows))

    def _order(self, call: _Call) -> Reply:
        row = self.shapes.order(self.world.find_order(call.identity))
        return self._json(row, call, lambda: self.shown.orders([row]))

    # 8–10: cards and messages ---------------------------------------------------------------------

    def _sim_cards(self, call: _Call) -> Reply:
        rows = [row for row in self.world.running() if row.extends is None and self.world.is_visible(row)]
        return self._list([self.shapes.sim_card(row) for row in rows], "sim_cards", call)

    def _sms(self, call: _Call) -> Reply:
        return self._messages(self.world.last_sms(), call)

    def _booking_sms(self, call: _Call) -> Reply:
        return self._messages(self.world.booking_sms(call.identity), call)

    def _messages(self, messages: list[Sms], call: _Call) -> Reply:
        messages = self.shapes.in_order(messages)
        rows = [self.shapes.sms(row) for row in messages]
        ids = [row.id for row in messages]
        return self._list(rows, "sms", call, lambda: self.shown.sms(rows, ids))

    # 11–14: bookings ------------------------------------------------------------------------------

    def _bookings(self, call: _Call) -> Reply:
        return self._booking_list(self.world.last_bookings(), call)

    def _current_bookings(self, call: _Call) -> Reply:
        return self._booking_list(self.world.current_bookings(), call, current=True)

    def _booking_list(self, bookings: list[Booking], call: _Call, *, current: bool = False) -> Reply:
        rows = [self.shapes.booking(row, current=current) for row in bookings]
        return self._list(rows, "bookings", call, lambda: self.shown.bookings(rows))

    def _booking(self, call: _Call) -> Reply:
        row = self.shapes.booking(self.world.find_booking(call.identity))
        return self._json(row, call, lambda: self.shown.bookings([row]))

    def _cancel(self, call: _Call) -> Reply:
        sales.cancel(self.world, call.identity)
        return self._json({"success": True}, call)

    # 15–17: reuse, extend, renew ------------------------------------------------------------------

    def _reuse(self, call: _Call) -> Reply:
        return self._sold(sales.reuse(self.world, call.identity, origin="api", call=call.name), call)

    def _extend(self, call: _Call) -> Reply:
        booking, minutes = call.number_of("orderBookingId"), call.number_of("extentionInMinutes")
        return self._sold(sales.extend(self.world, booking, minutes, origin="api", call=call.name), call)

    def _auto_renewal(self, call: _Call) -> Reply:
        enable = call.number_of("enable")
        if enable not in (0, 1):
            raise Refusal("enable must be 0 or 1.")
        booking = call.number_of("orderBookingId") if call.request.query.get("orderbookingid") else None
        count = sales.set_auto_renewal(self.world, enable == 1, booking)
        message = "Auto-renewal set successfully."
        return self._json({"Success": True, "Message": message, "AffectedOrderBookingsCount": count}, call)

    def _list(self, rows: list[Any], what: str, call: _Call, shown: Callable[[], None] | None = None) -> Reply:
        """A list, or the text that some providers send for an empty one (anosim-api.md, wild fact 2)."""
        if not rows and self.shapes.has("empty-400", f"{what}/{call.number}"):
            raise Refusal(EMPTY_TEXTS.get(what, "No SimCard found"))
        return self._json(rows, call, shown)


@dataclass(frozen=True, slots=True)
class _Call:
    request: Request
    identity: int
    number: int

    @property
    def name(self) -> str:
        """How the ledger names the call: method, path and number in the log."""
        return f"{self.request.method} {self.request.path} #{self.number}"

    def number_of(self, name: str, default: str = "") -> int:
        """A whole number from the query; raises Refusal if it is missing or none."""
        text = self.request.query.get(name.lower(), default)
        if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
            raise Refusal(f"{name} is missing or not a number.")
        return int(text)


def given_key(request: Request) -> tuple[str, str]:
    """The key that a request carries, and how: a header wins over the query (anosim-api.md)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip(), "bearer"
    if "x-api-key" in request.headers:
        return request.headers["x-api-key"], "x-api-key"
    if "apikey" in request.query:
        return request.query["apikey"], "query"
    return "", "none"
