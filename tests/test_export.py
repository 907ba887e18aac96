"""What is in the export of SMS: the rows that the filters find, chunk by chunk, and no cell that can run."""

from __future__ import annotations

import csv
import io
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dashboard.csv_text import BOM, csv_rows, safe_cell
from dashboard.models import Account, Membership, Sms, User
from dashboard.views import export as exporting

from .exported import PATH, file_of, parts_of, rows_of, texts_of
from .exported import _one_transaction as _one_transaction
from .exported import page as page
from .factories import make_account, make_booking, make_sms
from .query_plans import whole_reads

# The goal is 10,000 (reliability.md G33); a run of CI takes a part of them.
EXAMPLES = 1_000 if os.environ.get("CI") == "true" else 10_000
# Person (the right is still there), memberships, the rows.
CHUNK_QUERIES = 3


# --- what is in the file


def test_a_row_holds_all_that_the_inbox_knows_of_a_message(page: Client, account: Account, manager: User) -> None:
    manager.time_zone = "Europe/Berlin"
    manager.save()
    booking = make_booking(
        account, number="+420734118902", country="CzechRepublic", service="WhatsApp", note="shop, main",
        labels="test, shop", assignee=manager,
    )  # fmt: skip
    at = datetime(2026, 7, 1, 12, 30, 5, 123456, tzinfo=UTC)
    make_sms(booking, 'Dein Code: 482913, "privat"\nZeile 2', sender="Größe 你好", received_at=at)
    response = page.post(PATH)
    content = file_of(response)
    assert content.startswith(BOM + "Received (UTC),Local time (Europe/Berlin),Number,")
    assert content.endswith("\r\n")
    (row,) = csv.DictReader(io.StringIO(content.removeprefix(BOM), newline=""))
    assert row == {
        "Received (UTC)": "2026-07-01T12:30:05Z",
        "Local time (Europe/Berlin)": "2026-07-01 14:30:05",
        "Number": "'+420734118902",
        "Country": "Czech Republic",
        "Service": "WhatsApp",
        "Sender": "Größe 你好",
        "Text": 'Dein Code: 482913, "privat"\nZeile 2',
        "Code": "482913",
        "Booking": str(booking.remote_id),
        "Account": "Shop",
        "Note": "shop, main",
        "Labels": "test, shop",
        "Assigned to": "manager",
    }


def test_the_answer_is_a_download_that_nobody_keeps(page: Client, account: Account) -> None:
    response = page.post(PATH, headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert re.fullmatch(
        r'attachment; filename="sms-\d{4}-\d\d-\d\d-shop\.csv"', response.headers["Content-Disposition"]
    )
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    # Not packed: a browser would read the first piece only.
    assert response.headers["Content-Encoding"] == "identity"
    assert file_of(response).startswith(BOM + "Received")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Šop & Söhne", "filename*=utf-8''sms-"),
        ('"; rm -rf', "-rm-rf.csv"),
        ("../../etc", "-etc.csv"),
        ("!!!", "-account-"),
    ],
)
def test_the_name_of_the_file_is_plain_whatever_the_account_is_called(
    page: Client, account: Account, name: str, file: str
) -> None:
    Account.objects.filter(pk=account.pk).update(name=name)
    header = page.post(PATH).headers["Content-Disposition"]
    assert file in header
    assert not re.search(r"[/\\\r\n]|\.\.", header)


def test_the_filters_the_sort_and_nothing_else_decide_what_is_in_it(page: Client, account: Account) -> None:
    booking = make_booking(account)
    now = timezone.now()
    for at, text in enumerate(("first 482913", "second", "third 482913")):
        make_sms(booking, text, received_at=now - timedelta(minutes=9 - at))
    assert texts_of(page.post(PATH)) == ["third 482913", "second", "first 482913"]
    assert texts_of(page.post(PATH + "?code=1&sort=oldest")) == ["first 482913", "third 482913"]
    assert texts_of(page.post(PATH + "?q=second")) == ["second"]
    assert texts_of(page.post(PATH + "?q=nothing")) == []
    # A place in the list is no filter; what cannot be read narrows nothing; the form's own fields neither.
    assert len(texts_of(page.post(PATH + "?after=x&before=y&back=z&v=1&from=never&sort=%00", {"q": "second"}))) == 3


@pytest.mark.parametrize("query", ["", "&q=wanted", "&code=1&q=wanted"])
@pytest.mark.parametrize("accounts", [1, 2])
@pytest.mark.parametrize("sort", ["newest", "oldest"])
def test_chunks_put_together_are_what_the_filters_find(
    page: Client, account: Account, manager: User, monkeypatch: pytest.MonkeyPatch, sort: str, accounts: int, query: str
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 4)
    made = []
    for each in [account, *(make_account() for _ in range(accounts - 1))]:
        Membership.objects.get_or_create(user=manager, account=each, defaults={"role": "manager"})
        booking = make_booking(each)
        for at in range(15):
            make_sms(booking, "another", received_at=timezone.now() - timedelta(hours=at))
            made.append(make_sms(booking, f"wanted 482913 {at}", received_at=timezone.now() - timedelta(hours=at)))
    found = [row["Text"] for row in rows_of(page.post(f"{PATH}?sort={sort}{query}"))]
    wanted = sorted(made, key=lambda sms: (sms.received_at, sms.pk), reverse=sort == "newest")
    assert [text for text in found if text != "another"] == [sms.text for sms in wanted]
    assert len(found) == (2 if not query else 1) * len(made)


