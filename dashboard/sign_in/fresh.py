""" "Confirm it's you": keys, people and overrides open only to who proved a few minutes ago who they are.

A sign-in counts, and so does a password, a code or a security key given on the confirmation page.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.reauthentication import suspend_request
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

PROOFS = ("password", "mfa")


def fresh(request: HttpRequest) -> bool:
    """Whether the person of this session proved who they are within CONFIRMED_SECONDS."""
    records = get_authentication_records(request, request.user) if request.user.is_authenticated else []
    proved = [record["at"] for record in records if record.get("method") in PROOFS]
    return bool(proved) and 0 <= time.time() - proved[-1] < settings.CONFIRMED_SECONDS


def confirm_first(request: HttpRequest) -> HttpResponse:
    """Lead to the confirmation page, and from there back to where the person was.

    A form that was sent is not kept: a key or a password may be in it.
    """
    return lead_to(request, f"{reverse('account_reauthenticate')}?{urlencode({'next': _where_they_are(request)})}")


def confirm_then_go_on(request: HttpRequest) -> HttpResponse:
    """The same, but the form is kept in the session and sent again by itself: for forms without a secret in them."""
    answer: HttpResponse = suspend_request(request, reverse("account_reauthenticate"))
    return answer


def confirmed(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorator of a view that needs a fresh proof, whatever the method."""

    @wraps(view)
    def asked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs) if fresh(request) else confirm_first(request)

    return asked


def lead_to(request: HttpRequest, url: str) -> HttpResponse:
    """To another page: 303, or for a fragment htmx's own way, so that the page as a whole moves on."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=403, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url, status=303)


def _where_they_are(request: HttpRequest) -> str:
    """Path of the page to come back to: what a GET asked for, else the page that the request was sent from."""
    if request.method in ("GET", "HEAD") and not request.headers.get("HX-Request"):
        return request.get_full_path()
    page = request.headers.get("HX-Current-URL") or request.headers.get("Referer") or ""
    if not url_has_allowed_host_and_scheme(page, {request.get_host()}):
        return "/"
    parts = urlsplit(page)
    return parts.path + (f"?{parts.query}" if parts.query else "")
