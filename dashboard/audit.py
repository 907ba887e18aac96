"""The record of who did what, written in the transaction of the deed. No secret and no SMS text is in it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from django.db.models import Model
from django.http import HttpRequest

from .models import Account, AuditEvent


def record(request: HttpRequest, action: str, subject: Model, details: dict[str, Any] | None = None) -> AuditEvent:
    """Note that the person of `request` did `action` ("account.paused") to `subject`.

    `details` is plain data about what changed; the caller leaves secrets out.
    """
    account = subject if isinstance(subject, Account) else getattr(subject, "account", None)
    person = request.user if request.user.is_authenticated else None
    return AuditEvent.objects.create(
        user=person,
        account=account if account is None or account.pk else None,
        action=action,
        object_text=f"{subject._meta.verbose_name} {subject}"[:120],
        details=details or {},
        address=_address(request),
    )


def _address(request: HttpRequest) -> str | None:
    """The address of the other end of the connection; a socket file has none."""
    address = request.META.get("REMOTE_ADDR", "")
    try:
        validate_ipv46_address(address)
    except ValidationError:
        return None
    return str(address)
