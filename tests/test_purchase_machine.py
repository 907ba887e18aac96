"""Any order of buying, extending, crashing, settling, faults, orders from elsewhere and jumping clocks (G11)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from dashboard.models import Account, Booking, Product, Purchase, SyncState, User
from dashboard.purchases import failpoints, intents, sending, settling, sweeping
from dashboard.purchases.intents import Declined
from dashboard.sandbox import Sandbox

from .buying import make_buyer, open_shop, rental, sold, wish, wrongs

pytestmark = pytest.mark.django_db(transaction=True)

FAULTS = (
    *("reset-before", "reset-after", "error-before", "error-after", "throttle-after", "html-after", "empty-after"),
    *("truncated-after", "cut-after", "redirect", "redirect-after", "late-commit", "maintenance"),
)
POINTS = tuple(point for point in failpoints.POINTS if not point.startswith("needs_review"))
NOTHING = ("rejected", "absent", "cancelled")
CAP = Decimal("40.00")


class Crash(BaseException):
    """The end of the process, as far as the code can tell: nothing catches it, transactions roll back."""


@contextmanager
def dying_at(point: str) -> Iterator[None]:
    def die() -> None:
        raise Crash

    with mock.patch.object(failpoints, "_armed", point), mock.patch.object(failpoints, "_strike", die):
        try:
            yield
        except Crash:
            # Its successor sees that it is gone by its process id; here the process lives on under that id.
            Purchase.objects.filter(status__in=Purchase.IN_FLIGHT).update(sender=dead_process())


def dead_process() -> str:
    from dashboard.purchases import presence

    host, boot, _, _ = presence.me().split("|")
    return f"{host}|{boot}|999999|1"


class Buying(RuleBasedStateMachine):
    """One account at one sandbox. The provider is real HTTP; only waits are made short."""

    sandbox: Sandbox
    account: Account
    buyer: User
    products: list[Product]
    rental: tuple[Booking, Product]

    def __init__(self) -> None:
        super().__init__()
        self.sandbox.set_faults({})
        self.sandbox.world.clock.advance(90)
        self.sandbox.world.settle()
        self._set_clock(timedelta(0))
        Purchase.objects.all().delete()
        self.sold_before = len(sold(self.sandbox))
        self.foreign: set[int] = set()

    def new_sales(self) -> list[dict[str, Any]]:
        return sold(self.sandbox)[self.sold_before :]

    # What people do

    @rule(which=st.integers(0, 2), amount=st.integers(1, 3), point=st.sampled_from(("", *POINTS)))
    def buy(self, which: int, amount: int, point: str) -> None:
        form = wish(self.buyer, self.account, product=self.products[which], amount=amount)
        self._ask(form, point)

    @rule(point=st.sampled_from(("", *POINTS)))
    def extend(self, point: str) -> None:
        booking, product = self.rental
        fields = {"kind": "extend", "booking": booking, "minutes": product.duration_minutes}
        self._ask(wish(self.buyer, self.account, product=product, **fields), point)

    def _ask(self, form: intents.Wish, point: str) -> None:
        with dying_at(point):
            try:
                purchase = intents.queue(form)
            except Declined:
                return  # the cap is reached
            sending.send(purchase.pk)

    @precondition(lambda self: Purchase.objects.filter(status="queued").exists())
    @rule()
    def take_back(self) -> None:
        purchase = Purchase.objects.filter(status="queued").first()
        assert purchase is not None
        assert intents.withdraw(purchase, self.buyer)

    # What the worker does

    @rule(point=st.sampled_from(("", *POINTS)))
    def work(self, point: str) -> None:
        Purchase.objects.filter(status__in=("queued", "unknown")).update(next_check_at=timezone.now())
        with dying_at(point):
            for what, pk in list(sweeping.due()):
                (sending.send if what == "send" else settling.settle)(pk)

    @rule()
    def time_passes(self) -> None:
        """So long that the calls are over and the settle time too; what was late has been committed by then."""
        self.sandbox.world.clock.advance(90)
        self.sandbox.world.settle()
        for purchase in Purchase.objects.exclude(sent_at=None):
            Purchase.objects.filter(pk=purchase.pk).update(sent_at=purchase.sent_at - timedelta(seconds=90))  # type: ignore[operator]

    # What happens at the provider

    @rule(which=st.integers(0, 3), amount=st.integers(1, 2))
    def somebody_orders_elsewhere(self, which: int, amount: int) -> None:
        """The same product only where a purchase of ours cannot be confused with it: as long as none is unsettled."""
        product = self.products[which]
        ours = Purchase.objects.filter(product=product).exclude(status__in=("confirmed", *NOTHING, "needs_review"))
        if not ours.exists():
            self.sandbox.world.order(product.remote_id, amount)

    @rule(fault=st.sampled_from(FAULTS), only=st.sampled_from(("spends", "spends", "all")))
    def something_breaks(self, fault: str, only: str) -> None:
        seconds = 20 if fault == "late-commit" else 1
        self.sandbox.set_faults({fault: {"rate": 1, "only": only, "times": 2, "seconds": seconds}})

    @rule()
    def all_works_again(self) -> None:
        self.sandbox.set_faults({})

    @rule(hours=st.integers(-24, 24))
    def the_clock_jumps(self, hours: int) -> None:
        """The provider's clock, or ours: only their distance matters. The rental must not end of it."""
        self._set_clock(timedelta(hours=min(hours, 0)) + timedelta(minutes=max(hours, 0)))

    def _set_clock(self, shift: timedelta) -> None:
        """A clock that is set makes no call slower: what is late stays as late as it is."""
        world = self.sandbox.world
        with world.lock:
            jump = shift - world.clock.shift
            world._later = [(at + jump, act) for at, act in world._later]
            world.clock.shift = shift

    # What always holds

    @invariant()
    def nothing_is_bought_twice_or_told_wrongly(self) -> None:
        assert wrongs(self.account, self.sandbox) == []
        sales = self.new_sales()
        purchases = list(Purchase.objects.select_related("product", "order"))
        linked = {each.order.remote_id for each in purchases if each.order}
        open_ones = [each for each in purchases if each.status not in ("confirmed", *NOTHING)]
        # What was sold and is not linked belongs to a purchase that says that it is not known yet.
        for row in sales:
            if row["order"] in linked:
                continue
            candidates = [each for each in open_ones if each.kind == row["kind"] and self._is_of(each, row)]
            assert candidates, f"{row} was sold and nobody says so"
        assert len(sales) <= len(purchases)

    def _is_of(self, purchase: Purchase, row: dict[str, Any]) -> bool:
        return (purchase.product.remote_id, purchase.amount) == (row["product"], row["amount"])

    @invariant()
    def one_is_in_flight_and_one_of_a_kind_unsettled(self) -> None:
        assert Purchase.objects.in_flight().count() <= 1
        targets = list(Purchase.objects.unsettled().values_list("target", flat=True))
        assert len(targets) == len(set(targets))

    @invariant()
    def the_cap_holds(self) -> None:
        assert sum((Decimal(row["price"]) for row in self.new_sales()), Decimal(0)) <= CAP
        assert Purchase.objects.all().counted().sum() <= CAP

    def teardown(self) -> None:
        """In the end everything is settled, or a manager is asked with a reason."""
        self.sandbox.set_faults({})
        for turn in range(14):
            self.time_passes()
            # What waits for a manager's decision about another is given up after ten minutes.
            with mock.patch.object(sweeping, "WAIT_AT_MOST", timedelta(minutes=10 if turn < 10 else 0)):
                self.work("")
            if not Purchase.objects.filter(status__in=("queued", "preparing", "sending", "unknown")).exists():
                break
        for purchase in Purchase.objects.all():
            assert not purchase.is_open, f"{purchase} stays {purchase.status}: {purchase.words} {purchase.after}"
            assert purchase.words
        self.nothing_is_bought_twice_or_told_wrongly()


