"""From the moment that the provider has an SMS to its text on open pages, overview and inbox, in a real Chromium.

Also the memory of the whole stack after that work, with the two pages open.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from typing import Any

from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from dashboard.sandbox import Sandbox

from .chromium import browser, signed_in
from .figures import Report, main
from .stack import Stack

QUESTION = "Freshness: SMS accepted by the provider until its text is visible on open pages"
LATENCY = {"latency": {"rate": 1.0, "seconds": 0.1}}
LONGEST = 20.0
PAGES = {"overview": "/", "inbox": "/inbox/"}
MARK = "Bench message"

# Notes the clock when a text with the mark is first laid out and visible.
WATCH = """(mark) => {
  window.seenAt = {};
  const look = () => {
    for (const p of document.querySelectorAll('li.sms p, li.sms summary')) {
      const found = p.textContent.match(mark + ' (\\\\d+)\\\\.');
      if (found && !(found[1] in window.seenAt) && p.checkVisibility()) window.seenAt[found[1]] = Date.now();
    }
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  window.addEventListener('beforeunload', () => { window.seenAt = null; });
}"""


def measure(report: Report, options: argparse.Namespace) -> None:
    with (
        Sandbox(seed=3, faults=LATENCY) as sandbox,
        stack_over(sandbox, options.stored) as stack,
        browser() as chromium,
    ):
        stack.use_django()
        _wait_until_read(sandbox)
        report.remark(f"{options.stored:,} SMS of an archive were stored beside")
        pages: dict[str, Page] = {}
        for name, path in PAGES.items():
            pages[name] = signed_in(chromium, stack).new_page()
            pages[name].goto(stack.url + path)
            pages[name].evaluate(WATCH, MARK)
        time.sleep(4)
        delays: dict[str, list[float]] = {name: [] for name in PAGES}
        rng = random.Random(5)
        for number in range(15 if options.quick else options.count):
            time.sleep(rng.uniform(0.3, 3.3))
            _one(sandbox, pages, number, rng, delays)
        for name, found in delays.items():
            report.add_series(f"visible on the {name}", found, "s", median=2, p95=4)
        missed = sum(value >= LONGEST for found in delays.values() for value in found)
        report.add("never seen", missed, "SMS", 0, n=sum(map(len, delays.values())))
        parts = stack.pss()
        spread = ", ".join(f"{name} {value:.0f}" for name, value in sorted(parts.items()))
        report.add("memory of the whole stack (PSS)", sum(parts.values()), "MB", 260, spread=spread)


def stack_over(sandbox: Sandbox, stored: int) -> Stack:
    """The stack, not started yet, over a database with so many messages of another account, which is paused."""
    stack = Stack(sandbox)
    if stored:
        environment = {**os.environ, "DATA_DIR": str(stack.data_dir), "DATABASE_URL": ""}
        pause = (
            "import django; django.setup(); from dashboard.models import Account; Account.objects.update(enabled=False)"
        )
        environment["DJANGO_SETTINGS_MODULE"] = "anosim_dashboard.settings"
        subprocess.run([sys.executable, "-m", "bench.fill", "--sms", str(stored)], env=environment, check=True)
        subprocess.run([sys.executable, "-c", pause], env=environment, check=True)
    return stack


def _wait_until_read(sandbox: Sandbox) -> None:
    """Until the history is stored, so that the backfill is over."""
    from dashboard.models import Booking, Sms

    mine = Sms.objects.filter(account__from_environment=True)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if mine.count() >= len(sandbox.world.sms) and not Booking.objects.all().sms_wanted().exists():
            return
        time.sleep(0.5)


def _one(
    sandbox: Sandbox, pages: dict[str, Page], number: int, rng: random.Random, delays: dict[str, list[float]]
) -> None:
    running = [row.id for row in sandbox.world.running() if row.extends is None]
    sent = time.time()
    sandbox.world.receive_sms(rng.choice(running), f"{MARK} {number}. Your code is {rng.randrange(100_000, 999_999)}")
    for name, page in pages.items():
        delays[name].append(_seen(page, number, sent) - sent)


def _seen(page: Page, number: int, sent: float) -> float:
    """The moment in Unix seconds; `sent` + LONGEST if it never came."""
    left = max(0.1, sent + LONGEST - time.time())
    try:
        handle: Any = page.wait_for_function("(number) => window.seenAt[number]", arg=str(number), timeout=left * 1000)
    except PlaywrightTimeout:
        return sent + LONGEST
    return float(handle.json_value()) / 1000


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=60, help="messages (%(default)s)")
    parser.add_argument("--stored", type=int, default=0, help="messages in the archive before it starts (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
