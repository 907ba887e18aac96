"""One id for each request, by which its log lines, its audit events and the answer can be brought together."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # beat has this module for its log lines, and does without Django's requests
    from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
# What a proxy in front may say; anything else would be somebody's text in our logs.
_VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return _current.get()


def adopt(mine: str) -> None:
    """Work on under this id: what a task does is told by the id of the request that handed it out."""
    _current.set(mine)


class RequestIdMiddleware:
    """Gives each request its id, or keeps the one it came with, and tells it in the answer's X-Request-ID."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        said = request.headers.get(HEADER, "")
        mine = said if _VALID.fullmatch(said) else secrets.token_hex(8)
        token = _current.set(mine)
        try:
            response = self.get_response(request)
        finally:
            _current.reset(token)
        response.headers[HEADER] = mine
        return response
