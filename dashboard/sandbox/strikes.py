"""What a fault does to one answer: the error pages, and the ways to send less, more or nothing."""

from __future__ import annotations

import gzip
from random import Random

from .faults import Limit, Strike
from .wire import HTML_TYPE, JSON_TYPE, TEXT_TYPE, Closed, Connection, Reply, Request
from .world import World

HUGE = 200_000_000
LATE_HOLD = 120.0
CHUNK = b" " * 65_536
BOMB_UNPACKED = 1_000_000_000
PAGE = (
    "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1>"
    "<p>We will be back shortly.</p></body></html>"
)
ERRORS = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class Strikes:
    """Makes and sends the answers of faults."""

    def __init__(self, world: World, limit: Limit) -> None:
        self._world = world
        self._limit = limit
        self._rng = Random(f"{world.seed}/strikes")

    def reply(self, name: str, request: Request) -> Reply | None:
        """The answer that stands in for the real one, or None if this fault needs none."""
        if name.startswith("throttle"):
            return self.throttled()
        if name.startswith("error"):
            return self._error()
        if name.startswith("redirect"):
            return Reply(307, b"", TEXT_TYPE, {"Location": request.target})
        if name in ("maintenance", "html-after"):
            title = "Maintenance" if name == "maintenance" else "An error occurred"
            return Reply(200, PAGE.format(title=title).encode(), HTML_TYPE)
        if name == "bad-gateway":
            return Reply(502, PAGE.format(title="502 Bad Gateway").encode(), HTML_TYPE)
        if name == "empty-after":
            return Reply(200, b"")
        return None

    def throttled(self) -> Reply:
        """429 with the chosen form of Retry-After."""
        return Reply(429, b"Too many requests", TEXT_TYPE, self._limit.headers(self._world.now()))

    def _error(self) -> Reply:
        status = self._rng.choice(tuple(ERRORS))
        form = self._rng.choice(("text", "json", "html"))
        if form == "json":
            return Reply(status, b'{"message":"An error has occurred."}', JSON_TYPE)
        if form == "html":
            return Reply(status, PAGE.format(title=f"{status} {ERRORS[status]}").encode(), HTML_TYPE)
        return Reply(status, ERRORS[status].encode(), TEXT_TYPE)

    def spoil(self, strike: Strike, reply: Reply, connection: Connection, date: str) -> None:
        """Send `reply` broken, or not at all; raises Closed where the connection does not survive that."""
        name = strike.name
        if name.startswith(("timeout", "late")):
            # Who waits for a late commit has given up long before it.
            connection.wait(strike.seconds + (LATE_HOLD if name == "late-commit" else 0))
            raise Closed
        if name.startswith("reset"):
            connection.reset()
        elif name == "truncated-after":
            half = Reply(reply.status, reply.body[: len(reply.body) // 2], reply.content_type)
            connection.send_reply(half, date=date)
        elif name == "cut-after":
            half = Reply(reply.status, reply.body[: len(reply.body) // 2], reply.content_type)
            connection.send_reply(half, date=date, close=True, length=len(reply.body))
        elif name == "huge":
            self._send_huge(connection, date)
        elif name == "gzip-bomb":
            bomb = Reply(200, self._bomb(), JSON_TYPE, {"Content-Encoding": "gzip"})
            connection.send_reply(bomb, date=date, close=True)
        elif name == "trickle":
            self._trickle(strike, reply, connection, date)

    def _send_huge(self, connection: Connection, date: str) -> None:
        # Blanks before the list: JSON all the way, so only the size is wrong with it.
        connection.send_reply(Reply(200, b""), date=date, length=HUGE)
        for _ in range(HUGE // len(CHUNK)):
            connection.send(CHUNK)
        rest = HUGE % len(CHUNK)
        connection.send(b" " * (rest - 2) + b"[]")

    def _bomb(self) -> bytes:
        # Members of a gzip file add up (RFC 1952, 2.2): one is packed, all the others are copies.
        member = gzip.compress(b" " * 10_000_000, 9, mtime=0)
        return member * (BOMB_UNPACKED // 10_000_000)

    def _trickle(self, strike: Strike, reply: Reply, connection: Connection, date: str) -> None:
        connection.send_reply(Reply(reply.status, b""), date=date, length=len(reply.body))
        for place in range(len(reply.body)):
            if not connection.wait(strike.seconds):
                raise Closed
            connection.send(reply.body[place : place + 1])
