"""`manage.py find_codes`: the codes of stored messages follow the rules."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.management.commands import find_codes
from dashboard.models import Booking, Sms, TopicVersion

from .factories import make_account, make_booking, make_sms

pytestmark = pytest.mark.django_db


def run(**options: Any) -> str:
    out = io.StringIO()
    call_command("find_codes", stdout=out, **options)
    return out.getvalue()


def versions() -> dict[tuple[int, str], int]:
    return {(row.account_id, row.topic): row.version for row in TopicVersion.objects.all()}


@pytest.fixture
def booking() -> Booking:
    return make_booking(make_account("First"))


def test_a_code_that_old_rules_missed_is_stored(booking: Booking) -> None:
    sms = make_sms(booking, code="")
    assert "1 SMS read, 1 code changed" in run()
    sms.refresh_from_db()
    assert sms.code == "482913"


def test_a_code_that_old_rules_made_up_goes(booking: Booking) -> None:
    sms = make_sms(booking, "Your order 55120 has been sent", code="55120")
    run()
    sms.refresh_from_db()
    assert sms.code == ""


def test_a_booking_shows_the_new_code_of_its_newest_sms(booking: Booking) -> None:
    sms = make_sms(booking, code="")
    run()
    shown = Booking.objects.values_list("newest_sms_id", "newest_sms__code").get(pk=booking.pk)
    assert shown == (sms.pk, "482913")


def test_only_rows_whose_code_moves_are_written(booking: Booking) -> None:
    for _ in range(20):
        make_sms(booking)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        run()
    assert not [query for query in queries if query["sql"].startswith("UPDATE")]
    assert versions() == {}


def test_each_account_is_told_once_and_only_if_something_moved(booking: Booking, monkeypatch: Any) -> None:
    monkeypatch.setattr(find_codes, "BATCH", 2)
    for _ in range(7):
        make_sms(booking, code="")
    make_sms(make_booking(make_account("Second")))
    run()
    assert versions() == {(booking.account_id, "sms"): 1, (booking.account_id, "bookings"): 1}


def test_a_dry_run_counts_and_stores_nothing(booking: Booking) -> None:
    sms = make_sms(booking, code="")
    assert "1 code would change" in run(dry_run=True)
    sms.refresh_from_db()
    assert sms.code == ""
    assert versions() == {}


def test_one_account_can_be_searched_by_name_or_id(booking: Booking) -> None:
    other = make_booking(make_account("Second"))
    mine, theirs = make_sms(booking, code=""), make_sms(other, code="")
    run(account="First")
    assert set(Sms.objects.filter(code="").values_list("pk", flat=True)) == {theirs.pk}
    Sms.objects.filter(pk=mine.pk).update(code="")
    run(account=str(other.account_id))
    assert set(Sms.objects.filter(code="").values_list("pk", flat=True)) == {mine.pk}


@pytest.mark.parametrize("wanted", ["Nobody", "99999999", "²", "-1"])
def test_an_unknown_account_is_named(booking: Booking, wanted: str) -> None:
    with pytest.raises(CommandError, match="There is no account"):
        run(account=wanted)


def test_an_interrupted_pass_keeps_its_work_tells_the_pages_and_goes_on(booking: Booking, monkeypatch: Any) -> None:
    rows = [make_sms(booking, code="") for _ in range(6)]
    monkeypatch.setattr(find_codes, "BATCH", 2)
    asked = 0

    def interrupted(text: str) -> str | None:
        nonlocal asked
        asked += 1
        if asked == 5:
            raise KeyboardInterrupt
        return "482913"

    with monkeypatch.context() as patch:
        patch.setattr(find_codes, "find_code", interrupted)
        with pytest.raises(CommandError, match=f"--after {rows[3].pk}$"):
            run()
    assert Sms.objects.filter(code="").count() == 2
    assert versions()[booking.account_id, "sms"] == 1
    assert "2 SMS read, 2 codes changed" in run(after=rows[3].pk)
    assert "6 SMS read, 0 codes changed" in run()
    assert not Sms.objects.filter(code="").exists()


def test_a_code_longer_than_its_column_is_cut_as_the_sync_cuts_it(booking: Booking) -> None:
    sms = make_sms(booking, f"@example.com #{'a1' * 30}", code="")
    run()
    sms.refresh_from_db()
    assert sms.code == ("a1" * 30)[:32]


def test_without_messages_there_is_nothing_to_do() -> None:
    assert "0 SMS read, 0 codes changed." in run()


def test_queries_grow_by_one_for_each_batch_and_memory_does_not(booking: Booking, monkeypatch: Any) -> None:
    monkeypatch.setattr(find_codes, "BATCH", 50)
    costs = []
    for size in (200, 2000):
        start = Sms.objects.count()
        Sms.objects.bulk_create(
            Sms(
                account=booking.account,
                text="x" * 500,
                received_at=booking.first_seen_at,
                fingerprint=f"{n}",
                ordinal=1,
            )
            for n in range(start, size)
        )
        tracemalloc.start()
        with CaptureQueriesContext(connection) as queries:
            run()
        costs.append((len(queries) - size // 50, tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    assert costs[0][0] == costs[1][0]
    assert costs[1][1] < 2 * costs[0][1] + 1_000_000
