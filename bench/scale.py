"""Fifty accounts shared by four worker hosts, two beats and two webs, each in a network namespace of its own.

Runs as root, for it makes the hosts; PostgreSQL, Redis and the provider are reached over their network.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import random
import re
import shutil
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from statistics import mean

from dashboard.sandbox import Sandbox

from . import provider_log, runs_log
from .figures import Report, main
from .hosts import Hosts
from .network import Network
from .nudges import nudge
from .stack import session_of

QUESTION = "Scale: four worker hosts, two beats and two webs share fifty accounts"
WORKERS = ("worker1", "worker2", "worker3", "worker4")
BEATS, WEBS = ("beat1", "beat2"), ("web1", "web2")
BUSY = 12  # accounts with running bookings, to which SMS come; the others are idle
A_SECOND = 4  # ANOSIM_MAX_CALLS_PER_SECOND
MARK = "Scale"
AHEAD = 30  # seconds that a host's clock may be wrong
CUT = 20.0
# Seconds between reads of a list while a number can receive SMS, and while nothing runs (sync/schedule.py).
PACES = {
    "GET /Sms": (2, 30),
    "GET /OrderBookingsCurrent": (2, 20),
    "GET /Balance": (30, 60),
    "GET /Orders": (20, 60),
    "GET /OrderBookings": (20, 60),
    "GET /SimCards": (30, 60),
}


class Provider:
    """Fifty accounts, each at a sandbox of its own; `messages` come to the busy ones while it is open."""

    def __init__(self, host: str, accounts: int) -> None:
        self.sandboxes = [self._sandbox(host, number) for number in range(accounts)]
        self.sent = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    @staticmethod
    def _sandbox(host: str, number: int) -> Sandbox:
        busy = number < BUSY
        size = {"orders": 6, "bookings": 12, "sms": 40} if busy else {"orders": 0}
        sandbox = Sandbox(seed=number, host=host, key=f"scale-key-{number:04}", size=size, balance="5000.00")
        if busy:
            rentals = [row.id for row in sandbox.world.products.values() if row.rental_type != "Activation"]
            for product in rentals[:3]:
                sandbox.world.order(product)
        return sandbox

    def __enter__(self) -> Provider:
        for sandbox in self.sandboxes:
            sandbox.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.quiet()
        for sandbox in self.sandboxes:
            sandbox.stop()

    def start_messages(self) -> None:
        self._thread.start()

    def quiet(self) -> None:
        """No more messages."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _send(self) -> None:
        rng = random.Random(7)
        while not self._stopping.wait(rng.uniform(0.2, 0.8)):
            world = self.sandboxes[rng.randrange(BUSY)].world
            running = [row.id for row in world.running() if row.rental_type != "Activation"]
            world.receive_sms(
                rng.choice(running), f"{MARK} {self.sent}. Your code is {rng.randrange(100_000, 999_999)}"
            )
            self.sent += 1

    def paces(self, number: int) -> dict[str, float]:
        return {path: float(pair[number >= BUSY]) for path, pair in PACES.items()}


class Stream:
    """The live stream of a web, as an open page has it; `came` notes when each version of the SMS topic came."""

    def __init__(self, address: str, session: str) -> None:
        self.came: dict[tuple[int, int], float] = {}
        self._connection = http.client.HTTPConnection(address, 8000, timeout=60)
        self._connection.request("GET", "/live/", headers={"Cookie": f"sessionid={session}"})
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while line := self._answer.readline():
                if found := re.match(rb'data: .*"a":(\d+).*"t":"sms".*"v":(\d+)', line):
                    self.came.setdefault((int(found[1]), int(found[2])), time.time())


def measure(report: Report, options: argparse.Namespace) -> None:
    short = 0.5 if options.quick else 1.0
    with (
        Network((*WORKERS, *BEATS, *WEBS)) as network,
        Provider(network.gateway, options.accounts) as provider,
        Hosts(network) as hosts,
    ):
        _set_up(hosts, provider)
        began = datetime.now(UTC)
        hosts.start(*WORKERS, *WEBS, "beat1")
        _wait_until_read(provider)
        provider.start_messages()
        _one_and_two_beats(report, hosts, provider, short)
        _nudges(report, hosts, 5 if options.quick else 20)
        _cut_off(report, hosts, provider, short)
        _clock_ahead(report, hosts, provider, 60 * short)
        _lost_for_good(report, hosts)
        _whole_run(report, hosts, provider, began)


def _set_up(hosts: Hosts, provider: Provider) -> None:
    """Set Django up in this process, make the accounts, put the watch on."""
    os.environ.update(hosts.environment, DJANGO_SETTINGS_MODULE="anosim_dashboard.settings")
    import django

    django.setup()
    from dashboard.models import Account

    runs_log.watch(hosts.database_url)
    for number, sandbox in enumerate(provider.sandboxes):
        account = Account(name=f"Account {number:02}", base_url=sandbox.url)
        account.api_key = sandbox.key
        account.save()


