"""The provider is down for an hour, half of it refusing connections, half of it never answering (reliability.md G25):
are pages as quick as ever, do they say that they are old, does no request of a person call the provider, and is all
that came meanwhile there afterwards?

The hour is waiting only, so it is compressed; `--minutes 60` waits for all of it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from bench import truth
from bench.accounts import open_accounts, rent
from bench.figures import Report, main, percentile
from bench.outages import Watch
from bench.stack import Stack
from dashboard.sandbox import Sandbox

from .traffic import wait_until

GOALS = ("G25",)
QUESTION = "Provider down for an hour: pages p95 < 300 ms and said to be old, no call inside a request, 0 lost after"
PAGES = ("/", "/inbox/", "/bookings/", "/orders/", "/purchases/", "/sim-cards/", "/catalog/", "/status/")
FAST = 300.0
STALE_WITHIN, CURRENT_WITHIN = 60.0, 60.0
MESSAGE_EVERY = 1.2  # seconds; at most 300 in all, and so few for each number that its own list holds them
HANGING = {"timeout-before": {"rate": 1.0, "seconds": 120}}
# Imported by every Python of the stack as it starts: writes down who connects to the provider.
SITECUSTOMIZE = """
import os, sys

_file = os.open(os.environ["CRASH_CONNECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

def _note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if str(arguments[1][1]) == os.environ["CRASH_PROVIDER_PORT"]:
            os.write(_file, b"%d\\n" % os.getpid())

sys.addaudithook(_note)
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=6.0, help="how long it is down (%(default)s)")


def measure(report: Report, options: argparse.Namespace) -> None:
    seconds = 24.0 if options.quick else options.minutes * 60
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="crash-connects-")))
        sandbox = opened.enter_context(Sandbox(seed=25, size={"orders": 20, "bookings": 40, "sms": 80}, balance="900"))
        rent(sandbox, 6)
        stack = opened.enter_context(Stack(sandbox, environment=_watched(folder, sandbox)))
        stack.use_django()
        open_accounts([sandbox])
        _down(report, sandbox, stack, folder, seconds)
    report.remark(f"an hour of waiting was compressed to {seconds / 60:.1f} minutes")


def _watched(folder: Path, sandbox: Sandbox) -> dict[str, str]:
    """The environment in which each process writes its connections to the provider down."""
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH")))),
        "CRASH_CONNECTS": str(folder / "connects"),
        "CRASH_PROVIDER_PORT": str(urlsplit(sandbox.url).port),
        "DATABASE_URL": os.environ.get("DATABASE_URL", ""),
    }


def _pages() -> tuple[str, ...]:
    from dashboard.models import Booking, Product

    product = Product.objects.filter(on_sale=True).order_by("pk").first()
    booking = Booking.objects.running().order_by("pk").first()
    assert product is not None
    assert booking is not None
    # Opening a product asks for its free numbers, by a worker; a booking shows what can be done with it.
    return (*PAGES, f"/catalog/{product.pk}/", f"/bookings/{booking.pk}/")


def _down(report: Report, sandbox: Sandbox, stack: Stack, folder: Path, seconds: float) -> None:
    pages = _pages()
    watch = Watch(stack, pages=pages)
    try:
        down = time.monotonic()
        sandbox.go_down()
        _receive_until(sandbox, down + seconds / 2)
        sandbox.set_faults(HANGING)
        sandbox.come_back()
        _receive_until(sandbox, down + seconds)
        warned = {page: watch.warned_at[page] - (down - watch.began) for page in watch.warned_at}
        silent = [page for page in pages if not watch.warns.get(page)]
        sandbox.set_faults({})
        back = time.monotonic()
        # The connections that hang are ended too: a provider that is back has a new process.
        sandbox.go_down()
        sandbox.come_back()
        took = wait_until(lambda: _is_current(sandbox, back), 90)
        time.sleep(3)
        left = [page for page in pages if watch.warns.get(page)]
    finally:
        watch.stop()
    _tell(report, watch, [*stack.pids().items()], folder)
    quick = seconds < 60
    slowest = max(warned.get(page, 999.0) for page in pages)
    report.add("the last page says that it is old after", slowest, "s", None if quick else STALE_WITHIN)
    report.add("pages that do not say so at the end", len(silent), "pages", None if quick else 0, spread=str(silent))
    report.add("all is current again after", took, "s", CURRENT_WITHIN)
    report.add("pages that still say so 3 s later", len(left), "pages", 0, spread=str(left))
    found = truth.sms_differences(sandbox)
    report.add("lost", found["lost"], "SMS", 0, n=len(sandbox.world.sms))
    report.add("doubled", found["doubled"], "SMS", 0, n=len(sandbox.world.sms))


def _receive_until(sandbox: Sandbox, moment: float) -> None:
    numbers = [row.id for row in sandbox.world.running() if row.extends is None]
    began = len(sandbox.world.sms)
    while (left := moment - time.monotonic()) > 0:
        sent = len(sandbox.world.sms) - began
        if sent < min(150, 40 * len(numbers)):
            sandbox.world.receive_sms(numbers[sent % len(numbers)], f"Sent while down: {sent} {moment:.0f}", "Bank")
        time.sleep(min(left, MESSAGE_EVERY))


def _is_current(sandbox: Sandbox, since: float) -> bool:
    from django.utils import timezone

    from dashboard.models import Booking, SmsGap, SyncState

    ago = time.monotonic() - since
    states = list(SyncState.objects.all())
    read = all(at and (timezone.now() - at).total_seconds() < ago for at in (state.last_success_at for state in states))
    waiting = SmsGap.objects.open().exists() or Booking.objects.sms_wanted().exists()
    return read and not any(state.error for state in states) and not waiting


def _tell(report: Report, watch: Watch, pids: list[tuple[str, int]], folder: Path) -> None:
    report.add("page, p95", percentile(watch.times, 95), "ms", FAST, n=len(watch.times))
    report.add("page, slowest", max(watch.times), "ms", n=len(watch.times))
    report.add("pages that did not open", len(watch.broken), "pages", 0, spread="; ".join(watch.broken[:4]))
    names = {pid: name for name, pid in pids}
    connects = Counter(names.get(int(line), "other") for line in (folder / "connects").read_text().split())
    assert connects["worker"], "nothing was written down: the figure below would say nothing"
    spread = f"{len(watch.times)} requests; {dict(connects)} by process"
    report.add("connections to the provider by the web process", connects["web"], "calls", 0, spread=spread)


if __name__ == "__main__":
    main(QUESTION, measure, add_options)
