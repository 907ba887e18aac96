"""The open sessions of a person: where from, with what, when last; and their end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from ..client_address import address_of
from ..models import User
from .devices import device_words

# In a session that came by the sign-in: only such ones have a row of their own.
TRACKED = "tracked"
SEEN_EVERY = 300.0  # seconds between two writes that a session was used
MOST_REMEMBERED = 10_000
_written: dict[str, float] = {}


@dataclass(frozen=True)
class OpenSession:
    pk: int
    device: str
    place: str
    since: datetime
    seen: datetime
    is_this: bool


def open_sessions(request: HttpRequest, person: User) -> list[OpenSession]:
    """This one first, then by when they were used last. Two queries, however many there are."""
    rows = UserSession.objects.filter(user=person).order_by("-last_seen_at")
    valid = _valid_keys(person, [row.session_key for row in rows])
    this = request.session.session_key
    found = [
        OpenSession(
            row.pk,
            device_words(row.user_agent),
            row.ip if row.ip != "0.0.0.0" else "this machine",  # noqa: S104 (compared)
            row.created_at,
            row.last_seen_at,
            row.session_key == this,
        )
        for row in rows
        if row.session_key in valid
    ]
    return sorted(found, key=lambda each: not each.is_this)


def end_session(person: User, pk: int) -> UserSession | None:
    """End one session of the person, and give what it was. Its pages stop at once, its stream within half a minute."""
    row = UserSession.objects.filter(user=person, pk=pk).first()
    if row is not None:
        _end([row])
    return row


def end_sessions(person: User, but: str | None = None) -> int:
    """End all sessions of the person, but the one with the key `but`; gives how many."""
    rows = list(UserSession.objects.filter(user=person).exclude(session_key=but or ""))
    _end(rows)
    return len(rows)


def forget(session_key: str | None) -> None:
    """The session is over by itself: its owner signed out."""
    UserSession.objects.filter(session_key=session_key or "").delete()


def note_use(request: HttpRequest) -> None:
    """Write down that the session is used, from where; at most once in SEEN_EVERY for each process."""
    key = request.session.session_key or ""
    now = time.monotonic()
    if now - _written.get(key, -SEEN_EVERY) < SEEN_EVERY:
        return
    if len(_written) >= MOST_REMEMBERED:
        _written.clear()
    _written[key] = now
    seen: dict[str, Any] = {"last_seen_at": timezone.now()}
    if address := address_of(request):
        seen["ip"] = address
    if not UserSession.objects.filter(session_key=key, user_id=request.user.pk).update(**seen):
        # The key of a session changes with the password.
        UserSession.objects.create_from_request(request)


def _valid_keys(person: User, keys: Iterable[str]) -> set[str]:
    """Those of sessions that still open something: neither over, nor of an older password."""
    rows = Session.objects.filter(session_key__in=list(keys), expire_date__gt=timezone.now())
    hashes = [person.get_session_auth_hash(), *person.get_session_auth_fallback_hash()]
    return {
        row.session_key
        for row in rows
        if any(constant_time_compare(row.get_decoded().get(HASH_SESSION_KEY, ""), each) for each in hashes)
    }


def _end(rows: list[UserSession]) -> None:
    Session.objects.filter(session_key__in=[row.session_key for row in rows]).delete()
    UserSession.objects.filter(pk__in=[row.pk for row in rows]).delete()
