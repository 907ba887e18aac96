from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from . import second_factor, sessions
from .fresh import lead_to

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponse]

# What is open to somebody who still has to set up a second factor: setting it up, proving who they are, leaving.
OPEN_WITHOUT = frozenset(
    {
        "healthz",
        "logout",
        "account_reauthenticate",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "second-factor-needed",
    }
)


class SecondFactorMiddleware:
    """Who needs a second factor and has none is led to set one up, whatever they asked for."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        match = request.resolver_match
        if not settings.MFA_REQUIRED or (match and match.view_name in OPEN_WITHOUT):
            return None
        if request.user.is_authenticated and second_factor.is_missing(request.user):
            return lead_to(request, reverse("second-factor-needed"))
        return None


class LastSeenMiddleware:
    """Keeps "last used" of the session list true, at a write every few minutes."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # Only where somebody read the session: what is for everybody does not need to.
        if request.session.accessed and request.session.get(sessions.TRACKED) and request.user.is_authenticated:
            try:
                sessions.note_use(request)
            except DatabaseError as error:
                # A page that could be read is shown, also where nothing can be written.
                logger.warning("the use of a session was not noted (%s)", type(error).__name__)
        return response
