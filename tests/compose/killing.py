"""Each container is started again, then killed, one after the other, while SMS come and people buy."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

from bench import truth
from bench.bought import judge
from dashboard.sandbox import Sandbox

from .course import Course
from .living import receive
from .project import LASTING, Project, seconds_until

HEALED_WITHIN = 30.0
CALM = 3.0  # seconds between two of them
# Nothing is doubtful longer than this after the last kill: the deadline of a call, then PURCHASE_SETTLE_SECONDS.
SETTLED_WITHIN = 90.0
VARIABLES = {"PURCHASE_DEADLINE_SECONDS": "5", "PURCHASE_SETTLE_SECONDS": "15"}
# Long enough to be killed in the middle of a call that spends money.
SLOW = {"latency": {"rate": 0.5, "only": "spends", "seconds": 1.5}}


def kill_each(course: Course, project: Project, sandbox: Sandbox) -> None:
    """Restart, then SIGKILL, each container under load; the provider's books judge what became of it."""
    from dashboard.models import Account, Purchase

    with course.part("d. restart and kill -9 of each"):
        project.up_untied("--scale", f"worker={len(project.engine.containers(project.name, 'worker'))}")
        for product in sandbox.world.products.values():
            for network in product.providers:
                network.available = 500
        sandbox.set_faults(SLOW)
        with _load(project, sandbox) as load:
            for word, act in (("restarted", _restart), ("killed", _kill)):
                for service in LASTING:
                    seconds = _heal(project, sandbox, service, act)
                    course.report.add(f"{service} {word}: healed after", seconds, "s", HEALED_WITHIN)
                    time.sleep(CALM)
        sandbox.set_faults({})
        open_ones = Purchase.objects.filter(status__in=("queued", "preparing", "sending", "unknown"))
        settled = seconds_until(lambda: not _patiently(open_ones.exists), SETTLED_WITHIN, 1)
        course.report.add("until the last purchase is settled", settled, "s", SETTLED_WITHIN - 1)
        stored = seconds_until(lambda: truth.sms_differences(sandbox)["lost"] == 0, 30)
        course.report.add("all SMS stored after the last", stored, "s", 20, n=load.sms)
        differences = truth.sms_differences(sandbox)
        for name, number in differences.items():
            course.report.add(f"SMS {name}", number, "SMS", 0, n=load.sms)
        course.hold("orders, bookings and prices", *truth.other_differences(sandbox))
        course.report.add("purchases asked for", load.purchases, "purchases")
        course.hold("there was a load", *([] if load.purchases >= 10 and load.sms >= 50 else ["it broke off"]))
        judge(course.report, [sandbox], [Account.objects.get()])


def _restart(project: Project, service: str) -> None:
    project.compose("restart", service, seconds=200)


def _kill(project: Project, service: str) -> None:
    project.engine.kill(project.container(service), project.image)


def _heal(project: Project, sandbox: Sandbox, service: str, act: Callable[[Project, str], None]) -> float:
    """Do it; seconds from then until pages answer, every check is content and a new message is stored."""
    from dashboard.models import Sms

    act(project, service)
    began, text = time.monotonic(), f"Mark of {service} {time.monotonic_ns()}"
    receive(sandbox, text)

    def healed() -> bool:
        stored = _patiently(lambda: Sms.objects.filter(text=text).exists())
        return bool(stored) and project.get("/healthz")[0] == 200 and not project.ill()

    seconds_until(healed, 2 * HEALED_WITHIN)
    return time.monotonic() - began


def _patiently(ask: Callable[[], Any]) -> Any:
    """The answer of the database, once it answers."""
    from django.db import DatabaseError, connection

    for _ in range(240):
        with contextlib.suppress(DatabaseError):
            return ask()
        connection.close()
        time.sleep(0.25)
    raise AssertionError("the database did not come back within a minute")


class _Load:
    """Messages twice a second, and each two seconds a purchase, asked for until the database has it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sms = self.purchases = 0
        self._sandbox = sandbox
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._receive, self._buy)]

    def _receive(self) -> None:
        running = [row.id for row in self._sandbox.world.running() if row.extends is None]
        while not self._stop.wait(0.5):
            self.sms += 1
            booking = running[self.sms % len(running)]
            self._sandbox.world.receive_sms(booking, f"Under load {self.sms}: 44{self.sms:04}", "Shop")

    def _buy(self) -> None:
        from dashboard.models import Product, User

        buyer = User.objects.get(username="admin")
        products = list(Product.objects.filter(on_sale=True, rental_type="Activation").order_by("price_usd"))
        for product in products:
            if self._stop.wait(2):
                return
            _patiently(partial(_ask_for, buyer, product, uuid4()))
            self.purchases += 1

    @contextlib.contextmanager
    def running(self) -> Iterator[_Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(90)


def _load(project: Project, sandbox: Sandbox) -> contextlib.AbstractContextManager[_Load]:
    return _Load(sandbox).running()


def _ask_for(buyer: Any, product: Any, token: Any) -> None:
    """As the page does: write it down, ring the worker's bell. The same token is the same purchase."""
    from dashboard import tasks
    from dashboard.dispatch import enqueue
    from dashboard.purchases import intents

    purchase = intents.queue(intents.Wish(user=buyer, product=product, price=product.price_usd, token=token))
    enqueue(tasks.send_purchase, str(purchase.pk), expires=30)
