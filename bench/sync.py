"""How many SMS and bookings a second our saving takes in, beside raw SQL that inserts equal rows into the same tables.

Both in turn, a list of a hundred rows in a transaction each, on a database that holds an archive already. Our side
also finds out what is known, whose a message is and which code it holds, and counts; raw SQL does none of that.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from . import databases
from .figures import Report, main

QUESTION = "Sync: rows saved a second, beside raw bulk SQL of equal rows, on both databases"
SLOWER = 4  # times raw SQL, at the most. Bookings are few, and told only
LIST = 100  # rows of a full list (anosim-api.md)


def measure(report: Report, options: argparse.Namespace) -> None:
    if options.child:
        _measure_here(report, options)
        return
    size = ["--stored", str(options.stored), *(["--quick"] if options.quick else ["--lists", str(options.lists)])]
    databases.measured_on_each(report, "sync", options, *size)


@dataclass
class Sides:
    """Seconds that each list took."""

    ours: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)

    def tell(self, report: Report, title: str, limit: float | None = None) -> None:
        ours, raw, again = (statistics.median(series) for series in (self.ours, self.raw, self.again))
        count = len(self.ours)
        report.add(f"{title} saved by us", LIST / ours, "a second", n=count)
        report.add(f"{title} by raw SQL, a hundred in a transaction", LIST / raw, "a second", n=count)
        report.add(f"{title}: times raw SQL", ours / raw, "x", limit, n=count, spread=f"{ours * 1000:.1f} ms a list")
        report.add(f"{title} read again, all known", LIST / again, "a second", n=count)
        if self.changed:
            report.add(
                f"{title} read again, all with another state", LIST / statistics.median(self.changed), "a second"
            )


def _measure_here(report: Report, options: argparse.Namespace) -> None:
    import django

    django.setup()
    from dashboard.models import Account, SyncState

    from .fill import fill

    (account,) = fill(options.stored)
    state = SyncState.objects.get(account=account, kind="sms")
    # Rows of raw SQL are of accounts of their own, so that they are as new as ours.
    mirror, bulk = (Account.objects.create(name=name) for name in ("Mirror", "Bulk"))
    lists = 40 if options.quick else options.lists
    sms = _sms_lists(account)
    _saved_sms(account, mirror, state, sms, 5)  # imports, caches, plans
    sides = _saved_sms(account, mirror, state, sms, lists)
    sides.tell(report, f"{options.child}, SMS", SLOWER)
    _at_once(report, f"{options.child}, SMS", mirror, bulk)
    orders = _order_lists()
    _saved_bookings(account, mirror, orders, 5)
    _saved_bookings(account, mirror, orders, lists).tell(report, f"{options.child}, bookings")


def _timed(act: Callable[[], object]) -> float:
    from django.db import transaction

    began = time.perf_counter()
    with transaction.atomic():
        act()
    return time.perf_counter() - began


# SMS -----------------------------------------------------------------------------------------------


def _sms_lists(account: Any) -> Iterator[Any]:
    """Full lists of new messages over the bookings that run, as the client gives them."""
    from dashboard.anosim import Listing, Sms
    from dashboard.models import Booking

    from .archive import SENDERS, TEXTS

    numbers = list(Booking.objects.filter(account=account, state="Active").values_list("number", flat=True))
    rng = random.Random(1)
    for turn in itertools.count():
        now = datetime.now(UTC)
        rows = []
        for place in range(LIST):
            text = rng.choice(TEXTS).format(code=f"{rng.randrange(10**6):06d}", name="Ng", order=place)
            # No two are equal: they would be one row.
            rows.append(Sms(rng.choice(numbers), rng.choice(SENDERS), f"{text} {turn}-{place}", now.isoformat(), now))
        yield Listing(tuple(rows), LIST, 0, str(turn), now)


def _saved_sms(account: Any, mirror: Any, state: Any, lists: Iterator[Any], count: int) -> Sides:
    from dashboard.models import Sms
    from dashboard.sync.save_sms import save_sms

    sides = Sides()
    for listing in itertools.islice(lists, count):
        known = Sms.objects.order_by("-pk").values_list("pk", flat=True)[0]
        asked_at = datetime.now(UTC)
        sides.ours.append(_timed(lambda: save_sms(account, listing, asked_at, state)))  # noqa: B023 (called at once)
        statement, rows = _raw(Sms, Sms.objects.filter(account=account, pk__gt=known), account=mirror)
        assert len(rows) == LIST
        sides.raw.append(_timed(lambda: _execute(statement, rows)))  # noqa: B023
        sides.again.append(_timed(lambda: save_sms(account, listing, asked_at, state)))  # noqa: B023
    return sides


def _at_once(report: Report, title: str, mirror: Any, bulk: Any) -> None:
    """All of these rows once more by the quickest way there is: one COPY, on SQLite one executemany."""
    from django.db import connection

    from dashboard.models import Sms

    statement, rows = _raw(Sms, Sms.objects.filter(account=mirror), account=bulk)
    if connection.vendor == "postgresql":
        took = _timed(lambda: _copy(statement, rows))
    else:
        took = _timed(lambda: _execute(statement, rows))
    report.add(f"{title} by raw SQL, all at once", len(rows) / took, "a second", n=len(rows))


# Bookings ------------------------------------------------------------------------------------------


def _order_lists() -> Iterator[Any]:
    """Lists of new orders with two bookings each, a hundred bookings in all."""
    from dashboard.anosim import Booking, Listing, Order

    ids = itertools.count(10_000_000)
    for turn in itertools.count():
        now = datetime.now(UTC)
        orders = []
        for _ in range(LIST // 2):
            bookings = tuple(_booking(Booking, next(ids), now) for _ in range(2))
            orders.append(Order(next(ids), now, Decimal("2.86"), bookings))
        yield Listing(tuple(orders), len(orders), 0, str(turn), now)


def _booking(record: Any, pk: int, now: datetime) -> Any:
    ends = now + timedelta(hours=1)
    fixed = ("Germany", "Activation", "WhatsApp", now, ends, 60, Decimal("1.43"), "Active", None, False)
    return record(pk, f"+4916{pk}", *fixed)


def _saved_bookings(account: Any, mirror: Any, lists: Iterator[Any], count: int) -> Sides:
    from dashboard.models import Booking, Order
    from dashboard.sync.save_bookings import save_orders

    sides = Sides()
    for listing in itertools.islice(lists, count):
        asked_at = datetime.now(UTC)
        sides.ours.append(_timed(lambda: save_orders(account, listing, asked_at)))  # noqa: B023 (called at once)
        ids = [order.id for order in listing.rows]
        mine = Order.objects.filter(account=account, remote_id__in=ids)
        orders = _raw(Order, mine, account=mirror)
        bookings = _raw(Booking, Booking.objects.filter(order__in=mine), account=mirror, order=None)
        assert len(bookings[1]) == LIST
        sides.raw.append(_timed(lambda: (_execute(*orders), _execute(*bookings))))  # noqa: B023
        sides.again.append(_timed(lambda: save_orders(account, listing, asked_at)))  # noqa: B023
        ended = replace(listing, rows=tuple(_ended(order) for order in listing.rows))
        later = datetime.now(UTC)
        sides.changed.append(_timed(lambda: save_orders(account, ended, later)))  # noqa: B023
    return sides


def _ended(order: Any) -> Any:
    return replace(order, bookings=tuple(replace(booking, state="Ended") for booking in order.bookings))


# Raw SQL -------------------------------------------------------------------------------------------


def _raw(model: Any, stored: Any, **instead: Any) -> tuple[str, list[tuple[Any, ...]]]:
    """An INSERT, and the stored rows as it takes them, with these relations in place of theirs."""
    from django.db import connection

    columns = [each for each in model._meta.concrete_fields if not each.primary_key]
    names = ", ".join(f'"{each.column}"' for each in columns)
    places = ", ".join(["%s"] * len(columns))
    fixed = {model._meta.get_field(name).attname: row.pk if row else None for name, row in instead.items()}
    rows = [
        tuple(
            each.get_db_prep_save(fixed.get(each.attname, getattr(row, each.attname)), connection) for each in columns
        )
        for row in stored
    ]
    return f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({places})', rows


def _execute(statement: str, rows: list[tuple[Any, ...]]) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _copy(statement: str, rows: list[tuple[Any, ...]]) -> None:
    from django.db import connection

    target = statement.removeprefix("INSERT INTO ").partition(" VALUES")[0]
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def options(parser: argparse.ArgumentParser) -> None:
    databases.add_options(parser)
    parser.add_argument("--stored", type=int, default=100_000, help="messages in the archive (%(default)s)")
    parser.add_argument("--lists", type=int, default=200, help="lists of each kind (%(default)s)")


if __name__ == "__main__":
    main(QUESTION, measure, options)
