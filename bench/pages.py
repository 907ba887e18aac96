"""Server time of the list pages over a large archive, in this process, beside a bare Django view in the same run.

For each query of the pages it also tells the plan, so that a table scan is seen and not only felt.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .figures import Report, main

QUESTION = "Pages: server time with a large archive, beside a bare Django view of fifty rows"
PAGES = {
    "inbox": "/inbox/",
    "overview": "/",
    "bookings": "/bookings/",
    "bookings that run": "/bookings/?show=running",
    "orders": "/orders/",
    "inbox panel": "/panels/inbox/",
}
LISTED = {
    "inbox, with a code": "/inbox/?code=1",
    "inbox, search": "/inbox/?q=paket",
    "inbox, search without result": "/inbox/?q=nothing+of+this",
    "inbox, number": "/inbox/?number=%2B4915200000042",
    "inbox, service": "/inbox/?service=Amazon",
    "inbox, sender": "/inbox/?sender=dhl",
    "inbox, oldest": "/inbox/?sort=oldest",
    "bookings, waiting": "/bookings/?show=waiting",
    "bookings, ended": "/bookings/?show=ended",
    "bookings, country": "/bookings/?country=Poland",
}


def measure(report: Report, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as folder:
        _set_up(Path(folder))
        from django.core.management import call_command

        from . import archive

        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        sizes = options.sizes[:1] if options.quick else options.sizes
        grown: dict[str, list[tuple[float, float]]] = {}
        for place, count in enumerate(sizes):
            archive.clear()
            began = time.monotonic()
            archive.fill(count, count // 10)
            report.remark(f"{count:,} SMS, {count // 10:,} bookings, written in {time.monotonic() - began:.0f} s")
            views = _views()
            for name in views:
                if name != "floor":
                    found = _compare(report, f"{count:,}: {name}", views, name, options.rounds)
                    grown.setdefault(name, []).append(found)
            if not options.quick:
                _filters(report, f"{count:,}")
            if place == len(sizes) - 1:
                _plans(report)
        if len(sizes) > 1:
            _growth(report, grown, f"{sizes[-1]:,} SMS against {sizes[0]:,}")


def _growth(report: Report, grown: dict[str, list[tuple[float, float]]], title: str) -> None:
    """How much dearer the largest archive makes each page, the drift of the machine taken out by an empty view."""
    drift = grown["empty view"][-1][0] / grown["empty view"][0][0]
    report.add(f"empty view: {title}, the machine's drift", drift, "x")
    floor = statistics.mean(found[-1][1] / found[0][1] for found in grown.values()) / drift
    report.add(f"floor: {title}", floor, "x")
    for name, found in grown.items():
        if name != "empty view":
            ratio = found[-1][0] / found[-1][1] / (found[0][0] / found[0][1]) * floor
            report.add(f"{name}: {title}", ratio, "x", 1.1 if name == "inbox" else None)


@dataclass(frozen=True)
class Time:
    """Milliseconds on the clock, and of them on a processor: the second hardly moves when the machine is shared."""

    wall: float
    cpu: float


def _compare(
    report: Report, title: str, views: dict[str, Callable[[], Any]], name: str, rounds: int
) -> tuple[float, float]:
    """The page and the floor in turn, so that both meet the same machine; gives their median processor times."""
    for _ in range(10):
        views[name]()
    pairs = [(_timed(views[name]), _timed(views["floor"])) for _ in range(rounds)]
    report.add_series(title, [mine.wall for mine, _ in pairs], "ms")
    for word in ("wall", "cpu"):
        mine, floor = (statistics.median(getattr(pair[place], word) for pair in pairs) for place in (0, 1))
        limit = 2 if name == "inbox" else None
        spread = f"{mine:.2f} to {floor:.2f} ms"
        report.add(f"{title}: times the floor ({word})", mine / floor, "x", limit, n=rounds, spread=spread)
    return statistics.median(mine.cpu for mine, _ in pairs), statistics.median(floor.cpu for _, floor in pairs)


def _set_up(folder: Path) -> None:
    os.environ["DATA_DIR"] = str(folder)
    os.environ["DATABASE_URL"] = os.environ["REDIS_URL"] = ""
    os.environ["DJANGO_SETTINGS_MODULE"] = "anosim_dashboard.settings"
    import django
    from django.conf import settings

    django.setup()
    settings.ROOT_URLCONF = "bench.floor"
    settings.STATIC_ROOT = folder / "static"
    settings.ALLOWED_HOSTS = ["testserver"]


def _views() -> dict[str, Callable[[], Any]]:
    """Each page as a call that answers it through all middleware, for a signed-in admin."""
    from django.conf import settings
    from django.test import Client

    from dashboard.models import User

    from . import floor

    user = User.objects.filter(username="bench").first() or User.objects.create_superuser("bench")
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

    views = {name: call(ours, path) for name, path in PAGES.items()}
    return {"floor": call(bare, "/floor/"), "empty view": call(bare, "/empty/"), **views}


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
    sizes = [100_000, 1_000_000]
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes, help="messages, and a tenth as many bookings")
    parser.add_argument("--rounds", type=int, default=120, help="calls of each page (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
