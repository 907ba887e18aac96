"""Many at once, twice, late, or after a sleep: one form is one purchase, one purchase is at most one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.db import connection, transaction
from django.utils import timezone

from dashboard.models import Account, Booking, BookingChange, Product, Purchase, PurchaseStep
from dashboard.purchases import changing, failpoints, intents, sending, settling, sweeping, transitions
from dashboard.purchases.intents import Declined
from dashboard.sandbox import Sandbox
from tests.redis_server import RedisServer

from .buying import (
    LOST,
    full_store,
    left_unknown,
    let_time_pass,
    settle_until_decided,
    sold,
    spends,
    wish,
    wish_of_kind,
    work,
    wrongs,
)
from .buying import buyer as buyer
from .buying import quick_budget as quick_budget
from .buying import shop as shop
from .provider import read

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_budget")]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with full_store(seed=5) as server:
        yield server


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """What `act` gives, or raises, in so many threads that begin together."""
    gate = threading.Barrier(min(count, 12))

    def run(number: int) -> Any:
        if number < gate.parties:
            gate.wait(20)
        try:
            return act(number)
        except Declined as declined:
            return declined
        finally:
            connection.close()

    with ThreadPoolExecutor(gate.parties) as threads:
        return list(threads.map(run, range(count)))


def test_fifty_parallel_submits_of_one_form_are_one_purchase_and_one_call(
    sandbox: Sandbox, shop: Account, buyer: Any
) -> None:
    form = wish(buyer, shop)

    def submit(_: int) -> Any:
        purchase = intents.queue(form)
        sending.send(purchase.pk)
        return purchase.pk

    assert len(set(at_once(50, submit))) == 1
    assert Purchase.objects.get().status == "confirmed"
    assert PurchaseStep.objects.filter(old="").count() == 1
    assert len(spends(sandbox)) == len(sold(sandbox)) == 1


def test_a_hundred_parallel_purchases_at_a_cap_never_get_above_it(shop: Account, buyer: Any) -> None:
    product = Product.objects.filter(
        account=shop, service="Instagram", country="Germany", rental_type="Activation"
    ).get()
    assert product.price_usd is not None
    cap = product.price_usd * 7 + Decimal("0.10")
    Account.objects.update(daily_cap_usd=cap)
    given = at_once(100, lambda _: intents.queue(wish(buyer, shop, product=product)))
    assert sum(isinstance(each, Purchase) for each in given) == 7
    assert all("daily cap" in each.text for each in given if isinstance(each, Declined))
    assert Purchase.objects.all().sum() == product.price_usd * 7 <= cap


def test_each_message_delivered_ten_times_is_one_call(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    products = Product.objects.filter(account=shop, rental_type="Activation", country="Germany").order_by("pk")[:6]
    purchases = [intents.queue(wish(buyer, shop, product=product)) for product in products]
    messages = [purchase.pk for purchase in purchases for _ in range(10)]
    at_once(len(messages), lambda number: sending.send(messages[number]))
    work()
    assert set(Purchase.objects.values_list("status", flat=True)) == {"confirmed"}
    assert len(spends(sandbox)) == len(sold(sandbox)) == len(purchases)
    assert wrongs(shop, sandbox) == []


def test_redis_flushed_and_killed_in_the_middle_loses_and_doubles_nothing(
    sandbox: Sandbox, shop: Account, buyer: Any, redis_server: RedisServer, settings: Any
) -> None:
    from anosim_dashboard import redis_server as clients
    from dashboard.live import topics

    settings.REDIS_URL = redis_server.url
    clients.client.cache_clear()
    topics._redis.cache_clear()
    products = Product.objects.filter(account=shop, rental_type="Activation", country="Germany").order_by("pk")[:6]
    purchases = [intents.queue(wish(buyer, shop, product=product)) for product in products]
    try:
        sending.send(purchases[0].pk)
        redis.Redis.from_url(redis_server.url).flushall()
        sending.send(purchases[1].pk)
        redis_server.kill()
        # Nobody rings for the others: the rows themselves are the queue.
        work(60)
    finally:
        clients.client.cache_clear()
        topics._redis.cache_clear()
    assert set(Purchase.objects.values_list("status", flat=True)) == {"confirmed"}
    assert len(spends(sandbox)) == len(sold(sandbox)) == len(purchases)


def test_a_move_that_waited_for_another_is_refused(shop: Account, buyer: Any) -> None:
    """On PostgreSQL the second update waits for the first and must then see what it did."""
    purchase = intents.queue(wish(buyer, shop))
    assert transitions.move(purchase, "preparing", attempt=1)
    slow = Purchase.objects.get(pk=purchase.pk)
    open_accounts = Account.objects.filter(spending_stopped=False, enabled=True)
    started = threading.Event()

    def send_it() -> bool:
        started.set()
        try:
            return transitions.move(slow, "sending", only_if={"account__in": open_accounts})
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            Purchase.objects.filter(pk=purchase.pk).update(status="queued")
            sent = threads.submit(send_it)
            assert started.wait(5)
            threading.Event().wait(0.5)
        assert sent.result(30) is False
    assert slow.status == "queued"
    assert Purchase.objects.get().status == "queued"


@pytest.mark.parametrize("kind", ["order", "extend", "reuse"])
def test_a_worker_that_slept_before_the_call_sends_nothing_any_more(
    sandbox: Sandbox, shop: Account, buyer: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    asleep, awake = threading.Event(), threading.Event()

    def sleep() -> None:
        asleep.set()
        assert awake.wait(30)

    monkeypatch.setattr(failpoints, "_strike", sleep)
    monkeypatch.setattr(failpoints, "_armed", "send:before-call")
    monkeypatch.setattr(sending, "FRESH", 0.3)
    purchase = intents.queue(wish_of_kind(kind, buyer, shop, sandbox))

    def send_it() -> str:
        try:
            return sending.send(purchase.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        sent = threads.submit(send_it)
        assert asleep.wait(20)
        let_time_pass(purchase)
        list(sweeping.due())
        assert settle_until_decided(purchase) == "absent"
        awake.set()
        assert sent.result(30) == "absent"
    assert spends(sandbox) == []


def test_a_worker_that_slept_and_was_not_given_up_sends_it_later(
    sandbox: Sandbox, shop: Account, buyer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "FRESH", -1.0)
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "queued"
    assert spends(sandbox) == []
    monkeypatch.undo()
    work()
    assert [step.new for step in purchase.steps.all()][-1] == "confirmed"
    assert len(spends(sandbox)) == 1


def test_an_answer_that_comes_after_the_sweeper_gave_up_still_counts(
    sandbox: Sandbox, shop: Account, buyer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up() -> None:
        let_time_pass(Purchase.objects.get())
        list(sweeping.due())
        assert Purchase.objects.get().status == "unknown"

    monkeypatch.setattr(failpoints, "_strike", give_up)
    monkeypatch.setattr(failpoints, "_armed", "send:after-call")
    purchase = intents.queue(wish(buyer, shop, note="Late"))
    assert sending.send(purchase.pk) == "confirmed"
    assert [step.new for step in purchase.steps.all()] == ["queued", "preparing", "sending", "unknown", "confirmed"]
    assert wrongs(shop, sandbox) == []


def test_the_sweeper_hands_out_one_purchase_of_an_account_and_none_twice(shop: Account, buyer: Any) -> None:
    first, second = intents.queue(wish(buyer, shop)), intents.queue(wish(buyer, shop))
    Purchase.objects.update(status_at=timezone.now() - timedelta(seconds=10))
    assert list(sweeping.due()) == [("send", first.pk)]
    # The one that was handed out waits for its message; the other is next.
    assert list(sweeping.due()) == [("send", second.pk)]
    assert list(sweeping.due()) == []
    assert sweeping.following(first.pk) is None


def test_the_next_purchase_follows_when_the_one_before_is_done(shop: Account, buyer: Any, sandbox: Sandbox) -> None:
    first, second = intents.queue(wish(buyer, shop)), intents.queue(wish(buyer, shop))
    sandbox.set_faults(LOST)
    assert sending.send(first.pk) == "unknown"
    assert sweeping.following(first.pk) is None
    assert settle_until_decided(first) == "confirmed"
    assert sweeping.following(first.pk) == second.pk


def test_what_waits_for_a_doubt_to_be_settled_is_given_up_after_ten_minutes(
    shop: Account, buyer: Any, sandbox: Sandbox
) -> None:
    sandbox.set_faults(LOST)
    first, second = intents.queue(wish(buyer, shop)), intents.queue(wish(buyer, shop))
    assert sending.send(first.pk) == "unknown"
    Purchase.objects.filter(pk=second.pk).update(created_at=timezone.now() - timedelta(minutes=11))
    assert list(sweeping.due()) == [("settle", first.pk)]
    second.refresh_from_db()
    assert second.status == "cancelled"
    assert "an earlier one like it" in second.words


def test_a_clock_that_was_set_back_does_not_keep_a_purchase_waiting(
    shop: Account, buyer: Any, sandbox: Sandbox
) -> None:
    purchase = left_unknown(sandbox, shop, buyer)
    tomorrow = timezone.now() + timedelta(days=1)
    Purchase.objects.update(status_at=tomorrow, next_check_at=tomorrow)
    assert list(sweeping.due()) == [("settle", purchase.pk)]


def test_a_clock_that_was_set_on_does_not_make_a_purchase_absent_early(
    shop: Account, buyer: Any, sandbox: Sandbox, settings: Any
) -> None:
    settings.PURCHASE_SETTLE_SECONDS = 900
    sandbox.set_faults({"late-commit": {"rate": 1, "only": "spends", "times": 1, "seconds": 4}})
    purchase = intents.queue(wish(buyer, shop))
    assert sending.send(purchase.pk) == "unknown"
    let_time_pass(purchase, seconds=86_400)
    for _ in range(12):
        assert settling.settle(purchase.pk) in ("unknown", "confirmed")
    sandbox.world.clock.advance(5)
    assert settle_until_decided(purchase) == "confirmed"
    assert wrongs(shop, sandbox) == []


def a_cancel(sandbox: Sandbox, shop: Account, buyer: Any) -> BookingChange:
    order = sandbox.world.order(wish(buyer, shop).product.remote_id)
    read(shop, "orders")
    booking = Booking.objects.get(account=shop, remote_id=order.bookings[0])
    return changing.queue(buyer, shop, "cancel", booking)


def test_a_cancel_delivered_ten_times_at_once_is_made_once(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    change = a_cancel(sandbox, shop, buyer)
    ended = at_once(10, lambda _: changing.apply(change.pk))
    assert sorted(ended) == ["done", *["passed"] * 9]
    assert [call["method"] for call in sandbox.calls].count("PATCH") == 1
    assert list(sweeping.due_changes()) == []


def test_a_change_whose_worker_died_is_made_by_the_next(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    change = a_cancel(sandbox, shop, buyer)
    long_ago = timezone.now() - changing.LEASE - timedelta(seconds=1)
    BookingChange.objects.update(status="sending", status_at=long_ago)
    assert sweeping.due_changes() == [change.pk]
    assert changing.apply(change.pk) == "done"


def test_no_change_is_made_for_a_paused_account(sandbox: Sandbox, shop: Account, buyer: Any) -> None:
    change = a_cancel(sandbox, shop, buyer)
    Account.objects.update(enabled=False)
    assert changing.apply(change.pk) == "refused"
    assert "PATCH" not in [call["method"] for call in sandbox.calls]
