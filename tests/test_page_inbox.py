"""The inbox: what it shows, finds and hides, hostile messages, access, cost."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.local_time import Clock
from dashboard.models import Account, Sms, User
from dashboard.views.inbox import FILTERS
from dashboard.views.rows import sms_rows

from .factories import make_account, make_booking, make_order, make_purchase, make_sms
from .query_plans import sorts, statements_of, whole_reads

# Session, person, accounts seen, versions, marks, services, messages, which are read, accounts, sync rows.
QUERIES = 10


@pytest.fixture
def page(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def shown(response: Any) -> list[int]:
    assert response.status_code == 200
    return [int(pk) for pk in re.findall(r'<li class="sms" id="sms-(\d+)"', response.content.decode())]


def test_a_message_is_shown_with_number_sender_text_and_code(page: Client, account: Account) -> None:
    booking = make_booking(account, number="+420734118902", country="CzechRepublic")
    make_sms(booking, "G-482913 is your Google verification code.", sender="Google")
    content = page.get("/inbox/").content.decode()
    assert "+420 734 118 902" in content
    assert 'data-copy="+420734118902"' in content
    assert "flags.svg#cz" in content
    assert "<bdi>Google</bdi><small>WhatsApp</small>" in content
    assert "G-482913 is your Google verification code." in content
    assert 'data-copy="482913"' in content
    assert "<b>482<i></i>913</b>" in content
    assert f'href="/bookings/{booking.pk}/"' in content


def test_a_message_without_a_booking_leads_to_those_of_its_number(page: Client, account: Account) -> None:
    sms = make_sms(make_booking(account, number="+420734118902"))
    Sms.objects.update(booking=None)
    content = page.get("/inbox/").content.decode()
    link = unescape(re.search(r'href="(/inbox/\?q=[^"]*)"', content).group(1))  # type: ignore[union-attr]
    assert "flags.svg#cz" in content
    assert shown(page.get(link)) == [sms.pk]


def test_messages_are_grouped_by_the_days_of_the_person(page: Client, account: Account, viewer: User) -> None:
    viewer.time_zone = "Asia/Tokyo"
    viewer.save()
    booking = make_booking(account)
    now = timezone.now()
    for age in (timedelta(0), timedelta(days=1), timedelta(days=2)):
        make_sms(booking, received_at=now - age)
    # 15:30 UTC is the next day in Tokyo.
    make_sms(booking, received_at=datetime(2025, 3, 7, 15, 30, tzinfo=UTC))
    heads = re.findall(r'<h2 class="day">([^<]*)</h2>', page.get("/inbox/").content.decode())
    assert heads[:2] == ["Today", "Yesterday"]
    assert len(heads) == 4
    assert heads[-1] == "Saturday, 8 March 2025"


def test_a_sender_that_is_the_service_is_named_once(page: Client, account: Account) -> None:
    booking = make_booking(account, service="Instagram")
    make_sms(booking, sender="INSTAGRAM")
    make_sms(booking, sender="32665")
    [other, own] = re.findall(r'<span class="who">(.*?)</span>', page.get("/inbox/").content.decode())
    assert sorted((other, own)) == ["<bdi>32665</bdi><small>Instagram</small>", "<bdi>INSTAGRAM</bdi>"]


@pytest.fixture
def three(account: Account) -> dict[str, Sms]:
    google = make_booking(account, number="+420734118902", service="Google, Gmail", country="CzechRepublic")
    other = make_booking(account, number="+4915234477190", service="WhatsApp")
    at = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    day = timedelta(days=1)
    return {
        "old": make_sms(google, "Your code is 482913", sender="Google", received_at=at - day),
        "mid": make_sms(other, "Hallo, ist der Kinderwagen da?", sender="+491712280031", received_at=at),
        "new": make_sms(google, "100% off_now", sender="Shop", received_at=at + day),
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"old", "mid", "new"}),
        ("q=kinderWAGEN", {"mid"}),
        ("q=goog", {"old"}),
        ("q=%2B420 734 118 902", {"old", "new"}),
        ("q=00420734118902", {"old", "new"}),
        ("q=734 118", {"old", "new"}),
        ("q=4477", {"mid"}),
        ("q=%25 off", {"new"}),
        ("q=off_", {"new"}),
        ("q=o__", set()),
        ("q=nothing", set()),
        ("code=1", {"old"}),
        ("service=WhatsApp", {"mid"}),
        ("service=Nothing", set()),
        ("sender=shop", {"new"}),
        ("number=%2B49 1523 4477190", {"mid"}),
        ("number=1523-4477", {"mid"}),
        ("number=letters", set()),
        ("from=2026-03-02", {"mid", "new"}),
        ("to=2026-03-02", {"old", "mid"}),
        ("from=2026-03-02&to=2026-03-02", {"mid"}),
        ("from=yesterday&to=2026-13-45", {"old", "mid", "new"}),
        ("account=999", {"old", "mid", "new"}),
        ("account=x&sort=x&after=x&before=%00", {"old", "mid", "new"}),
        ("q=%00", {"old", "mid", "new"}),
    ],
)
def test_the_url_narrows_the_list(page: Client, three: dict[str, Sms], query: str, expected: set[str]) -> None:
    assert set(shown(page.get(f"/inbox/?{query}"))) == {three[name].pk for name in expected}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from([*FILTERS, "sort", "after", "before", "down"]),
        st.text(max_size=30),
    )
)
def test_no_query_is_an_error(page: Client, query: dict[str, str]) -> None:
    assert page.get("/inbox/", query).status_code == 200


def test_the_form_shows_what_the_url_says(page: Client, three: dict[str, Sms]) -> None:
    query = "q=x%22y&code=1&service=WhatsApp&sender=a&number=1&from=2026-03-01&to=2026-03-04&sort=oldest"
    content = page.get(f"/inbox/?{query}").content.decode()
    for piece in (
        'value="x&quot;y"', 'value="1" checked', "<option selected>WhatsApp</option>", 'name="sender" value="a"',
        'name="number" value="1"', 'name="from" value="2026-03-01"', 'name="to" value="2026-03-04"',
        '<option value="oldest" selected>', 'href="/inbox/">Clear</a>',
    ):  # fmt: skip
        assert piece in content, piece
    assert "Clear</a>" not in page.get("/inbox/").content.decode()


def test_fifty_stand_on_a_page_and_the_rest_behind_it(page: Client, account: Account) -> None:
    booking = make_booking(account)
    made = [make_sms(booking, received_at=timezone.now() - timedelta(minutes=at)).pk for at in range(60)]
    first = page.get("/inbox/?q=code")
    assert shown(first) == made[:50]
    older = unescape(re.search(r'href="(/inbox/\?[^"]*after=[^"]*)"', first.content.decode()).group(1))  # type: ignore[union-attr]
    assert shown(page.get(older)) == made[50:]
    assert shown(page.get("/inbox/?sort=oldest")) == made[::-1][:50]


def cursor_of(response: Any) -> str:
    """The place after which the next older rows come."""
    link = unescape(re.search(r'href="/inbox/\?([^"]*)" rel="next"', response.content.decode()).group(1))  # type: ignore[union-attr]
    return QueryDict(link)["after"]


def test_a_list_that_was_scrolled_holds_all_rows_down_to_the_same_place(
    page: Client, account: Account, monkeypatch: Any
) -> None:
    booking = make_booking(account)
    now = timezone.now()
    # Several of a second, as of one read.
    made = [make_sms(booking, received_at=now - timedelta(seconds=at // 7)).pk for at in range(160)]
    order = [pk for _, pk in sorted(Sms.objects.values_list("received_at", "pk"), reverse=True)]
    assert set(made) == set(order)
    first = cursor_of(page.get("/inbox/"))
    second = cursor_of(page.get(f"/inbox/?after={first}"))
    fresh = make_sms(booking, received_at=now + timedelta(seconds=1)).pk
    live = page.get(f"/panels/inbox/?down={first}")
    assert shown(live) == [fresh, *order[:50]]
    assert "data-down" in live.content.decode()
    assert f"down={first}" in live.content.decode()
    assert cursor_of(live) == first
    assert shown(page.get(f"/panels/inbox/?after={first}&down={second}")) == order[50:100]
    # One who looks at the oldest first has other places.
    assert "data-down" not in page.get(f"/panels/inbox/?down={first}&sort=oldest").content.decode()
    monkeypatch.setattr("dashboard.views.paging.WINDOW", 50)
    too_much = page.get(f"/panels/inbox/?down={first}")
    assert shown(too_much) == [fresh, *order[:49]]
    assert "data-down" not in too_much.content.decode()


@pytest.fixture
def own(account: Account, foreign_account: Account, viewer: User, three: dict[str, Sms]) -> dict[str, Any]:
    """The booking of "mid" is looked after by the viewer, that of the others was bought by them; one is foreign."""
    assigned, bought = three["mid"].booking, three["old"].booking
    assert assigned
    assert bought
    assigned.assignee = viewer
    assigned.save()
    bought.order = make_order(account)
    bought.save()
    make_purchase(account, viewer, order=bought.order, status="done")
    foreign = make_booking(foreign_account, assignee=viewer)
    make_sms(foreign, "Your code is 482913 too")
    make_sms(make_booking(account), "Your code is 482913 for nobody")
    return {"assigned": assigned.pk, "bought": bought.pk, "foreign": foreign.pk}


@pytest.mark.parametrize("few", [20_000, 0])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("mine=1", {"old", "mid", "new"}),
        ("mine=1&code=1", {"old"}),
        ("mine=1&q=482913", {"old"}),
        ("mine=1&unread=1", {"mid", "new"}),
        ("unread=1&q=off", {"new"}),
        ("unread=1&q=482913&mine=1", set()),
        ("booking={assigned}", {"mid"}),
        ("booking={bought}&q=482913", {"old"}),
        ("booking={bought}&unread=1", {"new"}),
        ("booking={assigned}&mine=1", {"mid"}),
        ("booking={foreign}", set()),
        ("booking=99999999999", set()),
        ("mine=0&unread=no&booking=", None),
        ("booking=x", None),
    ],
)
def test_own_messages_unread_ones_and_those_of_a_booking(
    page: Client, three: dict[str, Sms], own: dict[str, Any], monkeypatch: Any, query: str, expected: Any, few: int
) -> None:
    # Whether few are looked up or many walked.
    monkeypatch.setattr("dashboard.views.inbox_scope.FEW", few)
    monkeypatch.setattr("dashboard.reading.FEW", few)
    monkeypatch.setattr("dashboard.reading.COUNTED", 1)
    page.post("/inbox/read/", {"id": [three["old"].pk]})
    found = shown(page.get(f"/inbox/?{query.format(**own)}"))
    assert len(found) == len(set(found))
    if expected is None:
        assert len(found) == 4
    else:
        assert set(found) == {three[name].pk for name in expected}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=yesterday", "The date under “From” cannot be read, so it was left out."),
        ("to=2026-13-45", "The date under “To” cannot be read, so it was left out."),
        ("from=2026-03-03&to=2026-03-02", "The time ends before it begins: no SMS can match."),
        ("booking=first", "The booking cannot be read, so it was left out."),
        ("booking={foreign}", "There is no such booking in your accounts."),
        ("booking=123456789", "There is no such booking in your accounts."),
        ("account=999", "That account is not among yours, so it was left out."),
        ("after=nonsense", "That place in the list cannot be found: this is its beginning."),
    ],
)
def test_what_cannot_be_read_is_said(
    page: Client, account: Account, own: dict[str, Any], query: str, sentence: str
) -> None:
    for path in ("/inbox/", "/panels/inbox/"):
        assert sentence in page.get(f"{path}?{query.format(**own)}").content.decode()
    assert 'class="note"' not in page.get(f"/inbox/?account={account.pk}&from=2026-03-02").content.decode()


def test_a_set_filter_is_taken_away_by_its_chip(page: Client, account: Account, own: dict[str, Any]) -> None:
    content = page.get(f"/inbox/?booking={own['assigned']}&sender=%22x&unread=1&down=1").content.decode()
    chips = re.findall(r'<a class="chip" href="([^"]*)">.*?<span>(\w+)</span> <b>([^<]*)</b>', content)
    assert [(unescape(url), name, text) for url, name, text in chips] == [
        ("/inbox/?sender=%22x&unread=1", "Booking", "+49 1523 4477190"),
        (f"/inbox/?booking={own['assigned']}&unread=1", "Sender", "&quot;x"),
    ]
    assert f'name="booking" value="{own["assigned"]}"' in content


def test_an_empty_inbox_says_what_to_do(page: Client) -> None:
    assert "No SMS yet" in page.get("/inbox/").content.decode()
    assert "No SMS matches" in page.get("/inbox/?q=x").content.decode()
    assert "All read" in page.get("/inbox/?unread=1").content.decode()
    assert "No SMS of yours" in page.get("/inbox/?mine=1").content.decode()


HOSTILE = [
    "<script>alert(1)</script>",
    "{{191*7}} {% now 'Y' %}",
    '" hx-get="/evil" hx-trigger="load',
    "'><img src=x onerror=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "NUL \u2400 and ESC \x1b[31m",  # the sync stores NUL as its picture, PostgreSQL knows none
    "\u202egnp.exe\u202c",
    "👩‍👩‍👧‍👦 \u200fرمز",
    "--><style>*{}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_message_is_inert_wherever_it_stands(page: Client, account: Account, text: str) -> None:
    booking = make_booking(account)
    make_sms(booking, text, sender=text, code="")
    for path in ("/", "/inbox/", f"/bookings/{booking.pk}/"):
        content = page.get(path).content.decode()
        assert not re.search(r"<(script>|img|style|a href=javascript)|1337|\x00|\x1b|\u202e", content.split("<main")[1])
        # Twice as text: the sender and the message. In no tag at all.
        tags = " ".join(re.findall(r"<[^<>]*>", content))
        assert "evil" not in tags
        assert "alert" not in tags


def test_a_text_of_ten_thousand_characters_is_folded_and_whole(page: Client, account: Account) -> None:
    text = "".join(f"{at:05d}" for at in range(2000))
    booking = make_booking(account)
    make_sms(booking, text, code="")
    for path in ("/inbox/", f"/bookings/{booking.pk}/"):
        content = page.get(path).content.decode()
        assert f'<p dir="auto">{text}</p></details>' in content
        assert re.search(rf'<summary dir="auto"[^>]*>{text[:300]}…</summary>', content)


def test_nothing_of_a_foreign_account_is_seen(
    page: Client, account: Account, foreign_account: Account, stranger: User
) -> None:
    mine = make_sms(make_booking(account))
    make_sms(make_booking(foreign_account, service="ForeignService"), "foreign text", sender="ForeignSender")
    number = Sms.objects.get(account=foreign_account).number
    for query in ("", "?q=foreign", f"?account={foreign_account.pk}", "?service=ForeignService"):
        for path in ("/inbox/", "/panels/inbox/"):
            response = page.get(path + query)
            assert set(shown(response)) <= {mine.pk}
            assert "foreign text" not in response.content.decode()
            assert number[1:] not in response.content.decode()
    content = page.get("/inbox/").content.decode()
    assert "ForeignService" not in content
    assert "Elsewhere" not in content
    page.force_login(stranger)
    assert shown(page.get("/inbox/")) == []


def test_a_person_of_several_accounts_can_look_at_one(page: Client, account: Account, viewer: User) -> None:
    other = make_account("Support <b>")
    other.memberships.create(user=viewer, role="viewer")
    first, second = make_sms(make_booking(account)), make_sms(make_booking(other))
    both = page.get("/inbox/")
    assert set(shown(both)) == {first.pk, second.pk}
    assert "· Support &lt;b&gt;" in both.content.decode()
    assert shown(page.get(f"/inbox/?account={other.pk}")) == [second.pk]


def test_who_is_not_signed_in_is_sent_to_the_sign_in(client: Client, db: None) -> None:
    assert client.get("/inbox/").headers["Location"] == "/accounts/login/?next=/inbox/"


@pytest.mark.parametrize("path", ["/inbox/", "/inbox/?code=1&q=code", "/panels/inbox/"])
def test_the_page_costs_the_same_queries_whatever_there_is(page: Client, account: Account, path: str) -> None:
    counts = []
    for rows in (10, 50):
        for _ in range(rows):
            make_sms(make_booking(account))
        counts.append(len(statements_of(page, path)))
    assert counts[0] == counts[1]
    # A search asks for the noted bookings, and on SQLite its index for ids.
    assert counts[0] <= QUERIES + (2 if "q=" in path else 0)


@pytest.mark.parametrize("accounts", [1, 3])
@pytest.mark.parametrize(
    "query", ["", "?code=1", "?service=WhatsApp", "?number=%2B420734118902", "?from=2026-01-01", "?q=code"]
)
def test_no_table_is_read_whole(page: Client, account: Account, viewer: User, accounts: int, query: str) -> None:
    all_accounts = [account]
    for _ in range(accounts - 1):
        all_accounts.append(make_account())
        all_accounts[-1].memberships.create(user=viewer, role="viewer")
    for each in all_accounts:
        booking = make_booking(each)
        for at in range(120):
            make_sms(booking, received_at=timezone.now() - timedelta(minutes=at))
    statements = statements_of(page, "/inbox/" + query)
    assert whole_reads(statements) == []
    if accounts == 1:
        assert sorts(statements) == []


def test_no_character_of_a_message_can_be_taken_for_the_place_of_its_age(account: Account) -> None:
    make_sms(make_booking(account), "text")
    row = Sms.objects.for_list().get()
    hostile = row._replace(number="\x00+49", sender="\x00<q>", text="\x00<s>", booking_id=None)
    (shown_row,) = sms_rows([hostile], Clock(), {account.pk: "\x00<u>"})
    assert re.search(r"<li [^>]* data-row>", shown_row["markup"])
    assert re.search(r"data-rel>\d+ s</time>", shown_row["markup"])
    assert not re.search(r"<[qsu]>|\x00", shown_row["markup"])
