"""A bare HTTP client for tests of the stand-in provider: a connection per call, no retries, no redirects."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from dashboard.sandbox import Sandbox
from dashboard.sandbox.control import TOKEN_HEADER


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, undecoded."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


def request(
    url: str,
    method: str = "GET",
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    timeout: float = 10,
) -> Answer:
    """Send one request; transport errors are raised as http.client raises them."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(method, f"{parts.path}?{parts.query}".rstrip("?"), body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def call(sandbox: Sandbox, method: str, path: str, *, timeout: float = 10, **query: object) -> Answer:
    """One call of the API with the right key in the Bearer header."""
    url = sandbox.url + path + ("?" + urlencode(query) if query else "")
    return request(url, method, headers={"Authorization": f"Bearer {sandbox.key}"}, timeout=timeout)


def get(sandbox: Sandbox, path: str, **query: int) -> Any:
    """The JSON of a read that must succeed."""
    answer = call(sandbox, "GET", path, **query)
    assert answer.status == 200, answer
    return answer.json


def control(sandbox: Sandbox, method: str, name: str, values: dict[str, Any] | None = None) -> Answer:
    """One request to the control paths with the right token."""
    body = None if values is None else json.dumps(values).encode()
    return request(sandbox.control_url + name, method, headers={TOKEN_HEADER: sandbox.control_token}, body=body)


def product(sandbox: Sandbox, rental_type: str, service: str = "WhatsApp", country: str = "Germany") -> int:
    """The id of a product that has free numbers."""
    for row in sandbox.world.products.values():
        if (row.rental_type, row.service, row.country) == (rental_type, service, country):
            for network in row.providers:
                network.available = 50
            return row.id
    raise LookupError(rental_type, service, country)
