"""The client of an account, with its budget in front of every call."""

from __future__ import annotations

import threading

from ..anosim import Client
from ..models import Account
from .budget import CallBudget

READ_DEADLINE = 6.0  # seconds of one attempt; a call with its retry ends within twice that
TRIES = 2
_lock = threading.Lock()
_clients: dict[int, tuple[str, Client]] = {}


def client_for(account: Account) -> Client:
    """A client with this account's key and address; kept, so that its connections are used again.

    Raises encryption.CannotUnseal when no field key opens the key.
    """
    made_from = f"{account.base_url} {account.sealed_key}"
    with _lock:
        known = _clients.get(account.pk)
        if known and known[0] == made_from:
            return known[1]
        client = Client(
            account.base_url,
            account.api_key,
            before_call=CallBudget(account.pk).wait,
            read_deadline=READ_DEADLINE,
            tries=TRIES,
        )
        _clients[account.pk] = (made_from, client)
        return client
