"""The call budget over a real server: one rate for all who share the account."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from redis import Redis

from dashboard.sync.budget import CallBudget, NotOurTurn
from tests.redis_server import RedisServer


@pytest.fixture
def redis(redis_server: RedisServer) -> Redis:
    return Redis.from_url(redis_server.url, decode_responses=True)


def spread(budgets: list[CallBudget], calls: int) -> list[float]:
    """Moments at which each budget, in a thread of its own, let its `calls` through."""
    moments: list[float] = []

    def work(budget: CallBudget) -> None:
        for _ in range(calls):
            budget.wait()
            moments.append(time.monotonic())

    threads = [threading.Thread(target=work, args=(budget,)) for budget in budgets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(moments)


def test_four_workers_together_keep_to_the_rate_of_one(redis: Redis) -> None:
    moments = spread([CallBudget(1, per_second=20, redis=redis) for _ in range(4)], calls=10)
    assert moments[-1] - moments[0] >= 38 / 20


def test_no_second_holds_more_calls_than_the_rate_wherever_between_two_turns_the_first_falls(redis: Redis) -> None:
    moments: list[list[float]] = []

    def idle_then_hurry(pk: int) -> None:
        budget = CallBudget(pk, per_second=5, redis=redis)
        time.sleep(pk * 0.023)
        moments.append(spread([budget] * 3, calls=2))

    accounts = [threading.Thread(target=idle_then_hurry, args=(pk,)) for pk in range(1, 13)]
    for account in accounts:
        account.start()
    for account in accounts:
        account.join()
    assert min(six[-1] - six[0] for six in moments) >= 1.0


def test_no_second_holds_more_calls_than_the_rate_while_the_pace_changes(redis: Redis) -> None:
    rate, ended = 20, threading.Event()

    def slow_down_and_recover() -> None:
        while not ended.wait(0.07):
            redis.set("budget:1:slow", f"3 {CallBudget._now(redis)}")
            ended.wait(0.07)
            redis.delete("budget:1:slow")

    changing = threading.Thread(target=slow_down_and_recover)
    changing.start()
    moments = spread([CallBudget(1, rate, redis) for _ in range(4)], calls=20)
    ended.set()
    changing.join()
    assert min(last - first for first, last in zip(moments, moments[rate:], strict=False)) >= 1.0


def test_a_call_after_a_rest_does_not_wait(redis: Redis) -> None:
    budget = CallBudget(1, per_second=1, redis=redis)
    budget.wait()
    time.sleep(2.3)
    begun = time.monotonic()
    budget.wait()
    assert time.monotonic() - begun < 0.3


def test_accounts_do_not_slow_each_other_down(redis: Redis) -> None:
    begun = time.monotonic()
    spread([CallBudget(pk, per_second=10, redis=redis) for pk in range(1, 6)], calls=3)
    assert time.monotonic() - begun < 1.5


def test_a_429_silences_all_workers_until_it_is_over(redis: Redis) -> None:
    first, second = CallBudget(1, 20, redis), CallBudget(1, 20, redis)
    assert first.throttled(0.6) == 0.6
    with pytest.raises(NotOurTurn) as told:
        second.wait()
    assert 0 < (told.value.retry_after or 0) <= 0.6
    time.sleep(0.65)
    second.wait()


def test_a_clock_of_redis_that_is_set_back_silences_no_account_for_longer(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = CallBudget(1, 20, redis)
    an_hour_later = time.time() + 3600
    monkeypatch.setattr(CallBudget, "_now", lambda *_: an_hour_later)
    budget.throttled(30.0)
    assert budget.silence() == 0
    spread([budget], calls=2)
    monkeypatch.undo()
    budget.throttled(30.0)
    assert budget.silence() > 29


def test_several_429_in_a_row_slow_all_workers_down_and_one_hardly_does(redis: Redis) -> None:
    once, often = CallBudget(1, 20, redis), CallBudget(2, 20, redis)
    once.throttled(0.0)
    for _ in range(5):
        often.throttled(0.0)
    time.sleep(0.55)
    seconds = {budget: (moments := spread([budget], calls=5))[-1] - moments[0] for budget in (once, often)}
    assert seconds[once] < 0.5
    assert seconds[often] > 0.8


@pytest.mark.parametrize(("asked", "kept"), [(0.0, 0.5), (27_937.0, 900.0), (3.0, 3.0)])
def test_what_the_provider_asks_for_is_kept_within_reason(redis: Redis, asked: float, kept: float) -> None:
    assert CallBudget(1, 4, redis).throttled(asked) == kept


def test_without_a_wish_of_the_provider_our_silence_grows(redis: Redis) -> None:
    waits = [CallBudget(1, 4, redis).throttled(None) for _ in range(8)]
    assert waits[0] <= 2
    assert 30 <= waits[-1] <= 60


def test_without_redis_the_process_paces_itself_slower(settings: Any) -> None:
    nowhere = Redis.from_url("unix:///nowhere/redis.sock", decode_responses=True)
    budget = CallBudget(99, per_second=20, redis=nowhere)
    moments = spread([budget], calls=5)
    assert moments[-1] - moments[0] >= 4 * 0.1 - 0.01
