"""Redis killed and emptied while people order (reliability.md G7): the rows are the queue, Redis is only the bell."""

from __future__ import annotations

import argparse
import os
import time
from datetime import datetime
from random import Random

from redis import Redis
from redis.exceptions import RedisError

from anosim_dashboard import embedded_redis
from bench.bought import judge
from bench.figures import Report, main
from bench.stack import Stack

from .load import COMPRESSED, SETTINGS, Form, Load, accounts, asked, sender_to, shop, until_known

GOALS = ("G7",)
QUESTION = "Redis killed and emptied during orders: 0 lost, 0 doubled, sent within 60 s"
ROUNDS = 20
ORDERS = 10  # in each round: half of them before it happens, half right after
APART = 20.5  # seconds: a Redis that dies sooner after its start is let wait by the supervisor


def measure(report: Report, options: argparse.Namespace) -> None:
    rounds, rng = 2 if options.quick else ROUNDS, Random(7)
    environment = SETTINGS | {"DATABASE_URL": os.environ.get("DATABASE_URL", "")}
    with shop(71) as sandbox, Stack(sandbox, environment=environment) as stack:
        stack.use_django()
        until_known()
        took: dict[str, list[float]] = {"killed": [], "emptied": []}
        with Load(stack, sender_to(sandbox), sms_every=0.5, order_every=None) as load:
            for turn in range(rounds):
                what = ("killed", "emptied")[turn % 2]
                took[what].append(_break(what, stack, load, rng, 3.0 if options.quick else APART))
        load.wait_until_settled(120)
        _tell(report, load, took)
        judge(report, [sandbox], accounts())
        report.remark(COMPRESSED)


def _break(what: str, stack: Stack, load: Load, rng: Random, apart: float) -> float:
    """One round; seconds from the moment that Redis answered again until the last of its orders was sent."""
    began = time.monotonic()
    forms = [load.order() for _ in range(ORDERS // 2)]
    time.sleep(rng.uniform(0, 1.5))
    redis = Redis.from_url(embedded_redis.url(stack.data_dir), socket_timeout=2)
    if what == "killed":
        stack.kill("redis")
    else:
        redis.flushall()
    forms += [load.order() for _ in range(ORDERS - len(forms))]
    back = _answers_again(redis)
    sent = [each for each in (_sent_at(form) for form in forms) if each]
    last = max(sent).timestamp() - back if len(sent) == len(forms) else 999.0
    time.sleep(max(0.0, began + apart - time.monotonic()))
    return max(0.0, last)


def _answers_again(redis: Redis) -> float:
    """The moment (of the clock on the wall, as the rows have it)."""
    while True:
        try:
            redis.ping()
            return time.time()
        except (RedisError, OSError):
            time.sleep(0.02)


def _sent_at(form: Form) -> datetime | None:
    """When it went out, waiting for that up to a minute and a half."""
    ends = time.monotonic() + 90
    while time.monotonic() < ends:
        purchase = asked(form.purchase, None)
        if purchase is not None and purchase.sent_at is not None:
            at: datetime = purchase.sent_at
            return at
        time.sleep(0.1)
    return None


def _tell(report: Report, load: Load, took: dict[str, list[float]]) -> None:
    for what, times in took.items():
        report.add(f"Redis {what}: all sent after it is back, slowest", max(times), "s", 60, n=len(times))
    orders = len(load.forms)
    report.add("orders that no form could place", len(load.forms_not_taken()), "orders", 0, n=orders)
    confirmed = sum(form.purchase() is not None and form.purchase().status == "confirmed" for form in load.forms)
    report.add("orders lost", orders - confirmed, "orders", 0, n=orders)
    report.add("slowest answer to an order", max(form.taken_after or 0 for form in load.forms), "s", n=orders)
    lost, doubled = load.sms_differences()
    report.add("SMS lost", lost, "SMS", 0, n=len(load.texts))
    report.add("SMS doubled", doubled, "SMS", 0, n=len(load.texts))


if __name__ == "__main__":
    main(QUESTION, measure)
