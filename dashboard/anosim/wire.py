"""One HTTP exchange with the provider: the only place that knows the key, the headers, and the limits.

What holds for every exchange (issue 2, section 1): Bearer header only, fixed User-Agent, certificates
verified, no redirect followed, no .netrc and no proxy from the environment, uncompressed answers asked for,
one deadline for all of it, and a limit on the size of the body.
"""

import contextlib
import http.client
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from socket import gaierror
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from urllib3.exceptions import HTTPError

from dashboard.anosim.connection import NotConnected, TimedAdapter
from dashboard.anosim.secret import Key

USER_AGENT = "anosim-dashboard/1.0"
CONNECT_SECONDS = 5.0
CHUNK = 65_536
READ_CONNECTIONS = 4

logger = logging.getLogger(__name__)

_FAULTS = (requests.RequestException, HTTPError, http.client.HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status. `hide` takes the key out of foreign text."""

    host: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    hide: Callable[[str], str] = field(repr=False)


class WireError(Exception):
    """No usable answer. `text` is one sentence that names the host only."""

    def __init__(self, text: str, *, passing: bool = True) -> None:
        super().__init__(text)
        self.text = text
        self.passing = passing


class NotSent(WireError):
    """No connection came about: not one byte of the request left."""


class NoAnswer(WireError):
    """The request may have been written, but no answer began, or none ended within the deadline."""


class Spoilt(WireError):
    """An answer began and cannot be used: broken off, too large, badly packed."""


class Wire:
    """Sends requests below one base URL with one key. Safe to use from several threads."""

    def __init__(
        self, base_url: str, key: Key, max_body: int, after_call: Callable[[str, float], None] | None = None
    ) -> None:
        self.host = urlsplit(base_url).hostname or ""
        self._base_url = base_url
        self._key = key
        self._max_body = max_body
        self._after_call = after_call
        self._pool = TimedAdapter(pool_connections=1, pool_maxsize=READ_CONNECTIONS)

    def __repr__(self) -> str:
        return f"<Wire {self.host}>"

    def close(self) -> None:
        self._pool.close()

    def send(self, method: str, path: str, query: Mapping[str, int], *, seconds: float, fresh: bool = False) -> Answer:
        """Sends one request, once, and returns the answer of any status within `seconds`.

        `fresh` opens a connection for this request alone: one that was kept may be closed by the other side
        just as the request leaves, and then nobody knows whether it arrived (reliability.md 4.8). Raises
        NotSent, NoAnswer or Spoilt; their context is empty, as the library's errors hold the request.
        """
        ends = time.monotonic() + seconds
        adapter = TimedAdapter(pool_connections=1, pool_maxsize=1) if fresh else self._pool
        failure: WireError
        response: requests.Response | None = None
        timeout = urllib3.Timeout(total=max(seconds, 0.001), connect=CONNECT_SECONDS)
        try:
            response = adapter.send(
                self._request(method, path, query, fresh),
                stream=True,
                timeout=timeout,  # type: ignore[arg-type]  # requests takes it, its type hints lag behind
                verify=True,
            )
            body = self._read(response)
            self._log(method, path, str(response.status_code), ends - seconds)
            return Answer(self.host, response.status_code, response.headers, body, self._key.hide)
        except NotConnected as error:
            failure = NotSent(self._why_not_connected(error.cause))
        except WireError as error:
            failure = error
        except _FAULTS as error:
            failure = self._failure(error, seconds, late=time.monotonic() >= ends, begun=response is not None)
        finally:
            if response is not None:
                response.close()
            if fresh:
                adapter.close()
        self._log(method, path, type(failure).__name__, ends - seconds)
        raise failure

    def _log(self, method: str, path: str, how: str, begun: float) -> None:
        """A line for each call: at INFO what changes something, at DEBUG the reads, of which there are many."""
        level = logging.DEBUG if method == "GET" else logging.INFO
        seconds = time.monotonic() - begun
        logger.log(level, "%s %s: %s after %.2f s", method, path, how, seconds)
        if self._after_call is not None:
            # Whoever counts calls must not make a purchase look as if its answer was lost.
            with contextlib.suppress(Exception):
                self._after_call(how, seconds)

    def _request(self, method: str, path: str, query: Mapping[str, int], fresh: bool) -> requests.PreparedRequest:
        url = self._base_url + path + (f"?{urlencode(query)}" if query else "")
        headers = {
            "Authorization": self._key.bearer(),
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close" if fresh else "keep-alive",
        }
        return requests.Request(method, url, headers=headers).prepare()

    def _read(self, response: requests.Response) -> bytes:
        # The unpacked size counts: urllib3 unpacks at most a chunk at a time, so a small bomb stops here too.
        too_large = Spoilt(f"The answer of {self.host} is over {self._max_body:,} bytes long.", passing=False)
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > self._max_body):
            raise too_large
        body = bytearray()
        while chunk := response.raw.read(CHUNK, decode_content=True):
            body += chunk
            if len(body) > self._max_body:
                raise too_large
        return bytes(body)

    def _failure(self, error: Exception, seconds: float, *, late: bool, begun: bool) -> WireError:
        timeouts = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
        if late or isinstance(error, timeouts):
            return NoAnswer(f"{self.host} did not finish its answer within {seconds:.3g} seconds.")
        if isinstance(error, urllib3.exceptions.DecodeError):
            return Spoilt(f"The answer of {self.host} is packed in a way that cannot be undone.")
        if begun:
            return Spoilt(f"The answer of {self.host} broke off before its end.")
        return NoAnswer(f"{self.host} closed the connection without a proper answer.")

    def _why_not_connected(self, cause: Exception) -> str:
        if isinstance(cause, gaierror | UnicodeError):
            return f"The name {self.host} cannot be found; check the base URL and the network (DNS)."
        if isinstance(cause, ConnectionRefusedError):
            return f"{self.host} refuses connections."
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The certificate of {self.host} cannot be trusted."
        if isinstance(cause, ssl.SSLError | urllib3.exceptions.SSLError):
            return f"No secure connection to {self.host} is possible; check https or http in the base URL."
        if isinstance(cause, TimeoutError):
            return f"{self.host} cannot be reached in time."
        return f"{self.host} cannot be reached."
