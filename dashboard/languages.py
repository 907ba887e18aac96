"""Which language a page is in: what the person chose in their settings, else what their browser asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

COOKIE_AGE = 365 * 86_400


class LanguageMiddleware:
    """Makes a language the current one while a request is answered.

    Django's own LocaleMiddleware knows the browser and a cookie only. The cookie holds what was chosen on this device
    last: so the sign-in, and an address that does not exist, come in the language of the pages around them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with translation.override(translation.get_language_from_request(request)):
            request.LANGUAGE_CODE = current()  # as Django calls it: what templates read
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", current())
        patch_vary_headers(response, ["Accept-Language"])
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        # A view for everybody must not read the session: /healthz answers without the user's table.
        if getattr(view, "login_required", True) and (chosen := getattr(request.user, "language", "")):
            _activate(request, chosen)


def _activate(request: HttpRequest, code: str) -> None:
    translation.activate(code)
    request.LANGUAGE_CODE = code


def current() -> str:
    """The code of the language that words are said in now; that of the source where none is active."""
    return translation.get_language() or settings.LANGUAGE_CODE


def of_person(user: Any) -> translation.override:
    """For what is written to a person by a worker, where no browser tells its language."""
    return translation.override(user.language or settings.LANGUAGE_CODE)


def switch_to(request: HttpRequest, chosen: str) -> None:
    """Go on with this request in the language just chosen; empty for the one that the browser asks for."""
    request.COOKIES.pop(settings.LANGUAGE_COOKIE_NAME, None)
    _activate(request, chosen or translation.get_language_from_request(request))


def remember(request: HttpRequest, response: HttpResponse, chosen: str) -> None:
    """Have this device ask for the language before the sign-in, too."""
    name = settings.LANGUAGE_COOKIE_NAME
    if not chosen:
        response.delete_cookie(name, samesite="Lax")
        return
    response.set_cookie(name, chosen, max_age=COOKIE_AGE, samesite="Lax", httponly=True, secure=request.is_secure())
