from __future__ import annotations

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import record_authentication
from allauth.usersessions.models import UserSession
from django.http import HttpRequest

from ..models import User


def enter(request: HttpRequest, person: User) -> None:
    """Begin a session for somebody who has just set their password by an invite, as the sign-in does.

    A second factor that they need is asked of them at the next page (middleware.py).
    """
    get_adapter(request).login(request, person)
    record_authentication(request, person, method="password")
    UserSession.objects.create_from_request(request)