@pytest.mark.parametrize("sort", ["newest", "oldest"])
def test_chunks_leave_nothing_out_and_double_nothing_while_rows_arrive(
    page: Client, account: Account, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 7)
    booking = make_booking(account)
    same = timezone.now() - timedelta(hours=1)
    made = [make_sms(booking, f"m{at}", received_at=same).pk for at in range(23)]
    response: Any = page.post(f"{PATH}?sort={sort}")

    async def read() -> str:
        content = b""
        async for part in response.streaming_content:
            content += part
            await arrive()
        return content.decode().removeprefix(BOM)

    @exporting.sync_to_async
    def arrive() -> None:
        for at in (same - timedelta(minutes=1), same, timezone.now()):
            make_sms(booking, "meanwhile", received_at=at)

    rows = list(csv.DictReader(io.StringIO(async_to_sync(read)(), newline="")))
    texts = [row["Text"] for row in rows]
    assert texts == [f"m{at}" for at in (range(23) if sort == "oldest" else range(22, -1, -1))]
    assert len(made) == len(rows)


def test_each_chunk_costs_the_same_few_queries_of_any_length(
    page: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 10)
    booking = make_booking(account)
    for at in range(40):
        make_sms(booking, received_at=timezone.now() - timedelta(minutes=at))
    response = page.post(PATH)
    with CaptureQueriesContext(connection) as captured:
        assert len(parts_of(response)) == 6
    statements = [query["sql"] for query in captured.captured_queries]
    reads = [sql for sql in statements if 'FROM "dashboard_sms"' in sql]
    assert len(reads) == 5
    before_the_record = next(at for at, sql in enumerate(statements) if "audit" in sql or "SAVEPOINT" in sql)
    assert before_the_record == 5 * CHUNK_QUERIES
    assert whole_reads(reads) == []


def test_controls_and_directions_of_strangers_are_shown_as_signs(page: Client, account: Account) -> None:
    make_sms(make_booking(account), "a\x1b[31mb\u202ec", sender="x\x07")
    (row,) = rows_of(page.post(PATH))
    assert row["Text"] == "a[U+001B][31mb[U+202E]c"
    assert row["Sender"] == "x[U+0007]"


def test_a_message_without_a_booking_is_in_it_too(page: Client, account: Account) -> None:
    make_sms(make_booking(account), "orphan")
    Sms.objects.update(booking=None)
    (row,) = rows_of(page.post(PATH))
    assert (row["Text"], row["Booking"], row["Country"], row["Assigned to"]) == ("orphan", "", "", "")


# --- no cell can run

SIGNS = "=+-@\t\r\n＝＋－＠﹣−‐–"
TRICKS = ["", " ", '"', "'", ' "', "\u00a0", "\u200b", "\ufeff", "“", "\u3000'\""]
CELLS = st.one_of(
    st.text(max_size=60),
    st.builds(
        lambda trick, sign, rest: trick + sign + rest,
        st.sampled_from(TRICKS),
        st.sampled_from(SIGNS),
        st.text(max_size=20),
    ),
    st.text(alphabet="=+-@\t\r\n\"', ;|\u200bａ1", max_size=12),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=3))
@example([["=1+1", "+49", "-1", "@x", "\t=1", "\r=1", '"=1', "＝1", "", "plain"]])
def test_no_cell_begins_a_formula_and_the_file_reads_back_whole(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_rows(rows), newline=""), strict=True))
    assert [len(row) for row in read] == [len(row) for row in rows]
    for row, shown in zip(rows, read, strict=True):
        for text, cell in zip(row, shown, strict=True):
            assert cell in (text, "'" + text)
            assert not cell.startswith(tuple(SIGNS))
            head = cell.lstrip(" \"'\u00a0\u200b\ufeff\u3000“")
            assert cell.startswith("'") or not head.startswith(tuple(SIGNS))


@pytest.mark.parametrize(
    "text", ["Your code is 1", "482913", "G-482913", "", "'quoted'", '"quoted"', "Привет", "#1", "[WeChat] 1"]
)
def test_an_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


def test_hostile_messages_come_out_inert(page: Client, account: Account) -> None:
    booking = make_booking(account, note="@SUM(1)", labels="-1, b")
    for text in ("=cmd|' /C calc'!A0", '"=1+1', " +1", "＝HYPERLINK(1)", "a\r\n=1", "\t=1"):
        make_sms(booking, text, sender="=1", code="")
    for row in rows_of(page.post(PATH)):
        assert row["Sender"] == "'=1"
        assert row["Note"] == "'@SUM(1)"
        assert row["Labels"] == "'-1, b"
        assert row["Text"].startswith(("'", "a\n"))
