"""The record of who did what, written in the transaction of the deed. No secret and no SMS text is in it.

Write it after the change that it is about and before the topics are touched: it locks the head of the account's chain
until the transaction ends. Of several accounts in one transaction: in the order of their ids.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest

from anosim_dashboard import request_id

from .client_address import address_of
from .live import topics
from .models import Account, AuditEvent, Booking, Product, Purchase, User
from .wording import country_name, number_text, service_text

Role = AuditEvent.Role
Details = dict[str, Any] | None


def record(request: HttpRequest, action: str, subject: Model, details: Details = None) -> AuditEvent:
    """Note that the person of `request` did `action` ("account.paused") to `subject`.

    `details` is plain data about what changed; the caller leaves secrets out.
    """
    return note(request, action, details, subject=subject)


def note(
    request: HttpRequest,
    action: str,
    details: Details = None,
    *,
    subject: Model | None = None,
    thing: tuple[str, str, str] | None = None,
    account_id: int | None = None,
    person: User | None = None,
    typed_name: str = "",
) -> AuditEvent:
    """Note a deed that may have no subject and, before the sign-in, no person: `note(request, "sign_in.failed",
    {"why": "password"}, typed_name=username)`.

    `thing` is type, id and name of a subject that is no row. `account_id` where the subject does not tell it, `person`
    where the request does not (yet). `typed_name` is what a visitor says to be called.
    """
    signed_in = getattr(request, "user", None)
    if person is None and isinstance(signed_in, User) and signed_in.is_authenticated:
        person = signed_in
    account_id = account_id or _account_of(subject)
    kind, pk, text = thing or ("", "", "")
    return _write(
        AuditEvent(
            object_type=kind,
            object_id=pk,
            object_text=text,
            user=person,
            user_name=person.get_username() if person else typed_name,
            role=_role(person, account_id) if person else Role.VISITOR,
            address=address_of(request),
            device=request.META.get("HTTP_USER_AGENT", ""),
            request_id=request_id.current(),
        ),
        action, subject, account_id, details,
    )  # fmt: skip


def by_machine(action: str, subject: Model, details: Details = None) -> AuditEvent:
    """Note what the dashboard did by itself: the steps of a purchase, the end of a change."""
    event = AuditEvent(role=Role.MACHINE, request_id=request_id.current())
    return _write(event, action, subject, _account_of(subject), details)


def by_console(action: str, subject: Model | None = None, details: Details = None) -> AuditEvent:
    """Note what somebody with a shell on the server did by `manage.py`."""
    return _write(AuditEvent(role=Role.CONSOLE), action, subject, _account_of(subject), details)


def _write(
    event: AuditEvent, action: str, subject: Model | None, account_id: int | None, details: Details
) -> AuditEvent:
    event.action, event.account_id, event.details = action, account_id, details or {}
    if subject is not None:
        event.object_type = str(subject._meta.model_name)
        event.object_id = str(subject.pk or "")
        event.object_text = text_of(subject)
    with transaction.atomic(savepoint=False):
        event.save()
        if account_id:
            topics.touch(account_id, topics.ACTIVITY)
    return event


def text_of(subject: Model) -> str:
    """What a thing is called in the record, for as long as the record is kept."""
    if isinstance(subject, Purchase):
        return f"{subject.amount} × {text_of(subject.product)}"
    if isinstance(subject, Product):
        names = (service_text(subject.service, subject.rental_type), country_name(subject.country))
        return ", ".join(name for name in names if name)
    if isinstance(subject, Booking):
        return number_text(subject.number) or str(subject)
    return str(subject)


def _account_of(subject: Model | None) -> int | None:
    found: int | None = subject.pk if isinstance(subject, Account) else getattr(subject, "account_id", None)
    return found


def _role(person: User, account_id: int | None) -> str:
    if person.is_superuser:
        return Role.ADMIN
    return person.roles.get(account_id, Role.MEMBER) if account_id else Role.MEMBER
