"""Pages by keyset: nothing twice, nothing left out, whatever arrives meanwhile and whatever the URL says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.models import Account, Order, Product, Sms, User
from dashboard.views.paging import Page, Sort, count_up_to, first_rows, page_of, without

from .factories import make_account, make_booking, make_order, make_product, make_sms
from .query_plans import sorts, whole_reads

NEWEST = (Sort("newest", "Newest", "received_at"), Sort("oldest", "Oldest", "received_at", descending=False))


def query(link: str) -> QueryDict:
    return QueryDict(link.removeprefix("?"))


def pages(rows: Any, start: str = "", size: int = 7, way: str = "older") -> Iterator[Page]:
    link: str | None = start
    while link is not None:
        page = page_of(rows, query(link), NEWEST, size)
        yield page
        link = getattr(page, way) or None


@pytest.fixture
def messages(account: Account) -> list[Sms]:
    """40 messages, many of the same second, newest first."""
    booking = make_booking(account)
    now = timezone.now()
    made = [make_sms(booking, received_at=now - timedelta(seconds=at // 4)) for at in range(40)]
    return sorted(made, key=lambda sms: (sms.received_at, sms.pk), reverse=True)


def test_every_row_is_on_exactly_one_page_in_both_directions(account: Account, messages: list[Sms]) -> None:
    rows = Sms.objects.of_accounts([account.pk])
    there = list(pages(rows))
    assert [sms.pk for page in there for sms in page.rows] == [sms.pk for sms in messages]
    assert [len(page.rows) for page in there] == [7, 7, 7, 7, 7, 5]
    back = list(pages(rows, there[-1].newer, way="newer"))
    assert [page.rows for page in back] == [page.rows for page in there[-2::-1]]
    assert back[-1].is_first
    assert [page.is_first for page in there] == [True, False, False, False, False, False]


def test_the_other_way_round_the_pages_hold_the_same_rows(account: Account, messages: list[Sms]) -> None:
    there = list(pages(Sms.objects.of_accounts([account.pk]), "?sort=oldest"))
    assert [sms.pk for page in there for sms in page.rows] == [sms.pk for sms in reversed(messages)]


def test_rows_that_arrive_meanwhile_shift_no_page(account: Account, messages: list[Sms]) -> None:
    rows = Sms.objects.of_accounts([account.pk])
    first = page_of(rows, query(""), NEWEST, 7)
    make_sms(make_booking(account))
    assert page_of(rows, query(first.older), NEWEST, 7).rows == messages[7:14]


def test_going_back_to_the_top_shows_the_first_page_whole(account: Account, messages: list[Sms]) -> None:
    rows = Sms.objects.of_accounts([account.pk])
    second = page_of(rows, query(page_of(rows, query("?q=x"), NEWEST, 7).older), NEWEST, 7)
    newest = make_sms(make_booking(account))
    first_again = page_of(rows, query(second.newer), NEWEST, 7)
    assert first_again.rows == messages[:7]
    top = page_of(rows, query(first_again.newer), NEWEST, 7)
    assert top.rows == [newest, *messages[:6]]
    assert top.is_first
    assert top.older.startswith("?q=x&after=")


def test_links_keep_the_filters_and_drop_what_is_empty(account: Account, messages: list[Sms]) -> None:
    rows = Sms.objects.of_accounts([account.pk])
    older = page_of(rows, query("?q=a%22%3Cb&code=&v=abc"), NEWEST, 7).older
    assert older.startswith("?q=a%22%3Cb&after=")
    assert set(query(older)) == {"q", "after"}
    assert page_of(rows, query(older), NEWEST, 7).first == "?q=a%22%3Cb"


def cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "x", "%%%", "a" * 5000, cursor(), cursor("newest"), cursor("newest", "2026-01-01", 1),
        cursor("newest", "0001-01-01T00:00:00+14:00", 1), cursor("newest", "9999-12-31T23:59:59-14:00", 1),
        cursor("newest", 5, 1), cursor("newest", "2026-01-01T00:00:00+00:00", 2**70),
        cursor("newest", "2026-01-01T00:00:00+00:00", True), cursor("newest", "2026-01-01T00:00:00+00:00", "1"),
        cursor("oldest", "2026-01-01T00:00:00+00:00", 1), cursor("newest", "\x00", 1), cursor({"a": 1}),
        base64.urlsafe_b64encode(b"[" * 600).decode(), base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)  # fmt: skip
def test_a_cursor_that_cannot_be_read_is_the_first_page(account: Account, messages: list[Sms], text: str) -> None:
    for name in ("after", "before"):
        given_query = QueryDict(mutable=True)
        given_query[name] = text
        page = page_of(Sms.objects.of_accounts([account.pk]), given_query, NEWEST, 7)
        assert page.rows == messages[:7]


def test_half_a_surrogate_in_a_cursor_is_the_first_page(account: Account) -> None:
    make_product(account)
    by_country = (Sort("country", "Country", "country", descending=False, then="service"),)
    for values in (("\ud800", "x"), ("x", "\udfff")):
        given_query = QueryDict(mutable=True)
        given_query["after"] = cursor("country", *values, 1)
        assert page_of(Product.objects.of_accounts([account.pk]), given_query, by_country).is_first


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=10))
def test_no_query_string_is_an_error(db: None, after: str, before: str, sort: str) -> None:
    given_query = QueryDict(mutable=True)
    given_query.update({"after": after, "before": before, "sort": sort})
    assert page_of(Sms.objects.of_accounts([1, 2]), given_query, NEWEST).sort in NEWEST


def test_rows_without_a_value_are_left_out_of_that_order(account: Account) -> None:
    priced, _ = make_order(account, price_usd=3), make_order(account, price_usd=None)
    by_price = (Sort("dearest", "Dearest", "price_usd", nullable=True),)
    assert page_of(Order.objects.of_accounts([account.pk]), query(""), by_price).rows == [priced]


@pytest.fixture
def two_accounts(account: Account, messages: list[Sms]) -> list[Sms]:
    """The messages of two accounts mixed, and a third account of which nothing may be seen."""
    other, foreign = make_account("Other"), make_account("Foreign")
    now = timezone.now()
    theirs = make_booking(other)
    more = [make_sms(theirs, received_at=now - timedelta(seconds=at)) for at in range(20)]
    for at in range(20):
        make_sms(make_booking(foreign), received_at=now - timedelta(seconds=at))
    return sorted([*messages, *more], key=lambda sms: (sms.received_at, sms.pk), reverse=True)


def test_of_several_accounts_the_pages_are_the_same_list(account: Account, two_accounts: list[Sms]) -> None:
    ids = sorted({sms.account_id for sms in two_accounts})
    there = list(pages(Sms.objects.of_accounts(ids)))
    assert [sms.pk for page in there for sms in page.rows] == [sms.pk for sms in two_accounts]
    back = list(pages(Sms.objects.of_accounts(ids), there[-1].newer, way="newer"))
    assert [page.rows for page in back] == [page.rows for page in there[-2::-1]]


def test_of_several_accounts_filters_and_joined_columns_stay(account: Account, two_accounts: list[Sms]) -> None:
    ids = sorted({sms.account_id for sms in two_accounts})
    rows = Sms.objects.of_accounts(ids).exclude(pk=two_accounts[0].pk).for_list()
    page = page_of(rows, query(""), NEWEST, 5)
    assert [row.id for row in page.rows] == [sms.pk for sms in two_accounts[1:6]]
    assert page.rows[0].booking__country == "Germany"


@pytest.mark.parametrize("accounts", [1, 2, 3])
def test_a_page_is_one_query_that_reads_by_index(
    two_accounts: list[Sms], accounts: int, django_assert_num_queries: Any
) -> None:
    ids = tuple(Account.objects.order_by("pk").values_list("pk", flat=True)[:accounts])
    rows = Sms.objects.of_accounts(ids).for_list()
    older = page_of(rows, query(""), NEWEST, 5).older
    for link in ("", older, "?sort=oldest"):
        with django_assert_num_queries(1) as captured:
            page_of(rows, query(link), NEWEST, 5)
        statements = [each["sql"] for each in captured.captured_queries]
        assert whole_reads(statements) == []
        if accounts == 1:
            assert sorts(statements) == []


def test_nobody_without_an_account_gets_a_row(stranger: User, messages: list[Sms]) -> None:
    assert page_of(Sms.objects.visible_to(stranger), query(""), NEWEST).rows == []
    assert first_rows(Sms.objects.visible_to(stranger), ("-received_at",), 5) == []


def test_conditions_that_hold_for_no_row_give_none(two_accounts: list[Sms]) -> None:
    rows = Sms.objects.of_accounts({sms.account_id for sms in two_accounts}).filter(pk__in=[])
    assert page_of(rows, query(""), NEWEST).rows == []


def test_the_first_rows_of_accounts_are_those_of_all(two_accounts: list[Sms]) -> None:
    ids = sorted({sms.account_id for sms in two_accounts})
    assert first_rows(Sms.objects.of_accounts(ids), ("-received_at", "-id"), 9) == two_accounts[:9]


def test_counting_stops_at_the_limit(account: Account, messages: list[Sms]) -> None:
    rows = Sms.objects.of_accounts([account.pk])
    assert count_up_to(rows) == "40"
    assert count_up_to(rows, 40) == "40"
    assert count_up_to(rows, 39) == "39+"


def test_without_drops_names_and_what_is_empty() -> None:
    assert without(QueryDict("a=1&b=2&c=+&d=3"), "b").urlencode() == "a=1&d=3"
