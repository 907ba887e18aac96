"""Five hundred open streams: how soon a nudge reaches all, what a stream costs, what is left when they are gone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import re
import threading
import time

from dashboard.sandbox import Sandbox

from . import databases
from .figures import Report, main, percentile
from .nudges import nudge
from .stack import Stack

QUESTION = "Five hundred live streams: nudges, memory, database connections, clean-up"
TOKEN = "bench-metrics-token"
GONE_WITHIN = 30.0
OF_A_PERSON = 10
# The four threads that open streams give theirs back to the pool, which keeps some; this process has one of its own.
SPARE = 5
TOGETHER = 25  # opened at once, as when a team comes to work


class Crowd:
    """Many streams on an event loop of their own; notes when each nudge came to each of them (time.monotonic)."""

    def __init__(self, stack: Stack, count: int) -> None:
        self.arrivals: dict[int, list[float]] = {}
        # A person may have a hundred streams at the most.
        sessions = [stack.session_of(f"bench {number}") for number in range(max(1, count // OF_A_PERSON))]
        line = f"GET /live/ HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\nCookie: sessionid="
        self._heads = itertools.cycle([f"{line}{session}\r\n\r\n".encode() for session in sessions])
        self._port = stack.port
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        began = time.monotonic()
        self._run(self._open(count))
        self.opened_in = time.monotonic() - began

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(180)  # type: ignore[arg-type]

    async def _open(self, count: int) -> None:
        for start in range(0, count, TOGETHER):
            await asyncio.gather(*(self._open_one() for _ in range(start, min(count, start + TOGETHER))))

    async def _open_one(self) -> None:
        synced = asyncio.Event()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(next(self._heads))
        self._writers.append(writer)
        self._tasks.add(self._loop.create_task(self._listen(reader, synced)))
        await asyncio.wait_for(synced.wait(), 60)

    async def _listen(self, reader: asyncio.StreamReader, synced: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                if line.startswith(b"event: sync"):
                    synced.set()
                elif (found := re.match(rb'data: .*"t":"sms","v":(\d+)', line)) is not None:
                    self.arrivals.setdefault(int(found[1]), []).append(time.monotonic())

    def leave(self) -> None:
        async def close() -> None:
            for writer in self._writers:
                writer.transport.abort()

        self._run(close())

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def measure(report: Report, options: argparse.Namespace) -> None:
    if options.child:
        _measure_here(report, options)
        return
    size = ["--count", str(options.count), *(["--quick"] if options.quick else ["--rounds", str(options.rounds)])]
    databases.measured_on_each(report, "fan_out", options, *size)


def _measure_here(report: Report, options: argparse.Namespace) -> None:
    rounds = 10 if options.quick else options.rounds
    environment = {"METRICS_TOKEN": TOKEN, "DATABASE_URL": os.environ.get("DATABASE_URL", "")}
    with Sandbox(seed=5) as sandbox, Stack(sandbox, environment=environment) as stack:
        stack.use_django()
        time.sleep(45)  # the backfill of the first start is over
        stack.get("/inbox/")
        before, connections = stack.pss()["web"], _connections()
        crowd = Crowd(stack, options.count)
        report.add("seconds until all were open", crowd.opened_in, "s", n=options.count)
        time.sleep(20)
        memory = (stack.pss()["web"] - before) * 1e6 / 1024 / options.count
        report.add("memory of a stream (web, PSS)", memory, "kB", 100)
        if connections is not None:
            held = max(0, (_connections() or 0) - connections)
            report.add("database connections more than before, of 500 streams", held, "", SPARE)
        _nudge(report, crowd, rounds, options.count)
        crowd.leave()
        report.add("seconds until all were forgotten", _until_forgotten(stack), "s", GONE_WITHIN)
        crowd.end()


def _nudge(report: Report, crowd: Crowd, rounds: int, count: int) -> None:
    """Nudge, and see when each stream hears of it."""
    from dashboard.models import Account

    account = Account.objects.get()
    delays: list[float] = []
    lost = 0
    for _ in range(rounds):
        time.sleep(1.5)
        sent = time.monotonic()
        version = nudge(account)
        time.sleep(1.5)
        came = [at - sent for at in crowd.arrivals.get(version, [])]
        if not came:  # an SMS of the sandbox came within the same window: its nudge stands for ours
            continue
        lost += count - len(came)
        delays += came
    report.add_series("nudge to a stream", [delay * 1000 for delay in delays], "ms")
    report.add("nudge to a stream, p99", percentile([delay * 1000 for delay in delays], 99), "ms", 1000, n=len(delays))
    report.add("nudges that did not come", lost, "", 0, n=len(delays))


def _connections() -> int | None:
    """Connections that PostgreSQL has open; None on SQLite, whose open files tell nothing of it."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        return None
    import psycopg

    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0


def _until_forgotten(stack: Stack) -> float:
    import urllib.request

    began = time.monotonic()
    asked = urllib.request.Request(f"{stack.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    while time.monotonic() - began < 2 * GONE_WITHIN:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            if "\nanosim_live_streams 0.0" in answer.read().decode():
                return time.monotonic() - began
        time.sleep(0.2)
    return time.monotonic() - began


def options(parser: argparse.ArgumentParser) -> None:
    databases.add_options(parser)
    parser.add_argument("--count", type=int, default=500, help="open streams (%(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="nudges (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
