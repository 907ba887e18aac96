"""Laws of merging windows of messages: idempotent, free of order, monotone; several readers do no harm."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.anosim import Listing
from dashboard.anosim import Sms as Record
from dashboard.models import Account, Sms, SyncState
from dashboard.sync.save_sms import fingerprint, save_sms

from .factories import make_account

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = b"k" * 32


def record(second: int, text: str = "Hi", digits: str = "") -> Record:
    at = START + timedelta(seconds=second)
    return Record("+4915212345678", "Bank", text, at.strftime("%Y-%m-%dT%H:%M:%S") + digits + "Z", at)


def listing(rows: list[Record]) -> Listing[Record]:
    return Listing(tuple(rows), len(rows), 0, "digest", None)


def save(account: Account, rows: list[Record]) -> None:
    with transaction.atomic():
        save_sms(account, listing(rows), START + timedelta(hours=1), SyncState(account=account, kind="sms"))


def stored(account: Account) -> Counter[tuple[str, datetime]]:
    return Counter(Sms.objects.filter(account=account).values_list("text", "received_at"))


messages = st.lists(st.builds(record, st.integers(0, 5), st.sampled_from(["a", "b", "c"])), max_size=12)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(windows=st.lists(messages, max_size=4), data=st.data())
def test_the_highest_count_ever_seen_wins_whatever_the_order(windows: list[list[Record]], data: Any) -> None:
    wanted: Counter[tuple[str, datetime | None]] = Counter()
    for window in windows:
        wanted |= Counter((row.text, row.received_at) for row in window)
    order = data.draw(st.permutations([*windows, *windows]))
    with transaction.atomic():
        account = make_account()
        for window in order:
            save(account, list(data.draw(st.permutations(window))))
        assert stored(account) == wanted
        transaction.set_rollback(True)


def test_the_number_of_fractional_digits_is_no_part_of_a_message() -> None:
    assert len({fingerprint(KEY, record(1, digits=digits)) for digits in ("", ".0", ".000", ".0000000")}) == 1


def test_every_part_of_a_message_makes_another_fingerprint() -> None:
    base = record(1)
    others = [
        record(2),
        record(1, "Hi "),
        Record("+4915212345679", base.sender, base.text, base.stamp, base.received_at),
        Record(base.number, "BankHi", "", base.stamp, base.received_at),
    ]
    marks = {fingerprint(KEY, each) for each in [base, *others]}
    assert len(marks) == 5
    assert fingerprint(b"other", base) not in marks


@pytest.mark.django_db
def test_hostile_text_is_stored_whole_and_nul_becomes_visible(account: Account) -> None:
    words = "<script>alert(1)</script> {{7*7}} \x00 ‮ 😀 " + "x" * 10_000
    save(account, [record(1, words)])
    assert Sms.objects.get().text == words.replace("\x00", "␀")
    save(account, [record(1, words)])
    assert Sms.objects.count() == 1


@pytest.mark.django_db
def test_overlong_numbers_are_cut_and_stay_two_messages(account: Account) -> None:
    long = "+" + "1" * 60
    rows = [Record(long + tail, "", "Hi", "", None) for tail in ("2", "3")]
    save(account, rows)
    save(account, rows)
    assert Sms.objects.count() == 2
