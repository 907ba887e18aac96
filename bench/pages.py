"""Server time of the pages over a small, a large and a very large archive on both databases, in this process, beside
an empty view through the same middleware and beside a bare Django view of fifty rows, in turn.

For each query of the pages it also tells the plan, so that a table scan is seen and not only felt.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import databases
from .figures import Figure, Report, main, percentile

QUESTION = "Pages: server time with 1 k, 100 k and 1 M SMS on both databases, beside an empty and a bare view"
LIMIT_MS = 100
TIMES_BARE = 2.0
# The largest archive against the smallest, in times of the empty view of the same run.
GROWTH = 1.25
EMPTY = ": x empty view, clock"
PAGES = {
    "overview": "/",
    "inbox": "/inbox/",
    "inbox, search": "/inbox/?q=paket+heute",
    "inbox panel": "/panels/inbox/",
    "bookings": "/bookings/",
    "booking": "/bookings/{booking}/",
    "orders": "/orders/",
    "status": "/status/",
}
LISTED = {
    "inbox, with a code": "/inbox/?code=1",
    "inbox, search without result": "/inbox/?q=nothing+of+this",
    "inbox, number": "/inbox/?number=%2B4915200000042",
    "inbox, service": "/inbox/?service=Amazon",
    "inbox, sender": "/inbox/?sender=dhl",
    "inbox, oldest": "/inbox/?sort=oldest",
    "bookings that run": "/bookings/?show=running",
    "bookings, waiting": "/bookings/?show=waiting",
    "bookings, ended": "/bookings/?show=ended",
    "bookings, country": "/bookings/?country=Poland",
}


def measure(report: Report, options: argparse.Namespace) -> None:
    if options.child:
        _measure_here(report, options)
        return
    arguments = ["--quick"] if options.quick else ["--rounds", str(options.rounds)]
    for name in options.databases:
        with databases.database(name, options.postgresql) as environment:
            found = []
            for size in options.sizes:
                place = environment(str(size))
                found.append(databases.measured(report, "pages", name, place, "--sizes", str(size), *arguments))
        if len(found) > 1:
            _growth(report, name, found[0], found[-1], f"{options.sizes[-1]:,} SMS against {options.sizes[0]:,}")


def _growth(report: Report, database: str, small: list[Figure], large: list[Figure], title: str) -> None:
    """How much dearer the largest archive makes each page, the drift of the machine taken out by the empty view."""
    # SQLite works in the process that is measured; of PostgreSQL the processor time of ours tells nothing.
    ending = EMPTY.replace("clock", "cpu") if database == "sqlite" else EMPTY
    of_small, of_large = (
        {figure.name.split(": ", 1)[1]: figure.value for figure in figures if figure.name.endswith(ending)}
        for figures in (small, large)
    )
    for name, value in of_large.items():
        page = name.removesuffix(ending)
        report.add(f"{database}: {page}: {title}", value / of_small[name], "x", GROWTH if page == "inbox" else None)


def _measure_here(report: Report, options: argparse.Namespace) -> None:
    (size,) = options.sizes
    _set_up()
    began = time.monotonic()
    from .fill import fill

    fill(size)
    title = f"{options.child} {size:,}"
    report.remark(f"{title} SMS, written in {time.monotonic() - began:.0f} s")
    views = _views()
    rounds = 40 if options.quick else options.rounds
    for name in PAGES:
        _compare(report, f"{title}: {name}", views, name, rounds)
    if not options.quick:
        _filters(report, title)
    _plans(report)


@dataclass(frozen=True)
class Time:
    """Milliseconds on the clock, and of them on a processor: the second hardly moves when the machine is shared."""

    wall: float
    cpu: float


def _compare(report: Report, title: str, views: dict[str, Callable[[], Any]], page: str, rounds: int) -> None:
    """The page, the empty and the bare view in turn, so that all meet the same machine."""
    for _ in range(10):
        views[page]()
    turns = [(_timed(views[page]), _timed(views["empty"]), _timed(views["bare"])) for _ in range(rounds)]
    (wall, empty_wall, _), (cpu, empty_cpu, bare_cpu) = (
        [statistics.median(getattr(time, word) for time in times) for times in zip(*turns, strict=True)]
        for word in ("wall", "cpu")
    )
    p95 = percentile([mine.wall for mine, _, _ in turns], 95)
    report.add(f"{title}: clock", wall, "ms", LIMIT_MS, n=rounds, spread=f"p95 {p95:.1f}, empty view {empty_wall:.2f}")
    report.add(f"{title}: cpu", cpu, "ms", n=rounds, spread=f"empty view {empty_cpu:.2f}, bare {bare_cpu:.2f}")
    report.add(f"{title}{EMPTY}", wall / empty_wall, "x", n=rounds)
    report.add(f"{title}: x empty view, cpu", cpu / empty_cpu, "x", n=rounds)
    limit = TIMES_BARE if page == "inbox" and title.startswith("sqlite") else None
    report.add(f"{title}: x bare view of fifty rows, cpu", cpu / bare_cpu, "x", limit, n=rounds)


def _set_up() -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from dashboard import access_rules

    # Collected once for all sizes of a database.
    settings.STATIC_ROOT = settings.DATA_DIR.parent / "static"
    if not settings.STATIC_ROOT.exists():
        call_command("collectstatic", interactive=False, verbosity=0)
    settings.ROOT_URLCONF = "bench.floor"
    settings.ALLOWED_HOSTS = ["testserver"]
    access_rules.ROWS["bench-empty"] = access_rules.ROWS["settings"]


def _views() -> dict[str, Callable[[], Any]]:
    """Each page as a call that answers it through all middleware, for a signed-in admin."""
    from django.conf import settings
    from django.test import Client

    from dashboard.models import Booking, User

    from . import floor

    user = User.objects.create_superuser("bench")
    ours, bare = Client(), Client()
    ours.force_login(user)
    middleware = settings.MIDDLEWARE
    settings.MIDDLEWARE = floor.MIDDLEWARE
    bare.force_login(user)
    bare.get("/floor/")  # loads the bare middleware
    settings.MIDDLEWARE = middleware
    ours.get("/")

    def call(client: Client, path: str) -> Callable[[], Any]:
        def act() -> Any:
            response = client.get(path)
            assert response.status_code == 200, f"{path}: {response.status_code}"
            return response

        return act

    booking = Booking.objects.filter(sms_count__gt=0).order_by("pk").values_list("pk", flat=True)[0]
    views = {name: call(ours, path.format(booking=booking)) for name, path in PAGES.items()}
    return {"empty": call(ours, "/empty/"), "bare": call(bare, "/floor/"), **views}


def _timed(view: Callable[[], Any]) -> Time:
    began, cpu = time.perf_counter(), time.process_time()
    view()
    return Time((time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000)


def _client() -> Any:
    from django.test import Client

    from dashboard.models import User

    client = Client()
    client.force_login(User.objects.get(username="bench"))
    return client


def _filters(report: Report, title: str) -> None:
    client = _client()
    for name, path in LISTED.items():
        times = [_timed(functools.partial(client.get, path)).cpu for _ in range(7)]
        report.add(
            f"{title}: {name} (cpu)", statistics.median(times), "ms", n=len(times), spread=f"max {max(times):.1f}"
        )


def _plans(report: Report) -> None:
    """Number of queries, bytes, and every plan that scans or sorts."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = _client()
    for name, path in {**PAGES, **LISTED}.items():
        if "{" in path:
            continue
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(path)
        queries = [query["sql"] for query in captured.captured_queries if query["sql"].startswith("SELECT")]
        packed = len(gzip.compress(answer.content, 6))
        slowest = max((float(query["time"]) for query in captured.captured_queries), default=0)
        report.remark(
            f"{name}: {len(captured)} queries, slowest {slowest * 1000:.0f} ms, "
            f"{len(answer.content) / 1000:.1f} kB, {packed / 1000:.1f} kB gzipped"
        )
        for query in queries:
            for step in _plan(query):
                if "SCAN" in step or "TEMP B-TREE" in step:
                    report.remark(f"  {step}: {query[:60]} … {query[query.find(' FROM ') :][:170]}")


def _plan(query: str) -> list[str]:
    from django.db import connection

    word = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{word} {query}".replace("%", "%%") if "%" in query else f"{word} {query}")
        return [str(row[-1]) for row in cursor.fetchall()]


def options(parser: argparse.ArgumentParser) -> None:
    databases.add_options(parser)
    sizes = [1000, 100_000, 1_000_000]
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes, help="messages, and a tenth as many bookings")
    parser.add_argument("--rounds", type=int, default=120, help="calls of each page (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
