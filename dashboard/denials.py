"""Notes when somebody who is signed in asks for what is not theirs: refused (403), or not there for them (404)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch
from django.utils import timezone

from . import audit
from .models import AuditEvent, User

logger = logging.getLogger(__name__)
ACTION = "access.denied"
PAGE = "page"
# Of one person and one kind of page no more than one event in this time: a scan fills no table.
PAUSE = timedelta(minutes=1)


class DenialsMiddleware:
    """The last of all: it sees the answer of the view, and who asked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match, person = request.resolver_match, getattr(request, "user", None)
        # An address that leads nowhere is no page that is kept from somebody; what is not there for an admin is not.
        denied = response.status_code == 403 or (response.status_code == 404 and not getattr(person, "is_superuser", 1))
        if denied and match is not None and isinstance(person, User):
            _note(request, person, match, response.status_code)
        return response


def _note(request: HttpRequest, person: User, match: ResolverMatch, status: int) -> None:
    name = (match.view_name or match.route)[:40]
    try:
        with transaction.atomic():
            lately = AuditEvent.objects.filter(user=person.pk, at__gt=timezone.now() - PAUSE)
            if lately.filter(action=ACTION, object_type=PAGE, object_id=name).exists():
                return
            details = {"page": _path(match), "method": request.method, "status": status}
            account_id = getattr(request, "denied_in", None)
            thing = (PAGE, name, _path(match))
            audit.note(request, ACTION, details, person=person, thing=thing, account_id=account_id)
    except DatabaseError as error:
        # The page for what went wrong must come even if the database is what is broken.
        logger.warning("a denied access was not noted (%s)", type(error).__name__)


def _path(match: ResolverMatch) -> str:
    """The page's address with the ids in it and nothing else: a link's secret is no part of the record."""
    path = f"/{match.route}"
    for name, value in match.kwargs.items():
        if isinstance(value, int | UUID):
            path = path.replace(f"<int:{name}>", str(value)).replace(f"<uuid:{name}>", str(value))
    return path
