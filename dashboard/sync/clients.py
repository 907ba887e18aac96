"""The client of an account, with its budget in front of every call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from django.conf import settings

from .. import tally
from ..anosim import Client, TryLater
from ..models import Account
from .budget import CallBudget

READ_DEADLINE = 6.0  # seconds of one attempt; a call with its retry ends within twice that
TRIES = 2  # one for an account whose last reads failed: trying again at once would double the calls of a storm
_lock = threading.Lock()
_clients: dict[tuple[int, bool, int], tuple[str, Client]] = {}


def client_for(account: Account, tries: int = TRIES) -> Client:
    """A client with this account's key and address; kept, so that its connections are used again.

    Raises encryption.CannotUnseal when no field key opens the key.
    """
    return _client(account, tries, urgent=False)


def spending_client_for(account: Account) -> Client:
    """Like `client_for`, for what a person waits for: its calls go before those of the schedule."""
    return _client(account, TRIES, urgent=True)


def client_for_one_call(account: Account, before_call: Callable[[], None]) -> Client:
    """A client of one purchase, with `before_call` as the last thing before its bytes leave. The caller has taken a
    turn of the budget before (`take_turn`), so that nothing waits between the decision and the call.

    Raises encryption.CannotUnseal when no field key opens the key.
    """
    deadline = float(settings.PURCHASE_DEADLINE_SECONDS)
    return Client(
        account.base_url,
        account.api_key,
        before_call=before_call,
        told_to_wait=CallBudget(account.pk).told_to_wait,
        after_call=partial(tally.called, account.pk),
        spend_deadline=deadline,
    )


def stopped(account: Account) -> None:
    """Raises TryLater while the provider is down by all we know: then only the probes of the schedule ask.

    A key that is refused is another matter: the provider's own words about it are worth a call.
    """
    if account.breaker_until is not None and account.key_ok is not False:
        raise TryLater("ANOSIM does not answer at the moment.")


def take_turn(account: Account) -> None:
    """Wait for a turn of the account's budget, before the calls of the schedule. Raises NotOurTurn."""
    CallBudget(account.pk).hurry()


def heed_silence(account: Account) -> None:
    """Raises NotOurTurn while the provider wants silence: an answer since `take_turn` may have said so."""
    CallBudget(account.pk).heed()


def _client(account: Account, tries: int, *, urgent: bool) -> Client:
    made_from = f"{account.base_url} {account.sealed_key}"
    if account.breaker_failures:
        tries = 1
    with _lock:
        known = _clients.get((account.pk, urgent, tries))
        if known and known[0] == made_from:
            return known[1]
        budget = CallBudget(account.pk)
        client = Client(
            account.base_url,
            account.api_key,
            before_call=budget.hurry if urgent else budget.wait,
            told_to_wait=budget.told_to_wait,
            after_call=partial(tally.called, account.pk),
            read_deadline=READ_DEADLINE,
            spend_deadline=float(settings.PURCHASE_DEADLINE_SECONDS),
            tries=tries,
        )
        _clients[(account.pk, urgent, tries)] = (made_from, client)
        return client
