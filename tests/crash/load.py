"""People at work while something breaks: messages arrive, numbers are ordered by the page's own form."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from bench.stack import Stack
from dashboard.sandbox import Sandbox

Answer = TypeVar("Answer")
PATIENCE = 90.0  # seconds in which somebody presses the button again
SETTINGS = {
    "ANOSIM_MAX_CALLS_PER_SECOND": "50",
    "PURCHASE_DEADLINE_SECONDS": "5",
    "PURCHASE_SETTLE_SECONDS": "15",
    "LOG_LEVEL": "WARNING",
}
COMPRESSED = "compressed: a purchase that never arrived is told absent after 15 s instead of 15 min"


def asked(question: Callable[[], Answer], otherwise: Answer) -> Answer:
    """What the stack's database says, or `otherwise` while it does not answer."""
    from django.db import Error, connection

    try:
        return question()
    except Error:
        connection.close()
        return otherwise


def shop(seed: int, **options: Any) -> Sandbox:
    """A provider at which there is plenty of everything."""
    sandbox = Sandbox(seed=seed, size={"orders": 20, "bookings": 40, "sms": 20}, balance="90000.00", **options)
    for product in sandbox.world.products.values():
        for provider in product.providers:
            provider.available = 500
    return sandbox


def accounts() -> list[Any]:
    """Ours, for the judge."""
    from dashboard.models import Account

    return list(Account.objects.all())


def until_known(patience: float = 90.0) -> None:
    """Wait until the account was read for the first time."""
    from dashboard.models import SyncState

    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        read = [state.last_success_at for state in SyncState.objects.all()]
        if read and all(read):
            return
        time.sleep(0.2)
    raise AssertionError("the account was not read")


@dataclass
class Form:
    """An order form as somebody sent it, again and again until it was taken."""

    product: int
    price: str
    token: str = field(default_factory=lambda: str(uuid4()))
    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    tries: int = 0
    taken_after: float | None = None
    refused: str = ""

    def purchase(self) -> Any:
        """Its row, or None."""
        from dashboard.models import Purchase

        return Purchase.objects.filter(token=self.token).first()

    def is_settled(self) -> bool:
        purchase = self.purchase()
        return purchase is not None and purchase.status in ("confirmed", "absent", "rejected")


class Load:
    """`with Load(stack, send) as load:` lets messages come by `send(text)` every `sms_every` seconds and somebody order
    every `order_every`; None: only when told."""

    def __init__(
        self,
        stack: Stack,
        send: Callable[[str], object],
        *,
        sms_every: float | None = 0.25,
        order_every: float | None = 3.0,
    ) -> None:
        from dashboard.models import Product

        self.forms: list[Form] = []
        self.texts: list[str] = []
        self._stack, self._send = stack, send
        self._lock = threading.Lock()
        rows = Product.objects.filter(on_sale=True, price_usd__lt=20).order_by("-price_usd", "pk")
        self._products = list(rows.values_list("pk", "price_usd", "remote_id"))
        self._buyers = ThreadPoolExecutor(8, thread_name_prefix="buyer")
        self._stopping = threading.Event()
        turns = ((sms_every, self.message), (order_every, self.order))
        self._threads = [threading.Thread(target=self._repeat, args=turn) for turn in turns if turn[0]]

    def __enter__(self) -> Load:
        assert self._stack.session  # made here: the buyers' threads only use it
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._buyers.shutdown()

    def _repeat(self, every: float, act: Callable[[], object]) -> None:
        turn = time.monotonic()
        while not self._stopping.wait(max(0.0, turn - time.monotonic())):
            act()
            turn = max(turn + every, time.monotonic() - 1)

    def message(self) -> str:
        """Let a message come; gives its text, which no other has."""
        with self._lock:
            text = f"Your code is {100000 + len(self.texts)}"
            self.texts.append(text)
        self._send(text)
        return text

    def a_product(self) -> int:
        """One that nobody orders before all others."""
        return int(self._products[0][0])

    def order(self) -> Form:
        """Let somebody send the order form of a product that nobody ordered yet; does not wait."""
        with self._lock:
            product, price, _ = self._products.pop()
            form = Form(product, str(price))
            self.forms.append(form)
        self._buyers.submit(self._press_until_taken, form)
        return form

    def next_products(self, count: int) -> list[int]:
        """The provider's ids of what is ordered next, the cheapest first."""
        return [remote_id for _, _, remote_id in self._products[-count:]]

    def _press_until_taken(self, form: Form) -> None:
        fields = {"token": form.token, "price": form.price, "amount": "1", "provider": "0", "note": "crash"}
        began = time.monotonic()
        while form.taken_after is None and not form.refused and time.monotonic() < began + PATIENCE:
            form.tries += 1
            try:
                answer = self._stack.post(f"/catalog/{form.product}/order/", fields)
            except (OSError, http.client.HTTPException):
                time.sleep(0.3)
                continue
            if answer.status == 303:
                form.taken_after = time.monotonic() - began
            elif answer.status < 500:
                form.refused = f"{answer.status}: {answer.text[:200]}"
            else:
                time.sleep(0.5)

    def wait_until_settled(self, patience: float) -> None:
        """Until each order is decided and each message stored; what is not by then stays for the judge."""
        ends = time.monotonic() + patience
        while time.monotonic() < ends and not asked(self._is_settled, False):
            time.sleep(0.5)

    def _is_settled(self) -> bool:
        return self.sms_differences()[0] == 0 and all(form.is_settled() for form in self.forms)

    def forms_not_taken(self) -> list[str]:
        return [form.refused or form.token for form in self.forms if form.taken_after is None]

    def sms_differences(self) -> tuple[int, int]:
        """How many of the messages are lost, and how many rows are too many."""
        from dashboard.models import Sms

        with self._lock:
            sent = Counter(self.texts)
        stored = Counter(Sms.objects.filter(text__startswith="Your code is ").values_list("text", flat=True))
        return (sent - stored).total(), (stored - sent).total()


def sender_to(sandbox: Sandbox) -> Callable[[str], object]:
    """Lets messages come at the numbers that run there, each in its turn."""
    turn = 0

    def send(text: str) -> None:
        nonlocal turn
        turn += 1
        running = [row.id for row in sandbox.world.running() if row.extends is None]
        sandbox.world.receive_sms(running[turn % len(running)], text)

    return send
