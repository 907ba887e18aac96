"""A provider that fails or asks for fewer calls gets few: told once to all, probed ever more seldom (G24)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from dashboard.anosim import AnosimError, Client, Refused, TryLater
from dashboard.models import Account, Booking, BookingChange, Membership, Product, Purchase, SyncState
from dashboard.purchases import changing, intents, sending, settling
from dashboard.sandbox import Sandbox
from dashboard.sync import outcomes, runs, schedule, single
from dashboard.sync.budget import CallBudget, NotOurTurn

from .buying import left_unknown, make_buyer, open_shop, rental, wish
from .provider import account_at, read, read_until_done
from .redis_server import RedisServer
from .scripted_server import ScriptedServer, reply

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_budget")]


@pytest.fixture
def quick_budget(settings: Any, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50
    settings.PURCHASE_DEADLINE_SECONDS = 2


@pytest.fixture
def redis(redis_server: RedisServer) -> Redis:
    return Redis.from_url(redis_server.url, decode_responses=True)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=24, size={"orders": 20, "bookings": 45, "sms": 60}, balance="500.00") as running:
        yield running


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.close()


def calls_of(sandbox: Sandbox, act: Callable[[], object]) -> int:
    before = len(sandbox.calls)
    act()
    return len(sandbox.calls) - before


def stop(account: Account) -> None:
    """As after failures in a row."""
    until = timezone.now() + timedelta(seconds=30)
    Account.objects.filter(pk=account.pk).update(breaker_failures=6, breaker_until=until)


# Told to be silent


def test_a_call_that_waits_for_its_turn_is_not_made_once_silence_is_asked_for(redis: Redis) -> None:
    budget = CallBudget(1, 2, redis)
    met: list[float] = []
    budget.wait()

    def wait_behind() -> None:
        try:
            for _ in range(3):
                budget.wait()
        except NotOurTurn as error:
            met.append(error.retry_after or 0.0)

    waiting = threading.Thread(target=wait_behind)
    waiting.start()
    time.sleep(0.1)
    CallBudget(1, 2, redis).throttled(20)
    waiting.join()
    assert len(met) == 1
    assert met[0] > 15


def test_a_shorter_silence_does_not_end_a_longer_one(redis: Redis) -> None:
    budget = CallBudget(1, 20, redis)
    budget.told_to_wait(60, throttled=False)
    budget.throttled(1)
    assert budget.silence() > 50


def test_out_of_order_with_a_time_silences_the_account_and_does_not_slow_it_down(redis: Redis) -> None:
    budget = CallBudget(1, 20, redis)
    budget.told_to_wait(0.3, throttled=False)
    with pytest.raises(NotOurTurn):
        budget.hurry()
    time.sleep(0.35)
    begun = time.monotonic()
    for _ in range(5):
        budget.wait()
    assert time.monotonic() - begun < 0.5


@pytest.mark.parametrize(
    ("status", "header", "told"),
    [
        ("429 Too Many", {"Retry_After": "7"}, [(7.0, True)]),
        ("429 Too Many", {}, [(None, True)]),
        ("503 Service Unavailable", {"Retry_After": "9"}, [(9.0, False)]),
        ("503 Service Unavailable", {}, []),
        ("400 Bad Request", {"Retry_After": "9"}, []),
    ],
)
def test_the_client_passes_on_what_an_answer_says_of_waiting(
    server: ScriptedServer, status: str, header: dict[str, str], told: list[tuple[float | None, bool]]
) -> None:
    server.replies = [reply("wait", status, **header)]
    heard: list[tuple[float | None, bool]] = []
    note = lambda seconds, throttled: heard.append((seconds, throttled))  # noqa: E731
    with Client(server.url, "a-key-0123456789", told_to_wait=note, tries=1) as asked, pytest.raises(AnosimError):
        asked.balance()
    assert heard == told


def test_a_429_to_a_booking_list_silences_the_whole_account(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read(account, "bookings")
    sandbox.set_faults({"throttle-before": {"rate": 1.0, "path": "/Sms/"}}, retry_after="40")
    assert calls_of(sandbox, lambda: read(account, "booking_sms")) <= 3
    assert calls_of(sandbox, lambda: read(account, "balance")) == 0


def test_a_429_between_the_look_and_the_call_sends_nothing(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop(sandbox)
    purchase = intents.queue(wish(make_buyer(shop), shop))
    look = sending.take_look

    def look_and_be_told(*args: Any, **options: Any) -> Any:
        found = look(*args, **options)
        CallBudget(shop.pk).throttled(30)
        return found

    monkeypatch.setattr(sending, "take_look", look_and_be_told)
    assert sending.send(purchase.pk) == "queued"
    assert not [call for call in sandbox.calls if call["kind"] == "spends"]


# The breaker


def test_too_many_calls_again_and_again_leave_only_a_probe(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    sandbox.set_faults({"throttle-before": 1.0}, retry_after="absent")
    for _ in range(schedule.BREAKER_AFTER):
        outcomes.failed(_state(account, "orders"), TryLater("Fewer calls.", throttled=True))
    account.refresh_from_db()
    assert account.breaker_until is not None
    assert account.breaker_until > timezone.now()


def test_our_own_queue_is_no_failure_of_the_provider(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    for _ in range(schedule.BREAKER_AFTER):
        outcomes.failed(_state(account, "orders"), NotOurTurn("Our own calls are queueing.", 2.0))
    account.refresh_from_db()
    assert (account.breaker_failures, account.breaker_until) == (0, None)


def test_probes_become_rarer_up_to_a_limit() -> None:
    first, later, last = ([schedule.probe_wait(failures) for _ in range(50)] for failures in (5, 7, 400))
    assert max(first) <= 8
    assert max(first) < min(later)
    assert 36 <= min(last) <= max(last) <= 45


def test_what_was_under_way_when_reading_stopped_makes_no_probe_rarer(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    states = [_state(account, kind) for kind in ("orders", "bookings", "sms")]
    stop(account)
    for state in states:
        outcomes.failed(state, TryLater("It is away."))
    account.refresh_from_db()
    assert account.breaker_failures == 6
    outcomes.failed(_state(account, schedule.probe_of(account)), TryLater("It is away."))
    account.refresh_from_db()
    assert account.breaker_failures == 7


@pytest.mark.parametrize("error", [Refused("There is no such list."), outcomes.OurFault("ValueError")])
def test_a_probe_that_finds_nothing_out_is_followed_by_one_of_another_kind(
    sandbox: Sandbox, error: AnosimError
) -> None:
    account = account_at(sandbox)
    stop(account)
    account.refresh_from_db()
    first = schedule.probe_of(account)
    outcomes.failed(_state(account, first), error)
    account.refresh_from_db()
    assert schedule.probe_of(account) != first
    assert account.breaker_until is not None


@pytest.mark.parametrize("broken", ["/Balance", "/Sms"])
def test_one_list_that_fails_by_itself_keeps_no_account_silent(sandbox: Sandbox, broken: str) -> None:
    account = account_at(sandbox)
    sandbox.set_faults({"error-before": {"path": broken}})
    stop(account)
    probes = []
    for _ in range(2):
        Account.objects.filter(pk=account.pk).exclude(breaker_until=None).update(breaker_until=timezone.now())
        SyncState.objects.update(due_at=timezone.now())
        for pk, run in schedule.claim_due():
            probes.append(SyncState.objects.get(pk=pk).kind)
            runs.run(pk, run)
        if Account.objects.get().breaker_until is None:
            break
    assert Account.objects.get().breaker_until is None
    assert probes == {"/Balance": ["sms"], "/Sms": ["sms", "balance"]}[broken]


def test_an_account_that_fails_tries_once_and_one_that_works_twice(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    sandbox.set_faults({"error-before": 1.0})
    assert calls_of(sandbox, lambda: read(account, "orders")) == 2
    assert calls_of(sandbox, lambda: read(account, "orders")) == 1


def test_a_provider_that_is_away_is_found_out_once_and_not_for_each_of_many_bookings(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read(account, "bookings")
    assert Booking.objects.sms_wanted().count() > 12
    sandbox.set_faults({"error-before": 1.0})
    assert calls_of(sandbox, lambda: read(account, "booking_sms")) <= 12
    sandbox.set_faults({})
    read_until_done(account)


def test_while_the_provider_is_down_people_cause_no_calls_and_are_told_so(sandbox: Sandbox) -> None:
    shop = open_shop(sandbox)
    buyer = make_buyer(shop)
    Membership.objects.update(role="manager")
    booking, product = rental(shop, sandbox)
    change = changing.queue(buyer, shop, BookingChange.Kind.RENEWAL_ON, booking)
    stop(shop)
    assert calls_of(sandbox, lambda: changing.apply(change.pk)) == 0
    change.refresh_from_db()
    assert (change.status, change.words) == ("refused", "ANOSIM does not answer at the moment.")
    assert calls_of(sandbox, lambda: single.refresh_product(product.pk)) == 0
    assert Product.objects.get(pk=product.pk).offers_error == "ANOSIM does not answer at the moment."


def test_a_purchase_in_doubt_waits_for_the_provider_without_looks_that_can_only_fail(sandbox: Sandbox) -> None:
    shop = open_shop(sandbox)
    purchase = left_unknown(sandbox, shop, make_buyer(shop))
    stop(shop)
    assert calls_of(sandbox, lambda: settling.settle(purchase.pk)) == 0
    waiting = Purchase.objects.get()
    assert (waiting.status, waiting.checks) == ("unknown", 0)
    assert waiting.next_check_at is not None
    assert waiting.next_check_at < timezone.now() + timedelta(seconds=10)
    Account.objects.update(breaker_until=None, breaker_failures=0)
    assert settling.settle(purchase.pk) == "confirmed"


def _state(account: Account, kind: str) -> Any:
    return SyncState.objects.select_related("account").get(account=account, kind=kind)
