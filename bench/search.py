"""The search over a small and a large archive, on both databases: the statements alone, and the inbox page."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from html import unescape
from typing import Any

from . import databases
from .figures import Report, main

QUESTION = "Search: a thousand and a million SMS in a dozen languages, on both databases"
LIMIT_MS = 100
SAME = 1.2
# What is typed, and other filters of the page.
SEARCHES = {
    "no search": "",
    "a word of many messages": "q=code",
    "part of a word": "q=erificat",
    "two words": "q=code+verification",
    "Cyrillic": "q=подтвержд",
    "Chinese, two characters": "q=验证",
    "Chinese, one character": "q=码",
    "Arabic": "q=التحقق",
    "a whole number": "q=%2B49+152+000+000+42",
    "a code, six digits": "q=482913",
    "four digits": "q=4829",
    "a note": "q=qa+run+4210",
    "a note of many bookings": "q=магазин",
    "no such word": "q=xylophon",
    "no such text, of common words": "q=code+montag+tu+verificación+nowak",
    "no such phrase, of common parts": "q=verification+code%2Cyour",
    "a word, only with a code": "q=code&code=1",
    "a word, one service": "q=code&service=Amazon",
    "a sender, part of it": "sender=leinanz",
    "no such sender": "sender=xylophon",
    "a number, part of it": "number=0042",
    "a word, a year ago": "q=code&to={year_ago}",
    "a word, oldest first": "q=code&sort=oldest",
}


def measure(report: Report, options: argparse.Namespace) -> None:
    if options.child:
        _measure_here(report, options)
        return
    sizes = options.sizes[:1] if options.quick else options.sizes
    for database in options.databases:
        with databases.database(database, options.postgresql) as environment:
            found = [_medians(report, database, environment(str(size)), size, options.rounds) for size in sizes]
        if len(found) > 1:
            for name in found[-1]:
                ratio = found[-1][name] / found[0][name]
                title = f"{database}, {name}: {sizes[-1]:,} against {sizes[0]:,}"
                report.add(title, ratio, "x", SAME if name.endswith("page") else None)


def _medians(
    report: Report, database: str, environment: databases.Environment, size: int, rounds: int
) -> dict[str, float]:
    """Fill and measure; medians by name."""
    arguments = ("--sizes", str(size), "--rounds", str(rounds))
    found = databases.measured(report, "search", database, environment, *arguments)
    medians = {figure.name: figure.value for figure in found if figure.name.endswith(", median")}
    return {name.removesuffix(", median").split(": ", 1)[1]: value for name, value in medians.items()}


def _measure_here(report: Report, options: argparse.Namespace) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.staticfiles.storage import StaticFilesStorage
    from django.test import Client

    from dashboard.models import Account, Membership, User

    from .fill import fill

    settings.ALLOWED_HOSTS = ["testserver"]
    storage = f"{StaticFilesStorage.__module__}.{StaticFilesStorage.__qualname__}"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}
    (size,) = options.sizes
    # What bench.fill has filled before is measured as it is.
    filled = Account.objects.order_by("pk") if _has_accounts() else fill(size, small=True)
    small, *big = filled
    people = {"": [small, *big], ", of a small account": [small]}
    title = f"{options.child} {size:,}"
    for name, accounts in people.items():
        user, _ = User.objects.get_or_create(username=f"bench{len(accounts)}")
        for each in accounts:
            Membership.objects.get_or_create(user=user, account=each, defaults={"role": "viewer"})
        client = Client()
        client.force_login(user)
        searches = SEARCHES if not name else {key: SEARCHES[key] for key in ("a word of many messages", "no such word")}
        for search, query in searches.items():
            _one(report, f"{title}: {search}{name}", client, query, options.rounds)


def _has_accounts() -> bool:
    from django.db import connection

    from dashboard.models import Account

    return Account._meta.db_table in connection.introspection.table_names() and Account.objects.exists()


def _one(report: Report, title: str, client: Any, query: str, rounds: int) -> None:
    """The statements of the list alone, the page, and the second page."""
    url = "/inbox/?" + query.format(year_ago=time.strftime("%Y-%m-%d", time.gmtime(time.time() - 365 * 86400)))
    queries, content = _asked(client, url)
    rows = content.count('<li class="sms"')
    report.remark(f"{title}: {queries} queries, {rows} rows")
    older = re.search(r'href="(/inbox/\?[^"]*after=[^"]*)"', content)
    second = unescape(older.group(1)) if older else ""
    alone = _statements(client, url)
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        times.setdefault("list alone", []).append(_timed(alone))
        times.setdefault("page", []).append(_timed(lambda: client.get(url)))
        if second:
            times.setdefault("second page", []).append(_timed(lambda: client.get(second)))
    for name, series in times.items():
        report.add_series(f"{title}, {name}", series, "ms", p95=LIMIT_MS)


def _asked(client: Any, url: str) -> tuple[int, str]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        response = client.get(url)
    assert response.status_code == 200, url
    return len(captured), response.content.decode()


def _statements(client: Any, url: str) -> Callable[[], Any]:
    """A call that asks the database for the page's messages and does nothing else."""
    from django.test import RequestFactory
    from django.urls import resolve

    from dashboard.models import User
    from dashboard.views import inbox
    from dashboard.views.paging import page_of

    request = RequestFactory().get(url)
    request.resolver_match, request.session = resolve("/inbox/"), client.session
    request.user = User.objects.get(pk=client.session["_auth_user_id"])
    assert request.user.visible_account_ids  # asked once, as a request does
    return lambda: page_of(inbox.found(request).for_list(), request.GET, inbox.SORTS)


def _timed(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def options(parser: argparse.ArgumentParser) -> None:
    databases.add_options(parser)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 1_000_000], help="messages (%(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="calls of each page (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
