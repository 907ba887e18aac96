"""Where a message to an address that somebody chose may connect to: machines out there, not our own network.

The address alone does not tell. A name leads to any machine, and to another one a moment later; numbers have many
spellings; services redirect; apprise takes further hosts in options ("?smtp="). So it is the connection that is looked
at, whichever library makes it, by an audit hook of Python (PEP 578): what it refuses is not connected.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
# IPv6 addresses that a gateway turns into the IPv4 address in their last 32 bits.
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


class OutOfBounds(OSError):
    """The connection would have led into a private network."""


class Watch:
    """What became of the connections of one `outside_only`."""

    refused = False


# Of a context and not of a thread: apprise takes it along into threads of its own.
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def outside_only() -> Iterator[Watch]:
    """Inside, no connection leads into a private network: whoever tries gets OutOfBounds."""
    _hook()
    watch = Watch()
    before = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(before)


def is_outside(text: str) -> bool:
    """Whether it is the IP address of a machine out there. A name is not: what it leads to is known too late."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if found.version == 6 and found in TRANSLATED:
        found = ipaddress.ip_address(int(found) & 0xFFFF_FFFF)
    elif found.version == 6:
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast


@cache
def _hook() -> None:
    """Once in a process, and for good: a hook cannot be taken away."""
    sys.addaudithook(_look)


def _look(event: str, values: tuple[Any, ...]) -> None:
    if event not in CONNECTS or (watch := _watch.get()) is None:
        return
    address = values[1]
    # None: over a connection that was looked at when it was made. A path: a socket file of this machine.
    if address is not None and not (isinstance(address, tuple) and is_outside(str(address[0]))):
        watch.refused = True
        raise OutOfBounds("not to be connected from here")