@pytest.fixture
def shop(settings: Any, redis_url: str) -> Iterator[None]:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50
    settings.PURCHASE_DEADLINE_SECONDS = 1
    settings.PURCHASE_SETTLE_SECONDS = 1
    with Sandbox(seed=6, size={"orders": 10, "bookings": 25, "sms": 5}, balance="90000.00") as sandbox:
        for product in sandbox.world.products.values():
            for provider in product.providers:
                provider.available = 5000
        account = open_shop(sandbox)
        SyncState.objects.all().delete()
        Account.objects.update(daily_cap_usd=CAP)
        account.refresh_from_db()
        Buying.sandbox, Buying.account, Buying.buyer = sandbox, account, make_buyer(account)
        some = Product.objects.filter(account=account, rental_type="Activation", country="Germany")
        Buying.products = list(some.exclude(service__icontains="Kleinanzeigen").order_by("price_usd")[:4])
        Buying.rental = rental(account, sandbox)
        sandbox.world.bookings[Buying.rental[0].remote_id].ends_at += timedelta(days=300)
        yield


# A watch of real seconds would make each settling last them: here it is satisfied at once.
@pytest.fixture
def no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "WATCHED_AT_MOST", 0.0)


@pytest.mark.usefixtures("shop", "no_watch")
def test_whatever_happens_in_whatever_order_nothing_is_bought_twice() -> None:
    examples = int(os.environ.get("MACHINE_EXAMPLES", "20"))
    run_state_machine_as_test(
        Buying,
        settings=settings(
            max_examples=examples,
            stateful_step_count=14,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # each step is real HTTP: making a failure smaller would take hours
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert sold(Buying.sandbox) != []
