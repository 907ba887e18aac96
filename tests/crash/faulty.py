"""People at work while the place where the data are fails, and the judge of what was sent to the provider meanwhile."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bench.figures import Report
from bench.healing import is_current
from bench.stack import Answer, Stack
from dashboard.sandbox import Sandbox
from dashboard.storage_trouble import AWAY, BUSY, FULL, READ_ONLY

from .load import Load, asked

PAGES = ("/", "/inbox/", "/orders/", "/purchases/", "/status/")
SENTENCES = (FULL, READ_ONLY, BUSY, AWAY)
WAITS = 60.0  # seconds that a page may wait for a database that is locked
HEALS = 60.0
RAISED = re.compile(r"django\.db\.utils\.\w+")
LONGEST = 150.0


@dataclass
class People:
    """`with People(stack, product) as people:` opens pages and sends a form (a favourite, which only writes) in turn.

    Answers are counted by what they were: shown, said (503 with a sentence), bare (500), silent (no answer at all).
    """

    stack: Stack
    product: int
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __enter__(self) -> People:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._read, self._write)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        while not self._stop.wait(0.5):
            for page in PAGES:
                self._note(f"GET {page}", lambda page=page: self.stack.get(page, WAITS))  # type: ignore[misc]

    def _write(self) -> None:
        while not self._stop.wait(0.5):
            path = f"/catalog/{self.product}/favourite/"
            self._note(f"POST {path}", lambda path=path: self.stack.post(path, {"on": "1"}, WAITS))  # type: ignore[misc]

    def _note(self, what: str, ask: Callable[[], Answer]) -> None:
        try:
            answer = ask()
        except (OSError, http.client.HTTPException) as error:
            kind, told = "silent", type(error).__name__
        else:
            kind, told = _kind_of(answer), str(answer.status)
        self.counts[kind] += 1
        self.examples[kind].append(f"{what}: {told}")


def _kind_of(answer: Answer) -> str:
    if answer.status < 400:
        return "shown"
    return "said" if any(words in answer.text for words in SENTENCES) else "bare"


@contextmanager
def fault(report: Report, name: str, stack: Stack, load: Load) -> Iterator[None]:
    """What is done inside breaks the storage, holds, and mends it; then the figures of it are told."""
    logged = len(stack.log())
    with People(stack, load.a_product()) as people:
        yield
        since, began = datetime.now(UTC), time.monotonic()
        mark, form = load.message(), load.order()

        def healed() -> bool:
            return form.is_settled() and is_current(since, mark)

        while time.monotonic() < began + LONGEST and not asked(healed, False):
            time.sleep(0.2)
        took = time.monotonic() - began
    counts = people.counts
    spread = f"{counts['shown']} shown, {counts['said']} said why not"
    report.add(f"{name}: bare errors", counts["bare"], "answers", 0, n=counts.total(), spread=spread)
    report.add(f"{name}: no answer", counts["silent"], "answers", 0, spread="; ".join(people.examples["silent"][:3]))
    raised = [line for line in stack.log()[logged:].splitlines() if RAISED.match(line)]
    report.add(f"{name}: errors that the stack met", len(raised), "errors")
    if counts["bare"]:
        report.remark(f"bare: {'; '.join(people.examples['bare'][:3])}; last in the log: {'; '.join(raised[-6:])}")
    report.add(f"{name}: all works again after", took, "s", HEALS)


def judge_intents(report: Report, sandbox: Sandbox) -> None:
    """Each call that orders, by the provider's own log, has an intent that was committed as `sending` before it."""
    from dashboard.models import PurchaseStep

    steps = PurchaseStep.objects.filter(new="sending").values_list("purchase__product__remote_id", "at")
    sent: dict[int, list[datetime]] = defaultdict(list)
    for product, at in steps:
        sent[product].append(at)
    calls: dict[int, list[datetime]] = defaultdict(list)
    for call in sandbox.calls:
        if call["method"] == "POST" and call["path"].endswith("/Orders"):
            calls[int(call["query"]["productid"])].append(datetime.fromisoformat(call["at"]))
    without = [
        f"product {product} at {moments[-1]:%H:%M:%S}"
        for product, moments in calls.items()
        if len(moments) > sum(at <= moments[-1] + timedelta(seconds=1) for at in sent[product])
    ]
    count = sum(map(len, calls.values()))
    report.add("orders sent without a committed intent", len(without), "calls", 0, n=count, spread="; ".join(without))


def judge_forms(report: Report, load: Load) -> None:
    """What was answered with "it is written down" is; no message is lost."""
    taken = [form for form in load.forms if form.taken_after is not None]
    lost = [form.token for form in taken if form.purchase() is None]
    report.add("purchases taken and lost", len(lost), "purchases", 0, n=len(taken))
    open_ones = [form.token for form in load.forms if not form.is_settled()]
    report.add("orders that were not placed in the end", len(open_ones), "orders", 0, n=len(load.forms))
    lost_sms, doubled = load.sms_differences()
    report.add("SMS lost", lost_sms, "SMS", 0, n=len(load.texts))
    report.add("SMS doubled", doubled, "SMS", 0, n=len(load.texts))
