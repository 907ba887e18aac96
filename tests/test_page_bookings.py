"""Bookings and a booking: what runs, waits and has ended, search, thread, relatives, gaps, access, cost."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Account, Booking, Country, SmsGap, User

from .factories import make_account, make_booking, make_order, make_sms
from .query_plans import sorts, statements_of, whole_reads

# Session, person, accounts seen, versions, next end, bookings, accounts, sync rows, countries, services.
LIST_QUERIES = 11
# Session, person, accounts seen, booking, versions, messages, extended by, extends, gaps, accounts, sync rows.
BOOKING_QUERIES = 14


@pytest.fixture
def page(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def shown(response: Any) -> list[int]:
    assert response.status_code == 200
    return [int(pk) for pk in re.findall(r'<li class="brow[^"]*" id="booking-(\d+)"', response.content.decode())]


@pytest.fixture
def four(account: Account) -> dict[str, Booking]:
    now = timezone.now()
    ended = {"starts_at": now - timedelta(days=2), "ends_at": now - timedelta(days=1), "state": "Ended"}
    bookings = {
        "ended": make_booking(account, remote_id=1001, number="+420734118902", country="CzechRepublic", **ended),
        "rental": make_booking(
            account, remote_id=1002, rental_type="RentalFull", service="", ends_at=now + timedelta(days=20),
            duration_minutes=43_200,
        ),
        "waiting": make_booking(account, remote_id=1003, number="+4915234477190", service="Telegram"),
        "coded": make_booking(account, remote_id=1004, ends_at=now + timedelta(minutes=2)),
    }  # fmt: skip
    make_sms(bookings["coded"])
    make_sms(bookings["rental"], "Hallo, ist der Kinderwagen noch da?")
    return bookings


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["coded", "waiting", "rental", "ended"]),
        ("sort=oldest", ["ended", "rental", "waiting", "coded"]),
        ("show=running", ["coded", "waiting", "rental"]),
        ("show=running&sort=newest", ["coded", "waiting", "rental"]),
        ("show=running&sort=oldest", ["rental", "waiting", "coded"]),
        ("show=waiting", ["waiting"]),
        ("show=ended", ["ended"]),
        ("show=nonsense&sort=nonsense&after=nonsense", ["coded", "waiting", "rental", "ended"]),
        ("type=RentalFull", ["rental"]),
        ("type=Novelty", []),
        ("country=CzechRepublic", ["ended"]),
        ("service=Telegram", ["waiting"]),
        ("q=telegr", ["waiting"]),
        ("q=%2B420 734 118 902", ["ended"]),
        ("q=734-118", ["ended"]),
        ("q=1003", ["waiting"]),
        ("q=%00", ["coded", "waiting", "rental", "ended"]),
        ("q=99999999999999999999999", []),
    ],
)
def test_the_url_narrows_and_sorts_the_list(
    page: Client, four: dict[str, Booking], query: str, expected: list[str]
) -> None:
    assert shown(page.get(f"/bookings/?{query}")) == [four[name].pk for name in expected]


def test_a_row_says_what_one_wants_to_know(page: Client, four: dict[str, Booking]) -> None:
    content = page.get("/bookings/").content.decode()
    assert "+420 734 118 902" in content
    assert 'data-copy="+420734118902"' in content
    assert "Activation · Czech Republic" in content
    assert "Every service<small>Full SIM, 30 days · Germany" in content
    assert 'data-copy="482913"' in content
    for words in ("Waiting for SMS", "Code in", "SMS in", "Ended"):
        assert words in content
    assert content.count("data-ends=") == 3
    assert 'class="left warn"' in content
    # The ended one counts nothing down.
    assert re.search(r'class="brow past" id="booking-\d+"', content)


def test_states_and_types_that_are_new_to_us_are_shown_as_they_came(page: Client, account: Account) -> None:
    booking = make_booking(account, state="Suspended <b>", rental_type="Novelty <i>", number="", service="")
    for path in ("/bookings/", f"/bookings/{booking.pk}/"):
        content = page.get(path).content.decode()
        assert "Suspended &lt;b&gt;" in content
        assert "Novelty &lt;i&gt;" in content
        assert "No number yet" in content


def test_a_booking_without_times_is_shown(page: Client, account: Account) -> None:
    booking = make_booking(
        account, starts_at=None, ends_at=None, duration_minutes=None, price_usd=None, state="Pending"
    )
    assert "no end set" in page.get("/bookings/?show=running").content.decode()
    content = page.get(f"/bookings/{booking.pk}/").content.decode()
    assert "The provider named no end." in content
    assert "Pending" in content


def test_the_form_offers_what_there_is_and_keeps_what_is_chosen(
    page: Client, account: Account, four: dict[str, Booking]
) -> None:
    Country.objects.create(account=account, remote_id=67, name="CzechRepublic")
    query = "show=running&type=Novelty&country=CzechRepublic&service=Gone&sort=newest&q=x"
    content = page.get(f"/bookings/?{query}").content.decode()
    for piece in (
        '<option value="CzechRepublic" selected>Czech Republic</option>', '<option value="Novelty" selected>',
        "<option selected>Gone</option>", "<option>Telegram</option>", '<option value="newest" selected>',
        'value="running" checked', 'href="/bookings/">Clear</a>',
    ):  # fmt: skip
        assert piece in content, piece


def test_fifty_stand_on_a_page_and_the_rest_behind_it(page: Client, account: Account) -> None:
    made = [make_booking(account, ends_at=timezone.now() + timedelta(minutes=at + 1)).pk for at in range(60)]
    first = page.get("/bookings/?show=running")
    assert shown(first) == made[:50]
    more = unescape(re.search(r'href="(/bookings/\?[^"]*after=[^"]*)"', first.content.decode()).group(1))  # type: ignore[union-attr]
    assert shown(page.get(more)) == made[50:]


@pytest.mark.parametrize(
    ("show", "words"),
    [
        ("all", "No bookings yet"),
        ("running", "No number runs now"),
        ("waiting", "No number waits"),
        ("ended", "No booking has ended"),
    ],
)
def test_an_empty_list_says_what_to_do(page: Client, show: str, words: str) -> None:
    assert words in page.get(f"/bookings/?show={show}").content.decode()
    assert "No booking matches" in page.get(f"/bookings/?show={show}&q=x").content.decode()


def test_a_booking_shows_number_time_price_order_and_account(page: Client, account: Account) -> None:
    order = make_order(account)
    booking = make_booking(account, order=order, number="+420734118902", country="CzechRepublic")
    content = page.get(f"/bookings/{booking.pk}/").content.decode()
    assert "<title>+420 734 118 902 · " in content
    assert 'data-copy="+420734118902"' in content
    assert f'href="/orders/{order.pk}/"' in content
    assert "$1.43" in content
    assert "<dd>Shop</dd>" in content
    assert f">{booking.remote_id}</code>" in content
    assert "<b>No SMS yet,</b>" in content
    assert "data-left>1" in content


def test_extensions_lead_to_each_other(page: Client, account: Account, foreign_account: Account) -> None:
    first = make_booking(account, remote_id=500)
    later = [make_booking(account, remote_id=500 + at, extends=500) for at in (1, 2)]
    # Ids are the provider's own: another account may hold the same.
    make_booking(foreign_account, remote_id=503, extends=500)
    content = page.get(f"/bookings/{first.pk}/").content.decode()
    assert re.findall(r'<dt>Extended by</dt><dd><a href="/bookings/(\d+)/">booking (\d+)', content) == [
        (str(booking.pk), str(booking.remote_id)) for booking in later
    ]
    content = page.get(f"/bookings/{later[0].pk}/").content.decode()
    assert f'<dt>Extends</dt><dd><a href="/bookings/{first.pk}/">booking 500</a>' in content
    orphan = make_booking(account, remote_id=600, extends=599)
    assert "<dd>booking 599</dd>" in page.get(f"/bookings/{orphan.pk}/").content.decode()


def test_messages_that_may_be_missing_are_told(page: Client, account: Account, foreign_account: Account) -> None:
    booking = make_booking(account)
    now = timezone.now()
    minute = timedelta(minutes=1)
    path = f"/bookings/{booking.pk}/"
    SmsGap.objects.create(account=account, from_at=now - 90 * minute, to_at=now - 80 * minute)
    SmsGap.objects.create(account=account, from_at=now - 3 * minute, to_at=now, closed_at=now)
    SmsGap.objects.create(account=foreign_account, from_at=now - 3 * minute, to_at=now)
    assert "SMS may be missing" not in page.get(path).content.decode()
    gap = SmsGap.objects.create(account=account, from_at=None, to_at=now - minute)
    assert "they are being fetched" in page.get(path).content.decode()
    SmsGap.objects.filter(pk=gap.pk).update(lost=True, closed_at=now)
    assert "missing for good" in page.get(path).content.decode()


def test_nothing_of_a_foreign_account_is_seen(
    page: Client, account: Account, foreign_account: Account, stranger: User
) -> None:
    mine = make_booking(account)
    foreign = make_booking(foreign_account, service="ForeignService")
    Country.objects.create(account=foreign_account, remote_id=1, name="Atlantis")
    for query in ("", "?q=foreign", f"?q={foreign.remote_id}", f"?account={foreign_account.pk}"):
        for path in ("/bookings/", "/panels/bookings/"):
            assert set(shown(page.get(path + query))) <= {mine.pk}
    content = page.get("/bookings/").content.decode()
    assert "ForeignService" not in content
    assert "Atlantis" not in content
    assert page.get(f"/bookings/{foreign.pk}/").status_code == 404
    page.force_login(stranger)
    assert shown(page.get("/bookings/")) == []
    assert page.get(f"/bookings/{mine.pk}/").status_code == 404


@pytest.mark.parametrize("pk", ["0", str(2**63), "9" * 40])
def test_a_booking_that_is_not_there_is_not_found(page: Client, pk: str) -> None:
    assert page.get(f"/bookings/{pk}/").status_code == 404


def test_who_is_not_signed_in_is_sent_to_the_sign_in(client: Client, db: None) -> None:
    for path in ("/bookings/", "/bookings/1/"):
        assert client.get(path).headers["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("query", ["", "?show=running", "?show=ended", "?q=1"])
def test_the_list_costs_the_same_queries_whatever_there_is(page: Client, account: Account, query: str) -> None:
    counts = []
    for rows in (10, 50):
        for _ in range(rows):
            make_sms(make_booking(account))
        counts.append(len(statements_of(page, "/bookings/" + query)))
    assert counts[0] == counts[1]
    assert counts[0] <= LIST_QUERIES


def test_a_booking_costs_the_same_queries_whatever_it_has(page: Client, account: Account) -> None:
    booking = make_booking(account, remote_id=700, extends=699)
    counts = []
    for rows in (10, 50):
        for at in range(rows):
            make_sms(booking)
            make_booking(account, remote_id=10_000 + rows * 100 + at, extends=700)
        counts.append(len(statements_of(page, f"/bookings/{booking.pk}/")))
    assert counts[0] == counts[1]
    assert counts[0] <= BOOKING_QUERIES


@pytest.mark.parametrize("accounts", [1, 3])
@pytest.mark.parametrize("query", ["", "?show=running", "?show=ended", "?show=waiting", "?q=12", "{pk}/"])
def test_no_table_is_read_whole(page: Client, account: Account, viewer: User, accounts: int, query: str) -> None:
    all_accounts = [account]
    for _ in range(accounts - 1):
        all_accounts.append(make_account())
        all_accounts[-1].memberships.create(user=viewer, role="viewer")
    for each in all_accounts:
        for at in range(100):
            past = timezone.now() - timedelta(hours=at)
            booking = make_booking(each, ends_at=past, state="Ended") if at > 20 else make_booking(each)
            make_sms(booking)
    statements = statements_of(page, "/bookings/" + query.format(pk=booking.pk))
    assert whole_reads(statements) == []
    if accounts == 1:
        assert sorts(statements) == []
