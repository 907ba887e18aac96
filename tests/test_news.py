"""What arrived, as a browser's worker asks for it: who is told what, in which words, at what cost; and the choices."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Account, Membership, Sms, User
from dashboard.views import news

from .factories import make_account, make_booking, make_order, make_purchase, make_sms
from .query_plans import sorts, statements_of, whole_reads

# Session, person, accounts seen, messages, whose bookings they are.
QUERIES = 5
HOSTILE = "A\u202eB\x00<b onclick=x>\n" + "W" * 500


@pytest.fixture
def page(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def asked(client: Client, query: str = "") -> dict[str, Any]:
    response = client.get(f"/inbox/news/?{query}")
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def told(client: Client, query: str = "") -> list[int]:
    return [row["id"] for row in asked(client, query)["rows"]]


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def test_what_came_just_now_is_told_with_number_service_and_booking_and_without_its_text(
    page: Client, account: Account
) -> None:
    booking = make_booking(account, number="+420734118902")
    sms = make_sms(booking, "Your code is 482913")
    response = page.get("/inbox/news/")
    assert response.json()["rows"] == [
        {
            "id": sms.pk,
            "booking": booking.pk,
            "url": f"/bookings/{booking.pk}/",
            "number": "+420 734 118 902",
            "service": "WhatsApp",
            "account": "",
            "mine": False,
            "has_code": True,
        }
    ]
    assert "482913" not in response.content.decode()
    assert "Google" not in response.content.decode()
    assert response.headers["Cache-Control"] == "no-store"


def test_sender_and_text_are_given_only_when_they_are_asked_for(page: Client, account: Account) -> None:
    make_sms(make_booking(account), "Your code is 482913", sender="Google")
    (row,) = asked(page, "text=1")["rows"]
    assert (row["sender"], row["text"]) == ("Google", "Your code is 482913")
    assert "text" not in asked(page, "text=yes")["rows"][0]


def test_the_next_question_gets_what_was_stored_since_the_last_and_a_little_before(
    page: Client, account: Account
) -> None:
    booking = make_booking(account)
    now = timezone.now()
    after = asked(page)["after"]
    old = make_sms(booking, seen_at=now - news.OVERLAP - timedelta(minutes=5))
    late = make_sms(booking, seen_at=now - news.OVERLAP / 2)
    new = make_sms(booking)
    assert set(told(page, f"after={after}")) == {late.pk, new.pk}
    assert set(told(page, f"after={milliseconds(now - timedelta(minutes=10))}")) == {old.pk, late.pk, new.pk}


def test_the_overlap_never_reaches_back_before_the_first_question(page: Client, account: Account) -> None:
    rendered = milliseconds(timezone.now())
    make_sms(make_booking(account), seen_at=timezone.now() - timedelta(seconds=5))
    answer = asked(page, f"after={rendered}")
    assert (answer["rows"], answer["after"]) == ([], rendered)


def test_history_that_was_filled_in_is_no_news_but_what_came_while_nobody_asked_is(
    page: Client, account: Account
) -> None:
    booking = make_booking(account)
    now = timezone.now()
    asked_last = now - timedelta(hours=9)
    make_sms(booking, received_at=asked_last - news.FRESH - timedelta(minutes=1))
    came = make_sms(booking, received_at=now - timedelta(hours=8), seen_at=now - timedelta(hours=8))
    assert told(page, f"after={milliseconds(asked_last)}") == [came.pk]
    assert told(page) == []


@pytest.mark.parametrize("after", ["", "x", "-1", "9" * 18, "1" * 40, "%00", "1e9"])
def test_an_after_that_cannot_be_is_as_none(page: Client, account: Account, after: str) -> None:
    sms = make_sms(make_booking(account))
    assert told(page, f"after={after}") == [sms.pk]


def test_an_after_of_long_ago_gives_the_newest_and_says_that_there_are_more(page: Client, account: Account) -> None:
    booking = make_booking(account)
    now = timezone.now()
    rows = [make_sms(booking, received_at=now - timedelta(seconds=at)) for at in range(news.LIMIT + 1)]
    answer = asked(page, "after=0")
    assert [row["id"] for row in answer["rows"]] == [row.pk for row in rows[: news.LIMIT]]
    assert answer["more"] is True
    rows[-1].delete()
    assert asked(page, "after=0")["more"] is False


def test_mine_are_the_bookings_that_a_person_looks_after_or_has_bought(
    page: Client, account: Account, viewer: User, operator: User
) -> None:
    order = make_order(account)
    make_purchase(account, viewer, order=order, status="confirmed")
    assigned = make_sms(make_booking(account, assignee=viewer))
    bought = make_sms(make_booking(account, order=order))
    others = make_sms(make_booking(account, assignee=operator))
    without = make_sms(make_booking(account))
    Sms.objects.filter(pk=without.pk).update(booking=None)
    rows = {row["id"]: row["mine"] for row in asked(page)["rows"]}
    assert rows == {assigned.pk: True, bought.pk: True, others.pk: False, without.pk: False}


def test_each_of_the_cast_is_told_of_the_accounts_that_they_see(
    client: Client, account: Account, foreign_account: Account, admin: User, manager: User, stranger: User
) -> None:
    near, far = make_sms(make_booking(account)), make_sms(make_booking(foreign_account))
    for person, expected in ((admin, {near.pk, far.pk}), (manager, {near.pk}), (stranger, set())):
        client.force_login(person)
        assert set(told(client)) == expected
    client.logout()
    assert client.get("/inbox/news/").status_code == 302


def test_a_page_of_somebody_who_has_left_is_told_nothing(
    client: Client, account: Account, viewer: User, admin: User
) -> None:
    make_sms(make_booking(account))
    client.force_login(admin)
    assert client.get(f"/inbox/news/?user={viewer.pk}").status_code == 404
    assert len(told(client, f"user={admin.pk}")) == 1


def test_with_several_accounts_each_row_names_its_own(client: Client, account: Account, viewer: User) -> None:
    second = make_account("Support")
    Membership.objects.create(user=viewer, account=second, role="viewer")
    client.force_login(viewer)
    make_sms(make_booking(account), received_at=timezone.now() - timedelta(seconds=5))
    make_sms(make_booking(second))
    assert [row["account"] for row in asked(client)["rows"]] == ["Support", "Shop"]


def test_text_of_strangers_comes_on_one_line_cut_and_without_what_acts_on_it(page: Client, account: Account) -> None:
    booking = make_booking(account, service=HOSTILE[:400].replace("\x00", ""), number="+1\u202e<script>")
    text = HOSTILE.replace("\x00", "")
    make_sms(booking, text, sender=text)
    response = page.get("/inbox/news/?text=1")
    (row,) = response.json()["rows"]
    for name, limit in (("number", 40), ("service", 60), ("sender", 40), ("text", 200)):
        assert len(row[name]) <= limit
        assert "\u202e" not in row[name]
        assert "\n" not in row[name]
        assert "[U+202E]" in row[name]
    assert row["text"].endswith("W…")
    assert response.headers["Content-Type"] == "application/json"


def test_a_message_without_a_booking_leads_to_those_of_its_number(page: Client, account: Account) -> None:
    make_sms(make_booking(account, number="+420734118902"))
    Sms.objects.update(booking=None)
    (row,) = asked(page)["rows"]
    assert (row["url"], row["booking"], row["service"]) == ("/inbox/?q=%2B420734118902", None, "")


def test_who_wants_to_be_told_of_nothing_gets_nothing(page: Client, account: Account, viewer: User) -> None:
    make_sms(make_booking(account))
    User.objects.filter(pk=viewer.pk).update(notify_about="none")
    answer = asked(page)
    assert (answer["rows"], answer["about"]) == ([], "none")


def test_a_choice_is_kept_for_the_person_and_told_with_the_next_answer(page: Client, viewer: User) -> None:
    assert asked(page)["about"] == "mine"
    response = page.post("/inbox/news/about/", {"about": "all"})
    assert (response.status_code, response.headers["Location"]) == (303, "/settings/")
    assert asked(page)["about"] == "all"
    answer = page.post("/inbox/news/about/", {"about": "none"}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    event = json.loads(answer.headers["HX-Trigger"])
    assert "Nothing" in event["toast"]["text"]
    assert event["telling"]["about"] == "none"
    assert abs(event["telling"]["after"] - milliseconds(timezone.now())) < 60_000
    viewer.refresh_from_db()
    assert viewer.notify_about == "none"


@pytest.mark.parametrize("chosen", ["", "everything", "MINE", "\x00"])
def test_a_choice_that_is_none_changes_nothing(page: Client, viewer: User, chosen: str) -> None:
    assert page.post("/inbox/news/about/", {"about": chosen}).status_code == 400
    viewer.refresh_from_db()
    assert viewer.notify_about == "mine"


def test_asking_changes_nothing_and_choosing_is_a_post(page: Client) -> None:
    assert page.post("/inbox/news/").status_code == 405
    assert page.get("/inbox/news/about/").status_code == 405


@pytest.mark.parametrize("path", ["/", "/settings/"])
def test_every_page_offers_the_choices_and_the_settings_offer_them_without_scripts(page: Client, path: str) -> None:
    content = page.get(path).content.decode()
    assert content.count('id="telling"') == 1
    assert content.count('action="/inbox/news/about/"') == (2 if path == "/settings/" else 1)
    assert '<input type="radio" name="about" value="mine" checked>' in content


@pytest.mark.parametrize("count", [1, 30])
def test_an_answer_costs_the_same_with_few_and_with_many(
    page: Client, account: Account, viewer: User, count: int
) -> None:
    for _ in range(count):
        make_sms(make_booking(account))
    statements = statements_of(page, "/inbox/news/?text=1")
    assert len(statements) == QUERIES
    assert whole_reads(statements) == []
    assert sorts(statements) == []


def test_of_several_accounts_it_reads_only_what_is_new_in_each(
    client: Client, account: Account, foreign_account: Account, admin: User
) -> None:
    make_sms(make_booking(account))
    make_sms(make_booking(foreign_account))
    client.force_login(admin)
    statements = statements_of(client, f"/inbox/news/?after={milliseconds(datetime.now(UTC) - timedelta(minutes=5))}")
    assert len(statements) == QUERIES + 1  # the names of the accounts
    assert whole_reads(statements) == []
