"""Who stands behind a session and which accounts that person may see, asked without changing anything.

`django.contrib.auth.get_user` may renew or flush a session, which only an answer with a cookie can tell the
browser. A stream cannot, so the same checks are made here without writing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, load_backend
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.db import connections
from django.utils.crypto import constant_time_compare

from dashboard.models import User
from dashboard.sign_in import second_factor

from .topics import live_version


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in, active person and the ids of the accounts that they may read."""

    user_id: int
    accounts: frozenset[int]


def viewers_of(session_keys: Iterable[str]) -> dict[str, Viewer | None]:
    """For each session key its viewer; None for a session that ended, a changed password, a disabled person,
    one who lacks a second factor that they need.

    Closes the calling thread's database connections before it returns, so that open streams hold none. Raises
    django.db.Error when the database does not answer.
    """
    try:
        return {key: _viewer_of(key) for key in session_keys}
    finally:
        connections.close_all()


def version_for(viewer: Viewer) -> str:
    """The version of all that the person sees, as their pages carry it. Holds no connection; raises django.db.Error."""
    try:
        return live_version(viewer.accounts)
    finally:
        connections.close_all()


def _viewer_of(session_key: str) -> Viewer | None:
    user = _user_of(session_key)
    # Who has to set up a second factor first gets no page either.
    return (
        None if user is None or second_factor.is_missing(user) else Viewer(user.pk, frozenset(user.visible_account_ids))
    )


def _user_of(session_key: str) -> User | None:
    if not session_key:
        return None
    session: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    backend = str(session.get(BACKEND_SESSION_KEY))
    if SESSION_KEY not in session or backend not in settings.AUTHENTICATION_BACKENDS:
        return None
    try:
        user_id = User._meta.pk.to_python(session[SESSION_KEY])
    except ValidationError:
        return None
    user = load_backend(backend).get_user(user_id)
    if not isinstance(user, User) or not user.is_active:
        return None
    stored = session.get(HASH_SESSION_KEY) or ""
    valid = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return user if any(constant_time_compare(stored, each) for each in valid) else None
