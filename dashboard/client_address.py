"""Where a request comes from. A header that anybody can write is believed only where a proxy of ours wrote it."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(request: HttpRequest) -> str | None:
    """The address of the person's machine; None for a connection without one, such as a socket file.

    It is the other end of the connection. If that is one of TRUSTED_PROXIES, the entries of X-Forwarded-For are
    read from the right, for as long as each was written by one of them.
    """
    found = _parsed(request.META.get("REMOTE_ADDR", ""))
    if found is None:
        return None
    for text in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        said = _parsed(text)
        if said is None or not _is_trusted(found):
            break
        found = said
    return str(found)


def network_of(address: str) -> str:
    """What is held to be one place: an IPv4 address, or the /64 of an IPv6 one, which a household has for itself."""
    parsed = ipaddress.ip_address(address)
    return address if parsed.version == 4 else str(ipaddress.ip_network(f"{address}/64", strict=False))


def _parsed(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)
