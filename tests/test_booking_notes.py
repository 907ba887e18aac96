"""Note, labels and assignee of a booking: who may edit them, how they are kept, found and shown."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from dashboard.live import topics
from dashboard.models import Account, AuditEvent, Booking, Membership, Purchase, User
from dashboard.models.bookings import labels_of

from .booking_forms import HTMX, words
from .booking_forms import page as page
from .factories import make_booking, make_order, make_product, make_sms
from .query_plans import statements_of
from .test_panels import panel_url


@pytest.fixture
def booking(account: Account) -> Booking:
    return make_booking(account)


def url_of(booking: Booking) -> str:
    return f"/bookings/{booking.pk}/notes/"


def shown(response: Any) -> set[int]:
    return {int(pk) for pk in re.findall(r'<li class="brow[^"]*" id="booking-(\d+)"', response.content.decode())}


@pytest.mark.parametrize(
    ("query", "finds"), [("mine=1", {"assignee": "operator"}), ("q=support", {"note": "Support line"})]
)
def test_an_open_inbox_hears_of_what_its_filters_now_find(
    page: Client, booking: Booking, operator: Any, query: str, finds: dict[str, str]
) -> None:
    make_sms(booking, "Your code is 482913")
    panel = panel_url(page.get(f"/inbox/?{query}").content.decode(), "inbox")
    page.post(url_of(booking), {"labels": "test"})
    assert page.get(panel).status_code == 204
    values = {name: str(operator.pk) if name == "assignee" else value for name, value in finds.items()}
    page.post(url_of(booking), values)
    assert "482913" in words(page.get(panel))


def test_they_are_saved_shown_and_on_record(page: Client, booking: Booking, operator: Any, viewer: Any) -> None:
    form = {"note": "  Support line ", "labels": "support,  test , support,,", "assignee": str(viewer.pk)}
    response = page.post(url_of(booking), form)
    assert (response.status_code, response.headers["Location"]) == (303, f"/bookings/{booking.pk}/")
    booking.refresh_from_db()
    assert (booking.note, booking.labels, booking.assignee) == ("Support line", "support, test", viewer)
    said = words(page.get(f"/bookings/{booking.pk}/"))
    assert "Support line" in said
    assert "Saved for" in said
    row = words(page.get("/bookings/"))
    assert "support test" in row
    assert "viewer looks after it" in row
    event = AuditEvent.objects.get()
    assert (event.action, event.user) == ("booking.noted", operator)
    assert event.details == {"fields": ["assignee_id", "labels", "note"]}
    assert page.post(url_of(booking), form).status_code == 303
    assert AuditEvent.objects.count() == 1


def test_by_script_the_form_stands_in_the_page_and_gives_way_to_what_was_saved(page: Client, booking: Booking) -> None:
    form = page.get(url_of(booking), headers=HTMX).content.decode()
    assert form.startswith('<div class="noted" id="booking-notes" data-hold>')
    saved = page.post(url_of(booking), {"note": "Mine"}, headers=HTMX)
    assert saved.status_code == 200
    assert "data-hold" not in saved.content.decode()
    assert "Mine" in words(saved)
    assert "Saved" in saved.headers["HX-Trigger"]
    left = page.get(f"{url_of(booking)}shown/", headers=HTMX)
    assert "Mine" in words(left)
    assert "<form" not in left.content.decode()


def test_everything_can_be_emptied(page: Client, booking: Booking, operator: Any) -> None:
    Booking.objects.update(note="Old", labels="old", assignee=operator)
    page.post(url_of(booking), {"note": "", "labels": "", "assignee": ""})
    booking.refresh_from_db()
    assert (booking.note, booking.labels, booking.assignee) == ("", "", None)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"note": "x" * 201}, "A note has at most 200 characters; these are 201."),
        ({"labels": ", ".join(f"label-{number}" for number in range(40))}, "Labels have together at most 200"),
        ({"assignee": "999999"}, "Choose a member of this account."),
    ],
)
def test_what_does_not_fit_is_said_and_kept_in_the_form(
    page: Client, booking: Booking, form: dict[str, str], said: str
) -> None:
    response = page.post(url_of(booking), {"note": "kept", **form})
    assert response.status_code == 422
    assert said in words(response)
    assert form.get("note", "kept") in response.content.decode()
    booking.refresh_from_db()
    assert (booking.note, booking.labels, booking.assignee) == ("", "", None)


def test_only_who_sees_the_account_can_be_assigned(
    page: Client, booking: Booking, operator: Any, viewer: Any, admin: Any, stranger: Any
) -> None:
    User.objects.create_user("gone", is_active=False).memberships.create(account=booking.account)
    offered = re.findall(r'<option value="(\d+)"', page.get(url_of(booking)).content.decode())
    assert {int(pk) for pk in offered} == {operator.pk, viewer.pk, admin.pk}
    assert page.post(url_of(booking), {"assignee": str(stranger.pk)}).status_code == 422


def test_who_left_stays_assigned_until_somebody_changes_it(page: Client, booking: Booking, stranger: Any) -> None:
    Booking.objects.update(assignee=stranger)
    assert f'value="{stranger.pk}" selected' in page.get(url_of(booking)).content.decode()
    assert page.post(url_of(booking), {"note": "x", "assignee": str(stranger.pk)}).status_code == 303


def test_viewers_read_but_do_not_edit(client: Client, booking: Booking, viewer: Any) -> None:
    Booking.objects.update(note="Support line", labels="support")
    client.force_login(viewer)
    content = client.get(f"/bookings/{booking.pk}/").content.decode()
    assert "Support line" in content
    assert "?label=support" in content
    assert url_of(booking) not in content
    assert client.get(f"{url_of(booking)}shown/").status_code == 200
    assert client.post(url_of(booking), {"note": "mine"}).status_code == 403
    assert Booking.objects.get().note == "Support line"


def test_text_of_people_is_inert(page: Client, booking: Booking) -> None:
    bad = "<script>alert(1)</script>\"'\x00\u202e"
    page.post(url_of(booking), {"note": bad, "labels": bad})
    for url in (f"/bookings/{booking.pk}/", "/bookings/", url_of(booking)):
        response = page.get(url)
        assert response.status_code == 200
        assert "<script>alert" not in response.content.decode()


def test_notes_and_labels_are_found_by_the_search(page: Client, account: Account) -> None:
    noted = make_booking(account, note="Ticket 4711 for Anna")
    labelled = make_booking(account, labels="support, night shift")
    make_booking(account)
    assert shown(page.get("/bookings/?q=anna")) == {noted.pk}
    assert shown(page.get("/bookings/?q=4711")) == {noted.pk}
    assert shown(page.get("/bookings/?q=night")) == {labelled.pk}


def test_a_label_filters_by_the_whole_word(page: Client, account: Account) -> None:
    stored = ("support", "test, support", "support, test", "a, support, b", "support line", "a support")
    rows = [make_booking(account, labels=labels) for labels in stored]
    response = page.get("/bookings/?label=support")
    assert shown(response) == {row.pk for row in rows[:4]}
    options = re.search(r'<select name="label">(.*?)</select>', response.content.decode(), re.DOTALL)
    assert options is not None
    names = [re.sub(r"<[^>]+>", "", each) for each in re.findall(r"<option.*?</option>", options[1])]
    assert names == ["All labels", "a", "a support", "b", "support", "support line", "test"]


def test_mine_are_those_i_look_after_and_those_i_bought(
    page: Client, account: Account, operator: Any, viewer: Any
) -> None:
    assigned = make_booking(account, assignee=operator)
    make_booking(account, assignee=viewer)
    bought = make_booking(account, order=make_order(account), assignee=viewer)
    Purchase.objects.create(
        account=account,
        kind="order",
        product=make_product(account),
        order=bought.order,
        requested_by=operator,
        price_usd=1,
        target="x",
        status="confirmed",
    )
    assert shown(page.get("/bookings/?whose=mine")) == {assigned.pk, bought.pk}
    assert len(shown(page.get("/bookings/?whose=nonsense"))) == 3


def test_an_open_page_learns_of_a_note_by_itself(page: Client, booking: Booking) -> None:
    content = page.get(f"/bookings/{booking.pk}/").content.decode()
    urls = re.findall(r'hx-get="(/panels/booking[^"]+)"', content)
    assert len(urls) == 2
    assert [page.get(url).status_code for url in urls] == [204, 204]
    page.post(url_of(booking), {"note": "News"})
    assert [page.get(url).status_code for url in urls] == [200, 200]


def test_saving_does_not_write_what_the_workers_wrote_meanwhile(
    page: Client, booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboard.views import notes

    members = notes._members

    def meanwhile(found: Booking) -> Any:
        Booking.objects.filter(pk=found.pk).update(state="Ended")
        topics.touch(found.account_id, topics.BOOKINGS)
        return members(found)

    monkeypatch.setattr(notes, "_members", meanwhile)
    page.post(url_of(booking), {"note": "x"})
    booking.refresh_from_db()
    assert (booking.state, booking.note) == ("Ended", "x")


def test_the_list_costs_no_more_with_labels_and_people(page: Client, account: Account, operator: Any) -> None:
    make_booking(account)
    few = len(statements_of(page, "/bookings/"))
    for number in range(20):
        make_booking(account, labels=f"label-{number}, all", assignee=operator)
    assert len(statements_of(page, "/bookings/")) == few
    assert len(statements_of(page, "/panels/bookings/")) == 6
    Membership.objects.filter(user=operator).update(role="viewer")
    assert len(statements_of(page, "/panels/bookings/")) == 6


@pytest.mark.parametrize(
    ("typed", "labels"),
    [("", []), (" , ,", []), ("a", ["a"]), ("a,b , a", ["a", "b"]), ("two  words,x", ["two words", "x"])],
)
def test_labels_are_told_apart_by_commas(typed: str, labels: list[str]) -> None:
    assert labels_of(typed) == labels
