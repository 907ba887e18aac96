"""The database goes away while a purchase is being sent: what came of the call is noted once it is back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from dashboard.models import Account, Purchase, User
from dashboard.purchases import intents, sending
from dashboard.sandbox import Sandbox

from .buying import LOST, full_store, sold, wish, work
from .buying import buyer as buyer
from .buying import quick_budget as quick_budget
from .buying import shop as shop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_budget", "noted_soon")]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with full_store(seed=8) as server:
        yield server


@pytest.fixture
def noted_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "NOTE_AGAIN", 0.01)


class Away:
    """The database answers nothing to the next so many statements, beginning when it is told."""

    def __init__(self) -> None:
        self.left = 0

    def __call__(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        if self.left:
            self.left -= 1
            raise OperationalError("the connection is closed")
        return execute(*arguments)


@pytest.fixture
def away() -> Iterator[Away]:
    switch = Away()
    with connection.execute_wrapper(switch):
        yield switch


def lose_answer_to(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first move to this status is committed, but the connection is lost before we hear of it."""
    move = sending.move
    times: list[int] = []

    def unheard(purchase: Purchase, new: str, *arguments: Any, **options: Any) -> bool:
        before = purchase.status
        done = move(purchase, new, *arguments, **options)
        if new == status and not times:
            times.append(1)
            purchase.status = before
            raise OperationalError("the connection was lost during COMMIT")
        return done

    monkeypatch.setattr(sending, "move", unheard)


def after(name: str, away: Away, statements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes away as soon as this function of the sender is through."""
    act = getattr(sending, name)

    def then_away(*arguments: Any, **options: Any) -> Any:
        try:
            return act(*arguments, **options)
        finally:
            away.left = statements

    monkeypatch.setattr(sending, name, then_away)


def sent(buyer: User, shop: Account) -> Purchase:
    purchase = intents.queue(wish(buyer, shop))
    sending.send(purchase.pk)
    purchase.refresh_from_db()
    return purchase


def test_an_answer_is_noted_as_soon_as_the_database_is_back(
    buyer: User, shop: Account, sandbox: Sandbox, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    after("_spend", away, 5, monkeypatch)
    purchase = sent(buyer, shop)
    assert (purchase.status, len(sold(sandbox))) == ("confirmed", 1)
    assert [step.new for step in purchase.steps.order_by("pk")][-2:] == ["sending", "confirmed"]


def test_a_lost_answer_is_noted_as_not_known_yet(
    buyer: User, shop: Account, sandbox: Sandbox, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.set_faults(LOST)
    after("_spend", away, 5, monkeypatch)
    assert sent(buyer, shop).status == "unknown"


def test_a_confirmation_that_was_committed_unheard_is_not_made_twice(
    buyer: User, shop: Account, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_answer_to("confirmed", monkeypatch)
    purchase = sent(buyer, shop)
    assert (purchase.status, len(sold(sandbox))) == ("confirmed", 1)
    assert purchase.steps.filter(new="confirmed").count() == 1


@pytest.mark.parametrize("name", ["take_look", "_why_not"])
def test_what_was_not_sent_yet_waits_and_is_sent_later(
    name: str, buyer: User, shop: Account, sandbox: Sandbox, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(name, away, 3, monkeypatch)
    purchase = sent(buyer, shop)
    assert (purchase.status, sold(sandbox)) == ("queued", [])
    assert "The database was away before anything was sent" in purchase.words
    monkeypatch.undo()
    work(8)
    purchase.refresh_from_db()
    assert (purchase.status, len(sold(sandbox))) == ("confirmed", 1)


def test_a_committed_sending_before_the_call_is_taken_back(
    buyer: User, shop: Account, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_answer_to("sending", monkeypatch)
    purchase = sent(buyer, shop)
    assert (purchase.status, sold(sandbox)) == ("queued", [])


def test_a_database_that_stays_away_leaves_the_rest_to_the_lists(
    buyer: User, shop: Account, sandbox: Sandbox, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "NOTED_WITHIN", 0.2)
    after("_spend", away, 100_000, monkeypatch)
    with pytest.raises(OperationalError):
        sending.send(intents.queue(wish(buyer, shop)).pk)
    away.left = 0
    assert (Purchase.objects.get().status, len(sold(sandbox))) == ("sending", 1)
