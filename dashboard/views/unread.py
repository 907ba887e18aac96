"""What the person who asks has not read: read once in a request, for the frame, the list and the versions of both."""

from __future__ import annotations

from django.http import HttpRequest

from ..access_rules import Rule
from ..models.reading import COUNTED, ReadStates, read_states
from .access import accounts_in_view


def states_of(request: HttpRequest) -> ReadStates:
    """By account that the person may see. One query a request."""
    known: ReadStates | None = getattr(request, "_read_states", None)
    if known is None:
        known = read_states(request.user)
        request._read_states = known  # type: ignore[attr-defined]
    return known


def states_in_view(request: HttpRequest) -> ReadStates:
    """The same of the accounts that the page is about."""
    states = states_of(request)
    return {pk: states[pk] for pk in accounts_in_view(request, Rule.READ) if pk in states}


def unread_text(request: HttpRequest) -> str:
    """How many messages are unread in the accounts in view: empty for none, "999+" beyond what is counted."""
    count = sum(state.unread for state in states_in_view(request).values())
    return f"{COUNTED - 1}+" if count >= COUNTED else str(count or "")


def read_version(request: HttpRequest) -> str:
    """Moves whenever the person has read something, in another tab or on another device."""
    return " ".join(f"{pk}:{state.version}" for pk, state in states_of(request).items())
