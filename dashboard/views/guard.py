"""What stands before every view: sign-in, method and right, as the URL's row in access_rules says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed

from ..access_rules import UNSEEN, Row, Rule, may, row_of


class AccessMiddleware(LoginRequiredMiddleware):
    """Deny by default. Whether the object that a path names is the person's to touch is asked where it is read
    (access.py), by the same row: here nothing is read but the person and their roles."""

    def get_login_url(self, view_func: Callable[..., Any]) -> str:
        """There is one sign-in; the admin site would name its own."""
        return str(settings.LOGIN_URL)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        row = row_for(request)
        rule = row.rule(request.method or "")
        # What is for everybody does not read the session: /healthz answers without the table.
        if rule == Rule.PUBLIC:
            return None
        if rule is None and row.is_public:
            return _no_such_method(row)
        if not request.user.is_authenticated:
            refused: HttpResponse = self.handle_no_permission(request, view)
            return refused
        if rule is None:
            return _no_such_method(row)
        if _permits(request.user, row, rule):
            return None
        if rule in UNSEEN or not request.user.visible_account_ids:
            raise Http404
        raise PermissionDenied


def row_for(request: HttpRequest) -> Row:
    """The row of the URL that was asked for. Raises ImproperlyConfigured where there is none."""
    name = request.resolver_match.view_name if request.resolver_match else ""
    row = row_of(name)
    if row is None:
        raise ImproperlyConfigured(f"The URL {name!r} has no row in dashboard/access_rules.py: nobody may use it.")
    return row


def _permits(user: Any, row: Row, rule: Rule) -> bool:
    """Whether the view may be asked at all. Without any membership a list is an empty one, and says so."""
    if rule == Rule.ADMIN:
        return may(user, rule)
    return bool(row.about) or rule == Rule.READ or may(user, rule)


def _no_such_method(row: Row) -> HttpResponse:
    return HttpResponseNotAllowed([method for method in ("GET", "HEAD", "POST") if row.rule(method)])
