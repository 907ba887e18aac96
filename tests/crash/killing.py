"""Doing one case: buy, be killed, start again; then judge the database by the provider's books."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import uuid4

from dashboard.anosim import Listing
from dashboard.models import Account, Product, Purchase, User
from dashboard.purchases.intents import Wish
from dashboard.sandbox import Sandbox
from dashboard.sync.clients import client_for
from dashboard.sync.save_bookings import save_orders
from tests.buying import make_buyer, open_shop, sold, wish_of_kind, wrongs

from .cases import LONGEST, Case

CROWD = 110  # orders from elsewhere: more than the provider's list holds


class Runner:
    """The process of runner.py, over the given environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.runner"],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def do(self, acts: list[list[Any]], failpoint: str = "", patch: dict[str, float] | None = None) -> dict[str, Any]:
        """Do the acts in a process of their own; `status` is how it ended (-9: killed), `seconds` how long it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = {"acts": acts, "failpoint": failpoint, "patch": patch or {}}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@dataclass
class Result:
    case: Case
    reached: bool = False
    seconds: float = 0.0
    status: str = ""
    wrong: list[str] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        return self.reached and not self.wrong


@dataclass
class Ground:
    """A sandbox, an account at it, and the runner: what all cases share."""

    runner: Runner
    sandbox: Sandbox
    account: Account
    buyer: User

    def products(self) -> list[Product]:
        """Activations that no case has bought yet, so that each order can be told by its product."""
        used = Purchase.objects.values("product")
        rows = Product.objects.filter(account=self.account, rental_type="Activation").exclude(pk__in=used)
        return list(rows.exclude(service__icontains="Kleinanzeigen").order_by("remote_id"))


@contextlib.contextmanager
def ground(environment: dict[str, str]) -> Iterator[Ground]:
    """Everything that cases need, over the database that this process and `environment` name."""
    with Sandbox(seed=11, size={"orders": 20, "bookings": 45, "sms": 20}, balance="100000.00") as sandbox:
        account = open_shop(sandbox)
        runner = Runner(environment)
        try:
            yield Ground(runner, sandbox, account, make_buyer(account))
        finally:
            runner.close()


def run(ground: Ground, case: Case) -> Result:
    """Do the case and judge it."""
    result, way = Result(case), case.way
    ground.sandbox.set_faults({})
    form = _form(ground, case)
    sold_before = len(sold(ground.sandbox))
    ground.sandbox.set_faults(dict(way.faults))
    if way.before:
        _do_before(ground, case, form)
    if way.meanwhile:
        _happen(ground, way.meanwhile, form)
    decision = _decision(ground, case, form, sold_before)
    killed = ground.runner.do(_acts(way.acts, form, decision), case.point, way.patch)
    result.reached = killed["status"] == -signal.SIGKILL
    began = time.monotonic()
    again = ("queue", *(act for act in way.acts if act in ("withdraw", "decide")), "look", "age", "work")
    restarted = ground.runner.do(_acts(again, form, decision))
    result.seconds = time.monotonic() - began
    if restarted["status"] != 0:
        result.wrong.append(f"the restarted worker ended with {restarted['status']}")
    _judge(ground, case, form, sold_before, result)
    _happen(ground, "cheap again", form)
    # What a manager would have to decide would rightly keep the next case from buying the same.
    Purchase.objects.filter(status="needs_review").delete()
    return result


def _judge(ground: Ground, case: Case, form: dict[str, Any], sold_before: int, result: Result) -> None:
    purchases = list(Purchase.objects.filter(token=form["token"]))
    new = sold(ground.sandbox)[sold_before:]
    if len(purchases) != 1:
        result.wrong.append(f"{len(purchases)} purchases of one form")
        return
    result.status = purchases[0].status
    if len(new) > 1:
        result.wrong.append(f"bought {len(new)} times")
    if result.status not in case.way.ends:
        result.wrong.append(f"ended as {result.status}")
    if result.status != "needs_review" and (result.status == "confirmed") != bool(new):
        result.wrong.append(f"{result.status}, but sold {len(new)} times")
    if result.seconds > LONGEST:
        result.wrong.append(f"took {result.seconds:.0f} s")
    result.wrong += wrongs(ground.account, ground.sandbox)


def _form(ground: Ground, case: Case) -> dict[str, Any]:
    """What is sent in each form of the case, with everything at the provider such that it could be bought."""
    fields = {"product": ground.products()[0]} if case.kind == "order" else {}
    wanted: Wish = wish_of_kind(case.kind, ground.buyer, ground.account, ground.sandbox, **fields)
    for provider in ground.sandbox.world.products[wanted.product.remote_id].providers:
        provider.available = 1000
    return {
        "user": wanted.user.pk,
        "product": wanted.product.pk,
        "price": str(wanted.price),
        "token": str(uuid4()),
        "kind": str(wanted.kind),
        "booking": wanted.booking.pk if wanted.booking else None,
        "minutes": wanted.minutes,
        "note": "Crash test",
    }


def _acts(names: tuple[str, ...], form: dict[str, Any], decision: int | None = None) -> list[list[Any]]:
    with_token = {"send", "withdraw", "age"}
    known: dict[str, list[Any]] = {
        "queue": ["queue", form],
        "work": ["work", 20],
        "look": ["work", 2],
        "decide": ["decide", form["token"], decision],
    }
    return [[name, form["token"]] if name in with_token else known[name] for name in names]


def _do_before(ground: Ground, case: Case, form: dict[str, Any]) -> None:
    """What is done first, in one go up to the crowd; killed on the way if the case says so."""
    names = case.way.before
    if "crowd" in names:
        split = names.index("crowd")
        ground.runner.do(_acts(names[:split], form))
        _happen(ground, "crowd", form)
        names = names[split + 1 :]
    ended = ground.runner.do(_acts(names, form), case.way.killed_before)
    assert (ended["status"] == -signal.SIGKILL) == bool(case.way.killed_before), ended


def _happen(ground: Ground, what: str, form: dict[str, Any]) -> None:
    """What happens at the provider."""
    world = ground.sandbox.world
    product = Product.objects.get(pk=form["product"])
    remote = world.products[product.remote_id]
    if what == "crowd":
        other = next(row for row in world.products.values() if row.rental_type == "Activation" and row.id != remote.id)
        for provider in other.providers:
            provider.available = 1000
        for _ in range(CROWD):
            world.order(other.id)
    elif what == "dearer":
        remote.price += Decimal("0.50")
    elif what == "cheap again":
        remote.price = product.price_usd or remote.price
    elif form["kind"] == "order":
        for provider in remote.providers:
            provider.available = 0
    else:
        _make_unwilling(ground, form)


def _make_unwilling(ground: Ground, form: dict[str, Any]) -> None:
    """Let the provider refuse: a rental that has ended there, a number that is still in use."""
    from dashboard.models import Booking

    world = ground.sandbox.world
    remote = world.bookings[Booking.objects.get(pk=form["booking"]).remote_id]
    if form["kind"] == "extend":
        remote.ends_at = world.now()
        world.settle()
    else:
        remote.state = "Active"
        world.open.add(remote.id)
        remote.ends_at = world.now().replace(year=world.now().year + 1)


def _decision(ground: Ground, case: Case, form: dict[str, Any], sold_before: int) -> int | None:
    """The order that a manager names, saved as the workers' reads would have."""
    new = sold(ground.sandbox)[sold_before:]
    if "decide" not in case.way.acts or not new:
        return None
    record = client_for(ground.account).order(new[0]["order"])
    purchase = Purchase.objects.get(token=form["token"])
    save_orders(ground.account, Listing((record,), 1, 0, "", None), purchase.status_at)
    return int(record.id)
