"""The base URL of the provider's API: what is allowed as one."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit


def check_base_url(url: str) -> str:
    """The URL without spaces around it and without a slash at its end.

    Raises ValueError with one sentence for people. http is for a server of one's own: loopback, private
    addresses and names without a dot (a container's name); everywhere else the key would travel in the clear,
    so https it must be.
    """
    url = url.strip()
    if not url:
        raise ValueError("The base URL is empty.")
    if re.search(r"[\x00-\x20\x7f-\xa0\\]", url):
        raise ValueError("The base URL holds a space, a backslash or a control character.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("The base URL has a port or an address that cannot be.") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("The base URL must begin with https:// (or http:// for a server of your own).")
    if "@" in parts.netloc:
        raise ValueError("The base URL must not hold a name or a password.")
    if "?" in url or "#" in url:
        raise ValueError("The base URL must end before any ? or #.")
    _check_host(parts, port)
    return url.rstrip("/")


def _check_host(parts: SplitResult, port: int | None) -> None:
    host = (parts.hostname or "").rstrip(".")
    if not host or port == 0:
        raise ValueError("The base URL has no host, as in https://www.anosim.net/api/v1.")
    address = _address(host)
    if address is None:
        try:
            labels = host.encode("idna").decode().split(".")
        except UnicodeError:
            raise ValueError("The host in the base URL is not a host name.") from None
        # "127.1", "2130706433" and "0x7f.1" are spellings of addresses that checks on names would miss.
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
            raise ValueError("The host in the base URL looks like a number but is not an IP address.")
        if not all(re.fullmatch(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", label) for label in labels):
            raise ValueError("The host in the base URL is not a host name.")
        own = len(labels) == 1 or labels[-1] == "localhost"
    else:
        # Link-local is where cloud hosts keep their metadata service: private, but never a provider.
        metadata = address.is_link_local or address.is_unspecified
        own = (address.is_loopback or address.is_private) and not metadata
    if parts.scheme == "http" and not own:
        raise ValueError("The base URL must begin with https://, or the API key would travel unencrypted.")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped
