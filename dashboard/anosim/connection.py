"""Connections that end on time, whatever the other side does.

The timeouts of requests and urllib3 count from one read to the next: a server that sends a byte now and then
holds a call for as long as it likes, in the body and in the headers. Here every wait of an exchange (name
look-up, each address, TLS, each read) gets only what is left of one common deadline.
"""

import contextlib
import functools
import http.client
import io
import ipaddress
import logging
import socket
import threading
import time
from typing import Any

import urllib3
import urllib3.connection
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

AddressInfo = tuple[Any, ...]

# urllib3 warns of broken headers and quotes them; an answer's headers may repeat what we sent, the key too.
logging.getLogger("urllib3.connection").addFilter(
    lambda record: not str(record.msg).startswith("Failed to parse headers")
)


class NotConnected(Exception):
    """No connection came about, so nothing was sent. `cause` is the error of the operating system or of TLS.

    Neither an OSError nor an error of urllib3, so that it passes through both libraries as it is: any other
    error means that the request may have been written.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


def look_up(host: str, port: int, seconds: float) -> list[AddressInfo]:
    """The addresses of a host. Raises OSError (TimeoutError after `seconds`) or UnicodeError.

    The resolver takes no timeout and cannot be interrupted, hence the thread; it dies when the resolver gives
    up.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    found: list[list[AddressInfo] | Exception] = []

    def ask() -> None:
        try:
            found.append(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=ask, name="look-up", daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


class _TimedReader(io.RawIOBase):
    """Reads a socket's bytes; each read may take what is left until `ends` (monotonic seconds)."""

    def __init__(self, source: io.RawIOBase, sock: socket.socket, ends: float) -> None:
        super().__init__()
        self._source, self._sock, self._ends = source, sock, ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline")
        # A pooled connection that is already closed has no timeout to set; the read itself reports that.
        with contextlib.suppress(OSError):
            self._sock.settimeout(left)
        return self._source.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """Reads status line, headers and body through one _TimedReader."""

    def __init__(self, sock: socket.socket, *args: Any, ends: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        plain: Any = self.fp
        self.fp = io.BufferedReader(_TimedReader(plain.detach(), sock, ends))


class _Timed:
    """Mixed into urllib3's connections. `timeout` is set by urllib3 to what is left before each step."""

    host: str
    port: int
    timeout: Any
    socket_options: Any
    response_class: Any

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except (OSError, HTTPError, ValueError) as error:
            raise NotConnected(error) from None

    def _new_conn(self) -> socket.socket:
        ends = time.monotonic() + self.timeout
        addresses = look_up(self.host, self.port, self.timeout)
        problem: OSError = TimeoutError()
        for position, (family, kind, protocol, _, address) in enumerate(addresses):
            left = ends - time.monotonic()
            if left <= 0:
                break
            sock = socket.socket(family, kind, protocol)
            try:
                # A dead first address must leave time for the next.
                sock.settimeout(left / (len(addresses) - position))
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.connect(address)
            except OSError as error:
                sock.close()
                problem = error
            else:
                sock.settimeout(max(ends - time.monotonic(), 0.001))  # what is left is for the TLS handshake
                return sock
        raise problem

    def getresponse(self) -> Any:
        self.response_class = functools.partial(_TimedResponse, ends=time.monotonic() + self.timeout)
        return super().getresponse()  # type: ignore[misc]


class _PlainConnection(_Timed, urllib3.connection.HTTPConnection):
    pass


class _TlsConnection(_Timed, urllib3.connection.HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class TimedAdapter(HTTPAdapter):
    """Used without a requests.Session on purpose.

    A session follows redirects (a 307 repeats a POST) and, told not to, still reads the redirect's body
    without limit; it keeps cookies; it takes passwords from .netrc and proxies from the environment. An
    adapter does none of that.
    """

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
