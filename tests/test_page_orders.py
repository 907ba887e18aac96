"""Orders and an order: search, spans of days, sorts, bookings by one query, access, cost."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from dashboard.live import topics
from dashboard.models import Account, Membership, Order

from .factories import make_booking, make_order, make_purchase, make_sms
from .query_plans import statements_of, whole_reads


@pytest.fixture
def page(client: Client, operator: Any) -> Client:
    client.force_login(operator)
    return client


def shown(response: Any) -> list[int]:
    return [int(pk) for pk in re.findall(r'<tr id="order-(\d+)"', response.content.decode())]


def test_an_order_is_listed_with_the_first_of_its_bookings(page: Client, account: Account) -> None:
    order = make_order(account, price_usd=Decimal("12.50"))
    for service in ("WhatsApp", "Telegram", "Discord"):
        make_booking(account, order=order, service=service)
    content = page.get("/orders/").content.decode()
    assert shown(page.get("/orders/")) == [order.pk]
    assert f"#{order.remote_id}" in content
    assert "WhatsApp" in content
    assert "Telegram" in content
    assert "Discord" not in content
    assert "and 1 more" in content
    assert "$12.50" in content


def test_an_order_whose_bookings_come_later_says_so(page: Client, account: Account) -> None:
    order = make_order(account, ordered_at=None, price_usd=None)
    assert "No booking seen yet" in page.get("/orders/").content.decode()
    assert "appear here by themselves" in page.get(f"/orders/{order.pk}/").content.decode()


def test_an_empty_list_says_what_will_happen(page: Client) -> None:
    assert "No orders yet" in page.get("/orders/").content.decode()


def test_ours_show_who_bought_and_for_what_the_others_are_external(
    page: Client, operator: Any, account: Account
) -> None:
    mine, other = make_order(account), make_order(account)
    make_purchase(account, operator, order=mine, status="confirmed", note="Support <line>")
    content = page.get("/orders/").content.decode()
    row = {pk: content.split(f'id="order-{pk}"')[1].split("</tr>")[0] for pk in (mine.pk, other.pk)}
    assert "operator" in row[mine.pk]
    assert "Support &lt;line&gt;" in row[mine.pk]
    assert "external" not in row[mine.pk]
    assert "external" in row[other.pk]
    assert shown(page.get("/orders/?q=support")) == [mine.pk]
    assert "Support &lt;line&gt;" in page.get(f"/orders/{mine.pk}/").content.decode()
    assert "elsewhere with this account" in page.get(f"/orders/{other.pk}/").content.decode()


def _three(account: Account) -> dict[str, Order]:
    orders = {
        "old": make_order(account, remote_id=5001, ordered_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC), price_usd=3),
        "mid": make_order(account, remote_id=5002, ordered_at=datetime(2026, 3, 2, 12, 0, tzinfo=UTC), price_usd=9),
        "new": make_order(account, remote_id=5003, ordered_at=datetime(2026, 3, 3, 12, 0, tzinfo=UTC), price_usd=1),
    }
    make_booking(account, order=orders["old"], number="+420734118902", service="Google, Gmail")
    make_booking(account, order=orders["mid"], number="+491523447719", service="WhatsApp")
    make_booking(account, number="+491523447719", service="Loose", order=None)
    return orders


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=5002", {"mid"}),
        ("q=%2B420+734+118+902", {"old"}),
        ("q=734118", {"old"}),
        ("q=gmail", {"old"}),
        ("q=loose", set()),
        ("from=2026-03-02", {"mid", "new"}),
        ("to=2026-03-01", {"old"}),
        ("from=2026-03-02&to=2026-03-02", {"mid"}),
        ("price_from=3", {"old", "mid"}),
        ("price_from=2&price_to=5", {"old"}),
    ],
)
def test_filters_of_the_url_narrow_the_list(page: Client, account: Account, query: str, expected: set[str]) -> None:
    orders = _three(account)
    assert set(shown(page.get(f"/orders/?{query}"))) == {orders[name].pk for name in expected}


def test_a_day_is_a_day_of_the_persons_zone(page: Client, operator: Any, account: Account) -> None:
    orders = _three(account)
    operator.time_zone = "Europe/Berlin"
    operator.save()
    assert shown(page.get("/orders/?from=2026-03-02&to=2026-03-02")) == [orders["mid"].pk, orders["old"].pk]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("newest", ["new", "mid", "old"]),
        ("oldest", ["old", "mid", "new"]),
        ("dearest", ["mid", "old", "new"]),
        ("bad", ["new", "mid", "old"]),
    ],
)
def test_the_list_is_sorted_as_the_url_says(page: Client, account: Account, sort: str, expected: list[str]) -> None:
    orders = _three(account)
    assert shown(page.get(f"/orders/?sort={sort}")) == [orders[name].pk for name in expected]


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-13-45&to=yesterday",
        "from=0001-01-01&to=9999-12-31",
        "q=99999999999999999999999",
        "q=%00&price_from=%F0%9F%98%80",
        "q=%C2%B2%C2%B3",
        "after=bm90IGEgY3Vyc29y&before=x",
    ],
)
def test_a_malformed_filter_is_no_error(page: Client, account: Account, query: str) -> None:
    make_booking(account, order=make_order(account))
    assert page.get(f"/orders/?{query}").status_code == 200
    assert page.get(f"/panels/orders/?{query}").status_code == 200


def test_an_order_shows_its_bookings_and_their_codes(page: Client, account: Account) -> None:
    order = make_order(account)
    booking = make_booking(account, order=order, number="+4915234000001")
    make_sms(booking)
    other = make_booking(account, order=make_order(account), number="+4915234000002")
    content = page.get(f"/orders/{order.pk}/").content.decode()
    assert f'href="/bookings/{booking.pk}/"' in content
    assert 'data-copy="482913"' in content
    assert f"/bookings/{other.pk}/" not in content


def test_an_order_moves_by_itself_when_an_sms_came(page: Client, account: Account) -> None:
    order = make_order(account)
    make_booking(account, order=order)
    url = re.search(r'hx-get="(/panels/order/[^"]+)"', page.get(f"/orders/{order.pk}/").content.decode())
    assert url is not None
    assert page.get(url[1]).status_code == 204
    topics.touch(account.pk, topics.SMS)
    assert page.get(url[1]).status_code == 200


def test_everybody_sees_their_accounts_only(
    client: Client, account: Account, admin: Any, manager: Any, operator: Any, viewer: Any, stranger: Any
) -> None:
    order = make_order(account)
    make_booking(account, order=order, number="+4915234000001")
    for path in ("/orders/", f"/orders/{order.pk}/", "/panels/orders/", f"/panels/order/{order.pk}/"):
        assert client.get(path).status_code == 302
    for person in (admin, manager, operator, viewer):
        client.force_login(person)
        assert shown(client.get("/orders/")) == [order.pk]
        assert client.get(f"/orders/{order.pk}/").status_code == 200
    client.force_login(stranger)
    assert shown(client.get("/orders/")) == []
    assert shown(client.get("/orders/?q=4915234000001")) == []
    assert client.get(f"/orders/{order.pk}/").status_code == 404
    assert client.get(f"/panels/order/{order.pk}/").status_code == 404


def test_the_search_does_not_look_into_accounts_of_others(
    page: Client, account: Account, foreign_account: Account
) -> None:
    foreign = make_order(foreign_account)
    make_booking(foreign_account, order=foreign, service="Elsewhere only")
    assert shown(page.get("/orders/?q=elsewhere")) == []
    assert shown(page.get(f"/orders/?q={foreign.remote_id}&account={foreign_account.pk}")) == []


def test_the_cost_does_not_grow_with_the_rows(page: Client, account: Account) -> None:
    for _ in range(10):
        make_booking(account, order=make_order(account))
    few = len(statements_of(page, "/panels/orders/"))
    whole_page = len(statements_of(page, "/orders/"))
    for _ in range(50):
        order = make_order(account)
        make_booking(account, order=order)
        make_booking(account, order=order)
    # Session, person, memberships, versions; then orders, their bookings and purchases, and the count.
    assert len(statements_of(page, "/panels/orders/")) == few == 8
    assert len(statements_of(page, "/orders/")) == whole_page


def test_the_cost_of_an_order_does_not_grow_with_its_bookings(page: Client, account: Account) -> None:
    order = make_order(account)
    make_booking(account, order=order)
    few = len(statements_of(page, f"/panels/order/{order.pk}/"))
    for _ in range(15):
        make_sms(make_booking(account, order=order))
    # …; the order, its bookings, its purchase, and the product that is alike.
    assert len(statements_of(page, f"/panels/order/{order.pk}/")) == few == 8


def test_no_query_reads_a_whole_table(page: Client, operator: Any, account: Account, foreign_account: Account) -> None:
    order = make_order(account)
    make_booking(account, order=order)
    urls = [
        "/orders/",
        "/orders/?sort=oldest",
        "/orders/?sort=dearest&price_from=1&from=2026-01-01&to=2027-01-01",
        "/orders/?q=49152",
        f"/orders/{order.pk}/",
    ]
    for _ in range(2):
        for url in urls:
            assert whole_reads(statements_of(page, url)) == []
        Membership.objects.get_or_create(user=operator, account=foreign_account)
