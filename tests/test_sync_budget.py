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
