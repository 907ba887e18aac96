"""What of the sign-in goes on record. Never a password, a code or a secret; of a name that is nobody's not even the
name: people type their password into that field."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account_signals
from allauth.mfa import signals as mfa_signals
from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from .. import audit
from ..models import User


def note(request: HttpRequest | None, action: str, person: User | None, details: dict[str, Any] | None = None) -> None:
    """`person` is whom it is about; None: a name that is nobody's. Without a request it was done at the console."""
    if request is None:
        audit.by_console(action, person, details)
    else:
        audit.note(request, action, details, subject=person)


def connect() -> None:
    """Listen to what allauth tells."""
    account_signals.user_logged_in.connect(_signed_in)
    account_signals.password_changed.connect(_password_changed)
    account_signals.password_reset.connect(_password_reset)
    mfa_signals.authenticator_added.connect(_factor_added)
    mfa_signals.authenticator_removed.connect(_factor_removed)
    mfa_signals.authenticator_reset.connect(_codes_renewed)
    mfa_signals.authenticator_used.connect(_factor_used)


def _signed_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    note(request, "sign_in.done", user)


def _password_changed(request: HttpRequest, user: User, **kwargs: Any) -> None:
    note(request, "password.changed", user)


def _password_reset(request: HttpRequest, user: User, **kwargs: Any) -> None:
    note(request, "password.reset", user, {"by": "mail"})


def _factor_added(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    note(request, "second_factor.added", user, {"kind": authenticator.type})


def _factor_removed(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    note(request, "second_factor.removed", user, {"kind": authenticator.type})


def _codes_renewed(request: HttpRequest, user: User, **kwargs: Any) -> None:
    note(request, "recovery_codes.renewed", user)


def _factor_used(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        note(request, "recovery_code.used", user)
    elif kwargs.get("reauthenticated"):
        note(request, "sign_in.confirmed", user)