def _wait_until_read(provider: Provider) -> None:
    """Until the history of all accounts is stored and every list was read once."""
    from dashboard.models import Booking, Sms, SyncState

    history = sum(len(sandbox.world.sms) for sandbox in provider.sandboxes)
    end = time.monotonic() + 180
    while time.monotonic() < end:
        unread = SyncState.objects.filter(last_success_at=None).exists() or not SyncState.objects.exists()
        if not unread and Sms.objects.count() >= history and not Booking.objects.all().sms_wanted().exists():
            return
        time.sleep(1)


# What is measured -----------------------------------------------------------------------------------


def _one_and_two_beats(report: Report, hosts: Hosts, provider: Provider, short: float) -> None:
    time.sleep(20)  # the paces of what was read first have drifted apart
    one = _span(60 * short)
    calls = _calls_a_minute(provider, *one)
    report.add("calls to the provider with one beat", calls, "a min")
    hosts.start("beat2")
    time.sleep(10)
    used = {kind: hosts.processor_seconds(kind) for kind in ("worker", "beat", "web", "database")}
    start, end = _span(120 * short)
    seconds = (end - start).total_seconds()
    spent = {kind: hosts.processor_seconds(kind) - before for kind, before in used.items()}
    for kind, processor_seconds in spent.items():
        report.add(f"processors that all of {kind} used", processor_seconds / seconds, f"of {os.cpu_count()}")
    doubled = _calls_a_minute(provider, start, end)
    report.add("calls to the provider with two beats", doubled, "a min", at_most=calls * 1.1)
    runs = runs_log.between(hosts.database_url, start, end)
    for kind in ("worker", "database"):
        report.add(f"processor time of a run, {kind}", spent[kind] * 1000 / sum(runs.of_host.values()), "ms")
    report.add_series("due until begun", runs.late, "s", p95=2)
    report.add("due until begun, longest", max(runs.late), "s", 2, n=len(runs.late))
    _shares(report, hosts, runs)
    report.add("read again sooner than half its pace", _too_near(provider, start, end), "calls", 0)
    report.add("connections to the database", hosts.connections(), "", 100)


def _shares(report: Report, hosts: Hosts, runs: runs_log.Runs) -> None:
    counts = [runs.of_host[hosts.network.address(name)] for name in WORKERS]
    spread = ", ".join(map(str, counts))
    report.add("busiest worker, by the mean of all", max(counts) / mean(counts), "x", 1.2, spread=spread)
    report.add("idlest worker, below the mean by", 1 - min(counts) / mean(counts), "x", 0.2)


def _nudges(report: Report, hosts: Hosts, rounds: int) -> None:
    """Nudge, and see when the streams of both webs hear of it."""
    from dashboard.models import Account

    session = session_of("bench")
    streams = {name: Stream(hosts.network.address(name), session) for name in WEBS}
    idle = Account.objects.order_by("pk").last()
    assert idle is not None
    moved: dict[tuple[int, int], float] = {}
    for _ in range(rounds):
        time.sleep(1)
        sent = time.time()
        moved[idle.pk, nudge(idle)] = sent
    time.sleep(2)
    for name, stream in streams.items():
        delays = [(stream.came[key] - sent) * 1000 for key, sent in moved.items() if key in stream.came]
        report.add(f"nudges that did not come to {name}", len(moved) - len(delays), "", 0, n=len(moved))
        report.add_series(f"nudge to a stream of {name}", delays or [float("inf")], "ms", p95=1000)


def _cut_off(report: Report, hosts: Hosts, provider: Provider, short: float) -> None:
    """A worker's cable is pulled: its work is taken over, and when it is back, nothing was done twice."""
    start = datetime.now(UTC)
    hosts.network.cut("worker2")
    _span(CUT)
    hosts.network.mend("worker2")
    _span(60 * short)
    end = datetime.now(UTC)
    # A list that is read once a minute was read last before the cable was pulled.
    runs = runs_log.between(hosts.database_url, start - timedelta(seconds=65), end)
    report.add("a worker cut off: longest silence of a list, beyond its pace", max(runs.silent.values()), "s", 30)
    report.add("the same: read again while it was being read", runs.twice, "runs", 0, n=sum(runs.of_host.values()))
    report.add("the same: overlapping calls", _overlapping(provider, start, end), "calls", 0)
    back = runs_log.between(hosts.database_url, *_span(15)).of_host[hosts.network.address("worker2")]
    report.add("the same: did not come back", int(back == 0), "workers", 0)


