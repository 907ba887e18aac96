"""First load of the overview in a cold browser, and what an open page sends and receives while nothing happens."""

from __future__ import annotations

import argparse
import select
import socket
import threading
import time
from typing import Any

from playwright.sync_api import Browser, CDPSession

from dashboard.sandbox import Sandbox

from .calm import wait_for_calm
from .chromium import browser, signed_in
from .figures import Report, main
from .stack import Stack

QUESTION = "Browser: first load of the overview, and an idle open page"
SERIES = ("lcp", "cls", "long")
PAGES = {"overview": "/", "inbox": "/inbox/", "bookings": "/bookings/", "status": "/status/"}

# Runs before anything of the page: paints and shifts are told to observers only.
OBSERVE = """
window.bench = { lcp: 0, cls: 0, long: 0 };
for (const [type, note] of Object.entries({
  'largest-contentful-paint': (entry) => { window.bench.lcp = entry.startTime; },
  'layout-shift': (entry) => { if (!entry.hadRecentInput) window.bench.cls += entry.value; },
  'longtask': (entry) => { window.bench.long += entry.duration; },
})) new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true });
"""


class Wire:
    """A plain TCP relay on 127.0.0.1 that counts the bytes of both directions: everything, the live stream included."""

    def __init__(self, port: int) -> None:
        self.sent = self.received = self.connections = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def total(self) -> int:
        return self.sent + self.received

    def _accept(self) -> None:
        while True:
            try:
                browser_side, _ = self._listener.accept()
                server_side = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self.connections += 1
            self._open += [browser_side, server_side]
            threading.Thread(target=self._relay, args=(browser_side, server_side), daemon=True).start()

    def _relay(self, browser_side: socket.socket, server_side: socket.socket) -> None:
        while True:
            try:
                for source in select.select([browser_side, server_side], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        browser_side.close()
                        server_side.close()
                        return
                    if source is browser_side:
                        self.sent += len(data)
                        server_side.sendall(data)
                    else:
                        self.received += len(data)
                        browser_side.sendall(data)
            except (OSError, ValueError):
                return

    def close(self) -> None:
        self._listener.close()
        for each in self._open:
            each.close()


class Traffic:
    """What the browser itself says of a page's requests, by the DevTools protocol."""

    def __init__(self, session: CDPSession) -> None:
        self.bytes = 0.0
        self.urls: list[str] = []
        self.sizes: dict[str, float] = {}
        self._of: dict[str, str] = {}
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def _asked(self, event: dict[str, Any]) -> None:
        self._of[event["requestId"]] = event["request"]["url"]
        if not event["request"]["url"].startswith("data:"):
            self.urls.append(event["request"]["url"])

    def _finished(self, event: dict[str, Any]) -> None:
        self.bytes += event["encodedDataLength"]
        self.sizes[self._of.get(event["requestId"], "?").rpartition("/")[2]] = event["encodedDataLength"]


def measure(report: Report, options: argparse.Namespace) -> None:
    with Sandbox(seed=7) as sandbox, Stack(sandbox) as stack, browser() as chromium:
        stack.use_django()
        time.sleep(65)  # the backfill of the first start is over
        for name in options.pages:
            _first_loads(report, name, stack, chromium, 3 if options.quick else options.loads)
        for name in ("overview", "inbox") if options.minutes else ():
            _idle(report, name, stack, chromium, 2 if options.quick else options.minutes)
        parts = stack.pss()
        spread = ", ".join(f"{name} {value:.0f}" for name, value in sorted(parts.items()))
        report.add("memory of the whole stack (PSS)", sum(parts.values()), "MB", 260, spread=spread)


def _first_loads(report: Report, name: str, stack: Stack, chromium: Browser, count: int) -> None:
    """A new profile each time; bytes by the wire, times without it, because the relay costs some."""
    strict = name == "overview"
    found: dict[str, list[float]] = {key: [] for key in SERIES}
    calm = 0
    for _ in range(count):
        calm += wait_for_calm()
        for key, value in _timed_load(stack, chromium, PAGES[name]).items():
            found[key].append(value)
    report.remark(f"{name}: {calm} of {count} loads began on a calm machine")
    report.add_series(f"{name}: LCP", found["lcp"], "ms", median=400 if strict else None)
    report.add(f"{name}: layout shift", max(found["cls"]), "", 0 if strict else None)
    report.add(f"{name}: long tasks", max(found["long"]), "ms")
    wire = Wire(stack.port)
    url = f"http://127.0.0.1:{wire.port}"
    context = signed_in(chromium, stack, url)
    page = context.new_page()
    traffic = Traffic(context.new_cdp_session(page))
    page.goto(url + PAGES[name], wait_until="load")
    until_load = len(traffic.urls)
    # Its checks after the stream has opened belong to a first load too. Not time.sleep: events would wait.
    page.wait_for_timeout(6000)
    detail = ", ".join(f"{file or 'page'} {size / 1000:.1f}" for file, size in traffic.sizes.items())
    report.add(f"{name}: bytes, by the browser", traffic.bytes / 1000, "kB", 100 if strict else None, spread=detail)
    report.add(f"{name}: bytes, all that came by the wire", wire.received / 1000, "kB", 100 if strict else None)
    report.add(f"{name}: requests until the load event", until_load, "", 10 if strict else None)
    report.add(f"{name}: requests within 6 s after it", len(traffic.urls), "", 10 if strict else None)
    report.remark(f"{name}, asked: {[each.removeprefix(url).partition('?')[0] for each in traffic.urls]}")
    context.close()
    wire.close()


def _timed_load(stack: Stack, chromium: Browser, path: str) -> dict[str, float]:
    """Largest contentful paint and long tasks in ms, and the layout shift, of one cold load."""
    context = signed_in(chromium, stack)
    page = context.new_page()
    page.add_init_script(OBSERVE)
    page.goto(stack.url + path, wait_until="load")
    page.wait_for_timeout(1500)
    seen: dict[str, float] = page.evaluate("window.bench")
    context.close()
    return seen


def _idle(report: Report, name: str, stack: Stack, chromium: Browser, minutes: int) -> None:
    """Bytes of both directions in each minute, from 15 s after the load on."""
    wire = Wire(stack.port)
    url = f"http://127.0.0.1:{wire.port}"
    context = signed_in(chromium, stack, url)
    page = context.new_page()
    traffic = Traffic(context.new_cdp_session(page))
    page.goto(url + PAGES[name])
    page.wait_for_timeout(15_000)
    totals, asked = [], len(traffic.urls)
    for _ in range(minutes):
        before = wire.total
        page.wait_for_timeout(60_000)
        totals.append((wire.total - before) / 1000)
    report.add(f"{name}: idle page, busiest minute", max(totals), "kB", 10, n=minutes, spread=str(totals))
    paths = [found.removeprefix(url).partition("?")[0] for found in traffic.urls[asked:]]
    report.remark(f"{name}, asked while idle: { ({path: paths.count(path) for path in paths}) }")
    context.close()
    wire.close()


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--loads", type=int, default=9, help="cold loads of each page (%(default)s)")
    parser.add_argument("--minutes", type=int, default=3, help="idle minutes of each page, 0: none (%(default)s)")
    parser.add_argument("--pages", nargs="+", default=list(PAGES), choices=list(PAGES), help="first loads (all)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
