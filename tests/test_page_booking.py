"""A booking's page as a conversation: its order and days, what is waited for, how it ended, long threads, cost."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Account, Booking, BookingChange, Purchase, Sms, User
from dashboard.views import paging

from .factories import make_booking, make_product, make_purchase, make_sms
from .query_plans import sorts, statements_of, whole_reads

# Session, person, accounts seen, booking, versions, changes, purchases, messages, relatives (2), gaps, accounts, sync
# rows; where it has ended: what is like it.
QUERIES = 14
MINUTE = timedelta(minutes=1)


@pytest.fixture
def page(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def shown(content: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'<li id="sms-(\d+)"', content)]


def content_of(page: Client, booking: Booking, query: str = "") -> str:
    response = page.get(f"/bookings/{booking.pk}/{query}")
    assert response.status_code == 200
    return response.content.decode()


def ending_of(page: Client, booking: Booking) -> str:
    """The end of the conversation as text, with the addresses of what it offers."""
    found = re.search(r'<div class="ending.*?</div>', content_of(page, booking), re.DOTALL)
    assert found
    text = re.sub(r'<a [^>]*href="([^"]*)"[^>]*>', r"[\1] ", found.group())
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", text).split()))


def ended(account: Account, **fields: Any) -> Booking:
    now = timezone.now()
    past = {"starts_at": now - 40 * MINUTE, "ends_at": now - 20 * MINUTE, "state": "Ended"}
    return make_booking(account, **past | fields)


def change(booking: Booking, user: User, kind: str = "cancel", **fields: Any) -> BookingChange:
    return BookingChange.objects.create(
        account=booking.account, booking=booking, kind=kind, requested_by=user, **fields
    )


# --- the conversation


def test_messages_stand_newest_first_under_their_days_and_a_sender_is_named_once(
    page: Client, account: Account, operator: User
) -> None:
    operator.time_zone = "Asia/Tokyo"
    operator.save()
    booking = make_booking(account)
    # 15:30 UTC is the next day in Tokyo.
    times = [
        datetime(2025, 3, day, hour, 30, 7, tzinfo=UTC) for day, hour in ((7, 14), (7, 15), (7, 16), (8, 1), (8, 2))
    ]
    senders = ("Google", "Google", "Google", "+491712280031", "Google")
    made = [make_sms(booking, received_at=at, sender=sender) for at, sender in zip(times, senders, strict=True)]
    content = content_of(page, booking)
    assert shown(content) == [sms.pk for sms in reversed(made)]
    assert re.findall(r'<h3 class="day">([^<]*)</h3>', content) == ["Saturday, 8 March 2025", "Friday, 7 March 2025"]
    same = [bool(text) for text in re.findall(r'data-row( class="same")?>', content)]
    # A new day names the sender anew, and so does somebody else between.
    assert same == [False, False, False, True, False]
    assert content.count("<bdi>Google</bdi>") == 4
    assert '<time datetime="2025-03-07T15:30:07Z" data-rel="exact">00:30:07</time>' in content
    assert "5 received, newest first" in content


def test_only_the_messages_of_the_booking_are_in_it(page: Client, account: Account) -> None:
    booking = make_booking(account)
    mine = make_sms(booking)
    make_sms(make_booking(account, number=booking.number), "of another booking")
    assert shown(content_of(page, booking)) == [mine.pk]


def test_the_newest_code_stands_large_above_and_is_the_first_to_be_copied(page: Client, account: Account) -> None:
    booking = make_booking(account)
    make_sms(booking, "old 482913", received_at=timezone.now() - MINUTE, code="111111")
    make_sms(booking, "new 482913")
    content = content_of(page, booking)
    first = re.search(r'<button class="([^"]*)"[^>]*data-copy="(\d+)" data-code', content)
    assert first
    assert first.groups() == ("code big", "482913")


# --- what is waited for


def test_a_waiting_activation_counts_down_and_offers_its_money_back(page: Client, account: Account) -> None:
    booking = make_booking(account, ends_at=timezone.now() + timedelta(minutes=12, seconds=41, milliseconds=900))
    cancel = f"[/bookings/{booking.pk}/cancel/] Cancel for $1.43 back"
    assert ending_of(page, booking) == (
        "No SMS yet, 12:41 left Give the number where it is asked for. The SMS shows up here by itself. " + cancel
    )
    content = content_of(page, booking)
    assert re.search(
        r'<div class="ending +" id="ending" data-starts="[^"]+Z" data-ends="[^"]+Z" data-over="0:00">', content
    )
    assert f'hx-get="/bookings/{booking.pk}/cancel/" hx-target="#ask"' in content


@pytest.mark.parametrize(("seconds", "mood"), [(600, ""), (299, "warn"), (89, "end")])
def test_the_countdown_turns_amber_and_red_without_scripts_too(
    page: Client, account: Account, seconds: int, mood: str
) -> None:
    booking = make_booking(account, ends_at=timezone.now() + timedelta(seconds=seconds))
    assert re.search(rf'<div class="ending +{mood}" id="ending"', content_of(page, booking))


def test_behind_a_code_another_one_is_waited_for_and_no_money_is_offered(page: Client, account: Account) -> None:
    booking = make_booking(account, ends_at=timezone.now() + timedelta(minutes=9, milliseconds=900))
    make_sms(booking)
    assert ending_of(page, booking) == "Waiting for another SMS, 9:00 left"
    make_sms(booking, "Hallo, ist der Kinderwagen noch da?")
    assert ending_of(page, booking) == "No code in the newest SMS. Waiting for another, 9:00 left"


def test_a_rental_offers_more_time(page: Client, account: Account) -> None:
    ends = timezone.now() + timedelta(days=20, minutes=1)
    rental = make_booking(account, rental_type="RentalService", duration_minutes=43_200, ends_at=ends)
    make_sms(rental)
    assert ending_of(page, rental) == f"Waiting for another SMS, 20 d left [/bookings/{rental.pk}/extend/] Extend"


def test_what_the_provider_does_not_tell_is_not_made_up(page: Client, account: Account) -> None:
    booking = make_booking(account, starts_at=None, ends_at=None, duration_minutes=None, price_usd=None, number="")
    assert ending_of(page, booking) == (
        f"No number yet The provider named no end. [/bookings/{booking.pk}/cancel/] Cancel, money back"
    )
    assert "data-ends" not in content_of(page, booking)


def test_who_only_reads_is_offered_nothing(client: Client, viewer: User, account: Account) -> None:
    client.force_login(viewer)
    make_product(account)
    for booking in (make_booking(account), ended(account)):
        assert "/" not in re.sub(r"\$1\.43", "", ending_of(client, booking))


# --- what was asked of the provider


def test_a_cancellation_on_its_way_is_told_in_place_of_the_countdown(
    page: Client, account: Account, operator: User
) -> None:
    booking = make_booking(account)
    change(booking, operator, status="sending")
    assert ending_of(page, booking) == "Being cancelled ANOSIM has not confirmed it yet."
    assert 'class="spinner"' in content_of(page, booking)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("refused", "Not cancelled: Too late <b>."),
        ("unknown", "Not known yet whether it was cancelled: Too late <b>."),
    ],
)
def test_a_refused_cancellation_is_told_in_the_providers_words_and_may_be_tried_again(
    page: Client, account: Account, operator: User, status: str, words: str
) -> None:
    booking = make_booking(account)
    # Also when it is long ago: it is still the last word.
    long_ago = timezone.now() - timedelta(hours=3)
    change(booking, operator, status=status, words="Too late <b>.", created_at=long_ago, status_at=long_ago)
    text = ending_of(page, booking)
    assert words in text
    assert f"[/bookings/{booking.pk}/cancel/]" in text
    assert "Too late &lt;b&gt;." in content_of(page, booking)


def test_a_refused_extension_is_told_and_a_later_bought_one_ends_that(
    page: Client, account: Account, operator: User
) -> None:
    rental = make_booking(account, rental_type="RentalFull", ends_at=timezone.now() + timedelta(days=3))
    wish: dict[str, Any] = {"kind": "extend", "booking": rental, "minutes": 1440}
    make_purchase(account, operator, status="rejected", refusal="Insufficient account balance.", **wish)
    assert "Not extended: Insufficient account balance." in ending_of(page, rental)
    make_purchase(account, operator, status=Purchase.Status.CONFIRMED, **wish)
    assert "Not extended" not in ending_of(page, rental)


# --- how it ended


def test_an_unused_activation_says_that_its_money_came_back_and_offers_another(page: Client, account: Account) -> None:
    product = make_product(account)
    booking = ended(account, state="Not Used")
    text = ending_of(page, booking)
    assert text.startswith("No SMS came ANOSIM gave $1.43 back. [/catalog/")
    assert f"[/catalog/{product.pk}/?amount=1#order] Order again" in text


def test_who_cancelled_it_is_named(page: Client, account: Account, operator: User) -> None:
    booking = ended(account, state="Cancelled")
    change(booking, operator, status="done", words="Cancelled. $1.43 back.")
    assert ending_of(page, booking) == "No SMS came operator cancelled it. ANOSIM gave $1.43 back."


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "Ended"}, "ANOSIM calls it “Ended”, which does not say that $1.43 came back: the balance shows it."),
        ({"state": "Active"}, "No SMS came in time ANOSIM has not said yet whether it gives $1.43 back."),
        ({"state": "Novelty <b>", "price_usd": None}, "ANOSIM has not said yet whether it gives the price back."),
        ({"state": "Ended", "rental_type": "RentalFull"}, "A rental costs $1.43 even without an SMS."),
        ({"state": "Refunded", "price_usd": None}, "ANOSIM gave the money back."),
    ],
)
def test_what_became_of_the_money_is_told_only_as_far_as_it_is_known(
    page: Client, account: Account, fields: dict[str, Any], words: str
) -> None:
    assert words in ending_of(page, ended(account, **fields))


def test_an_ended_number_that_heard_something_says_that_it_is_over(page: Client, account: Account) -> None:
    booking = ended(account)
    make_sms(booking, received_at=timezone.now() - 30 * MINUTE)
    assert ending_of(page, booking).startswith("The time of this number is over SMS that are sent to it now")


# --- long threads


def many(booking: Booking, count: int) -> list[int]:
    """Ids of so many messages, newest first; many of them of the same second."""
    now = timezone.now()
    rows = Sms.objects.bulk_create(
        Sms(
            account=booking.account, booking=booking, number=booking.number, text=f"m{at}", sender="Shop",
            received_at=now - timedelta(seconds=at // 7), fingerprint=f"{booking.pk:032x}{at:032x}", ordinal=1,
        )
        for at in range(count)
    )  # fmt: skip
    return [sms.pk for sms in sorted(rows, key=lambda sms: (sms.received_at, sms.pk), reverse=True)]


def earlier(content: str) -> str:
    found = re.search(r'<a id="earlier" rel="next" href="/bookings/\d+/(\?[^"]*)"', content)
    return unescape(found.group(1)) if found else ""


def test_earlier_ones_are_put_below_and_what_arrives_moves_none_of_them(page: Client, account: Account) -> None:
    booking = make_booking(account)
    made = many(booking, 130)
    first = content_of(page, booking)
    assert shown(first) == made[:50]
    second = content_of(page, booking, earlier(first))
    assert shown(second) == made[:100]
    assert 'id="ending"' in second
    new = make_sms(booking, received_at=timezone.now() + MINUTE)
    assert shown(content_of(page, booking, earlier(first))) == [new.pk, *made[:100]]
    third = content_of(page, booking, earlier(second))
    assert shown(third) == [new.pk, *made]
    assert earlier(third) == ""
    # The panel asks for the same rows by itself.
    url = re.search(r'id="booking-panel"[^>]*hx-get="([^"]*)"', second)
    assert url
    panel = re.sub(r"&v=\w+", "", unescape(url.group(1)))
    assert shown(page.get(panel).content.decode()) == [new.pk, *made[:100]]


def test_a_page_that_has_grown_long_leads_on_to_pages_of_their_own(
    page: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "WINDOW", 100)
    booking = make_booking(account)
    made = many(booking, 260)
    second = content_of(page, booking, earlier(content_of(page, booking)))
    assert shown(second) == made[:100]
    link = earlier(second)
    assert link.startswith("?after=")
    third = content_of(page, booking, link)
    assert shown(third) == made[100:150]
    # Here nothing is waited for; the way back to where it is stands in the pager.
    assert 'id="ending"' not in third
    assert ">Later</a>" in third
    assert ">Earlier<" in third


def test_so_much_that_came_meanwhile_is_read_from_the_top(
    page: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "WINDOW", 60)
    booking = make_booking(account)
    made = many(booking, 300)
    old = paging._link(
        page.get("/").wsgi_request.GET, "back", paging.Sort("newest", "", "received_at"), Sms.objects.get(pk=made[200])
    )
    assert shown(content_of(page, booking, old)) == made[:50]


@pytest.mark.parametrize("query", ["?back=x", "?back=%00", "?back=" + "A" * 10_000, "?back=x&after=y&before=z"])
def test_a_cursor_that_is_none_is_the_first_page(page: Client, account: Account, query: str) -> None:
    booking = make_booking(account)
    made = many(booking, 60)
    assert shown(content_of(page, booking, query)) == made[:50]


def test_a_thread_costs_the_same_however_long_it_is(page: Client, account: Account) -> None:
    costs = []
    for count in (120, 2_000):
        booking = make_booking(account, remote_id=count, extends=1)
        many(booking, count)
        path = f"/bookings/{booking.pk}/"
        link = earlier(page.get(path).content.decode())
        statements = [statements_of(page, path), statements_of(page, path + link)]
        assert [whole_reads(each) + sorts(each) for each in statements] == [[], []]
        costs.append([len(each) for each in statements])
    assert costs[0] == costs[1]
    assert costs[0][0] <= QUERIES + 1  # what is like it
    assert costs[0][1] == costs[0][0] + 1