def _clock_ahead(report: Report, hosts: Hosts, provider: Provider, seconds: float) -> None:
    """One worker's clock is wrong: it does its part all the same, and nothing is read too often or too seldom."""
    hosts.stop("worker3")
    hosts.start("worker3", ahead=AHEAD)
    asked = datetime.now(UTC)
    address = hosts.network.address("worker3")
    while not runs_log.between(hosts.database_url, asked, datetime.now(UTC)).of_host[address]:
        if datetime.now(UTC) - asked > timedelta(seconds=90):
            report.remark("worker3 has taken nothing for 90 s")
            break
        time.sleep(1)
    time.sleep(5)
    start, end = _span(seconds)
    runs = runs_log.between(hosts.database_url, start, end)
    report.remark(f"worker3 is {AHEAD} s ahead from here on")
    report.add("a clock ahead: due until begun, longest", max(runs.late), "s", 2, n=len(runs.late))
    report.add("the same: longest silence of a list, beyond its pace", max(runs.silent.values()), "s", 4)
    report.add("the same: read again sooner than half its pace", _too_near(provider, start, end), "calls", 0)
    report.add("the same: overlapping calls", _overlapping(provider, start, end), "calls", 0)
    _shares(report, hosts, runs)


def _lost_for_good(report: Report, hosts: Hosts) -> None:
    """A host goes while it saves, and does not come back: the account's row is free again soon."""
    from django.db import DatabaseError, transaction

    from dashboard.models import Account

    held = hosts.hold_account("worker4", Account.objects.order_by("pk").values_list("pk", flat=True)[0])
    hosts.network.cut("worker4")
    lost, free = time.monotonic(), False
    while not free and time.monotonic() - lost < 90:
        time.sleep(0.2)
        with contextlib.suppress(DatabaseError), transaction.atomic():
            Account.objects.select_for_update(nowait=True).get(pk=held)
            free = True
    report.add("a host lost for good in a transaction: its row free after", time.monotonic() - lost, "s", 30)


def _whole_run(report: Report, hosts: Hosts, provider: Provider, began: datetime) -> None:
    """What must hold over all of it, first start and faults included."""
    from dashboard.models import Sms

    provider.quiet()
    time.sleep(10)
    end = datetime.now(UTC)
    calls = [provider_log.calls_of(sandbox, began, end) for sandbox in provider.sandboxes]
    n = sum(map(len, calls))
    report.add("most calls of an account in any second", _most(calls, 1), "", A_SECOND + 1, n=n)
    report.add("most calls of an account in any 10 seconds", _most(calls, 10), "", A_SECOND * 10, n=n)
    stored = list(Sms.objects.filter(text__startswith=MARK).values_list("text", flat=True))
    report.add("SMS lost", provider.sent - len(set(stored)), "", 0, n=provider.sent)
    report.add("SMS stored twice", len(stored) - len(set(stored)), "", 0, n=provider.sent)
    complaints = hosts.complaints()
    report.add("errors in the logs", len(complaints), "", None)
    for line in complaints[:5]:
        report.remark(line[:200])


def _span(seconds: float) -> tuple[datetime, datetime]:
    """Let so much time pass; its ends."""
    start = datetime.now(UTC)
    time.sleep(seconds)
    return start, datetime.now(UTC)


def _calls_a_minute(provider: Provider, start: datetime, end: datetime) -> float:
    count = sum(len(provider_log.calls_of(sandbox, start, end)) for sandbox in provider.sandboxes)
    return count * 60 / (end - start).total_seconds()


def _most(calls: list[list[provider_log.Call]], seconds: float) -> int:
    return max(provider_log.most_within(each, seconds) for each in calls)


def _overlapping(provider: Provider, start: datetime, end: datetime) -> int:
    return sum(provider_log.overlapping(provider_log.calls_of(each, start, end)) for each in provider.sandboxes)


def _too_near(provider: Provider, start: datetime, end: datetime) -> int:
    return sum(
        provider_log.nearer_than(provider_log.calls_of(sandbox, start, end), provider.paces(number))
        for number, sandbox in enumerate(provider.sandboxes)
    )


def check_machine() -> None:
    """End with 1 and in words where this cannot be measured."""
    missing = [name for name in ("ip", "unshare", "redis-server", "cc") if shutil.which(name) is None]
    if os.geteuid() != 0:
        sys.exit("This makes hosts of its own (network namespaces): run it as root.")
    if missing:
        sys.exit(f"This needs {', '.join(missing)}: apt-get install iproute2 util-linux redis-server gcc libc6-dev")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accounts", type=int, default=50, help="accounts, 12 of them busy (%(default)s)")


if __name__ == "__main__":
    check_machine()
    main(QUESTION, measure, options)
