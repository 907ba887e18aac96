"""Read and unread: whose it is, what moves it, what it costs, and that a million messages cost a person no rows."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard import reading
from dashboard.models import Account, Booking, Membership, ReadException, ReadMark, Sms, User
from dashboard.models.reading import read_states, settled_id

from .factories import make_account, make_booking, make_sms
from .query_plans import sorts, statements_of, whole_reads

OLD = timedelta(hours=1)


@pytest.fixture
def page(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def sms_of(account: Account, count: int, **fields: Any) -> list[int]:
    """Messages that the sync saw an hour ago, oldest first."""
    booking = make_booking(account)
    now = timezone.now()
    values = {"seen_at": now - OLD, **fields}
    return [make_sms(booking, received_at=now - timedelta(minutes=count - at), **values).pk for at in range(count)]


def unread_on(response: Any) -> list[int]:
    assert response.status_code == 200
    return [
        int(pk) for pk in re.findall(r'<li class="sms" id="sms-(\d+)" data-row data-unread', response.content.decode())
    ]


def shown(response: Any) -> list[int]:
    return [int(pk) for pk in re.findall(r'<li class="sms" id="sms-(\d+)"', response.content.decode())]


def unread_of(user: User) -> int:
    return sum(state.unread for state in read_states(User.objects.get(pk=user.pk)).values())


def mark(page: Client, *ids: int, read: bool = True) -> None:
    assert page.post("/inbox/read/", {"id": ids, "read": int(read)}).status_code == 204


def read_all(page: Client, query: str = "", **values: Any) -> dict[str, str]:
    content = page.get(f"/inbox/{query}").content.decode()
    form = re.search(r'<form id="read-all".*?action="([^"]*)".*?name="up_to" value="(\d+)"', content)
    assert form
    sent = {"up_to": form.group(2), **values}
    answer = page.post(unescape(form.group(1)), sent, headers={"Accept": "application/json"})
    found: dict[str, str] = answer.json()
    return found


def test_who_joins_an_account_has_read_what_was_there_and_not_what_comes(account: Account, stranger: User) -> None:
    sms_of(account, 3)
    young = sms_of(account, 1, seen_at=timezone.now())
    Membership.objects.create(user=stranger, account=account, role="viewer")
    sms_of(account, 2)
    # Of the last minute nobody can know whether an older one is still on its way: it stays unread.
    assert unread_of(stranger) == 2 + len(young)


def test_who_comes_back_to_an_account_starts_anew(account: Account, stranger: User) -> None:
    membership = Membership.objects.create(user=stranger, account=account, role="viewer")
    sms_of(account, 3)
    membership.delete()
    Membership.objects.create(user=stranger, account=account, role="viewer")
    assert unread_of(stranger) == 0


def test_a_new_admin_has_read_all_accounts(account: Account, foreign_account: Account) -> None:
    sms_of(account, 2)
    sms_of(foreign_account, 2)
    admin = User.objects.create_superuser("root", password="x")
    assert unread_of(admin) == 0
    sms_of(make_account(), 2)
    assert unread_of(admin) == 2
    admin.save()
    assert unread_of(admin) == 0


def test_each_person_reads_alone(page: Client, account: Account, viewer: User, operator: User) -> None:
    first, second = sms_of(account, 2)
    assert unread_on(page.get("/inbox/")) == [second, first]
    mark(page, first)
    assert unread_on(page.get("/inbox/")) == [second]
    assert (unread_of(viewer), unread_of(operator)) == (1, 2)
    mark(page, first, read=False)
    mark(page, first, read=False)
    assert unread_on(page.get("/inbox/")) == [second, first]
    assert ReadException.objects.count() == 0


def test_a_stranger_marks_nothing_and_learns_nothing(
    page: Client, account: Account, foreign_account: Account, viewer: User
) -> None:
    (foreign,) = sms_of(foreign_account, 1)
    mark(page, foreign, 2**70, 0)
    page.post("/inbox/read/", {"id": ["x", "", "-1", "\x00"]})
    read_all(page, f"?account={foreign_account.pk}")
    page.post("/inbox/read-all/", {"up_to": "never"})
    assert not ReadException.objects.exists()
    assert not ReadMark.objects.filter(account=foreign_account).exists()


@pytest.mark.parametrize("path", ["/inbox/read/", "/inbox/read-all/", "/inbox/read-all/undo/"])
def test_marking_wants_a_post_a_sign_in_and_a_token(client: Client, viewer: User, path: str) -> None:
    assert client.post(path).headers["Location"].startswith("/accounts/login/")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(viewer)
    assert strict.get(path).status_code == 405
    assert strict.post(path).status_code == 403


def test_a_page_that_is_read_writes_nothing(page: Client, account: Account) -> None:
    booking = make_booking(account)
    make_sms(booking)
    for path in ("/", "/inbox/", "/inbox/?unread=1", f"/bookings/{booking.pk}/", "/panels/inbox/", "/panels/shell/"):
        statements = statements_of(page, path)
        assert [sql for sql in statements if re.match("INSERT|UPDATE|DELETE", sql)] == []


def test_everything_is_marked_by_one_row(page: Client, account: Account, viewer: User) -> None:
    ids = sms_of(account, 60)
    assert read_all(page)["text"] == "60 SMS marked as read."
    assert unread_of(viewer) == 0
    assert ReadException.objects.count() == 0
    assert ReadMark.objects.get(user=viewer).up_to == ids[-1]
    assert read_all(page)["text"] == "Nothing here was unread."


def test_the_mark_passes_no_id_of_the_last_minute(page: Client, account: Account, viewer: User) -> None:
    old = sms_of(account, 2)
    young = sms_of(account, 2, seen_at=timezone.now())
    read_all(page)
    assert unread_of(viewer) == 0
    assert ReadMark.objects.get(user=viewer).up_to == old[-1] == settled_id(account.pk)
    # One with a smaller id that was committed only now, as PostgreSQL lets it.
    Sms.objects.filter(pk=young[0]).delete()
    late = make_sms(make_booking(account), pk=young[0])
    assert unread_on(page.get("/inbox/")) == [late.pk]


def test_what_arrives_after_the_page_was_made_stays_unread(page: Client, account: Account, viewer: User) -> None:
    sms_of(account, 2)
    content = page.get("/inbox/").content.decode()
    up_to = re.search(r'name="up_to" value="(\d+)"', content)
    assert up_to
    (later,) = sms_of(account, 1)
    page.post("/inbox/read-all/", {"up_to": up_to.group(1)})
    assert unread_on(page.get("/inbox/")) == [later]


def test_all_found_is_what_the_filters_find_and_no_more(page: Client, account: Account, viewer: User) -> None:
    hits = sms_of(account, 3, sender="DHL")
    rest = sms_of(account, 2, sender="Shop")
    assert read_all(page, "?sender=dhl")["text"] == "3 SMS marked as read."
    assert sorted(unread_on(page.get("/inbox/"))) == rest
    assert not set(hits) & set(unread_on(page.get("/inbox/?sender=dhl")))


def test_marking_all_is_taken_back_by_its_own_token_only(
    page: Client, account: Account, viewer: User, operator: User
) -> None:
    ids = sms_of(account, 4)
    mark(page, ids[0])
    for query in ("", "?sender=goo"):
        undo = read_all(page, query)["undo"]
        assert unread_of(viewer) == 0
        other = Client()
        other.force_login(operator)
        assert "too long ago" in other.post("/inbox/read-all/undo/", {"token": undo}).json()["text"]
        assert "too long ago" in page.post("/inbox/read-all/undo/", {"token": undo + "x"}).json()["text"]
        assert unread_of(viewer) == 0
        assert page.post("/inbox/read-all/undo/", {"token": undo}).json()["text"] == "Unread again."
        assert sorted(unread_on(page.get("/inbox/"))) == ids[1:]


def test_what_was_marked_unread_by_hand_is_read_and_unread_again_with_all(page: Client, account: Account) -> None:
    ids = sms_of(account, 3)
    read_all(page)
    mark(page, ids[1], read=False)
    undo = read_all(page)["undo"]
    assert unread_on(page.get("/inbox/")) == []
    page.post("/inbox/read-all/undo/", {"token": undo})
    assert unread_on(page.get("/inbox/")) == [ids[1]]


def test_without_scripts_marking_all_leads_back_to_the_page(page: Client, account: Account) -> None:
    sms_of(account, 2)
    answer = page.post("/inbox/read-all/?code=1", {"up_to": 10**9}, follow=True)
    assert answer.redirect_chain == [("/inbox/?code=1", 303)]
    assert "2 SMS marked as read." in answer.content.decode()


def test_more_than_one_step_takes_is_said(page: Client, account: Account, monkeypatch: Any) -> None:
    monkeypatch.setattr("dashboard.reading.AT_ONCE", 3)
    monkeypatch.setattr("dashboard.views.reading.AT_ONCE", 3)
    sms_of(account, 5, sender="DHL")
    assert read_all(page, "?sender=dhl")["text"] == "3 SMS marked as read. There are more: do it again."
    assert read_all(page, "?sender=dhl")["text"] == "2 SMS marked as read."


def test_who_reads_one_by_one_leaves_no_trail(page: Client, account: Account, viewer: User, monkeypatch: Any) -> None:
    monkeypatch.setattr("dashboard.reading.MANY", 5)
    ids = sms_of(account, 20)
    kept = {ids[3], ids[11]}
    for pk in ids:
        if pk not in kept:
            mark(page, pk)
    assert set(unread_on(page.get("/inbox/"))) == kept
    assert ReadException.objects.count() <= 5 + len(kept)
    assert unread_of(viewer) == 2


@pytest.mark.parametrize("few", [reading.FEW, 0])
def test_the_unread_filter_finds_the_same_looked_up_and_walked(
    page: Client, account: Account, viewer: User, monkeypatch: Any, few: int
) -> None:
    other = make_account()
    other.memberships.create(user=viewer, role="viewer")
    ids = [*sms_of(account, 6), *sms_of(other, 6)]
    monkeypatch.setattr("dashboard.reading.FEW", few)
    monkeypatch.setattr("dashboard.reading.COUNTED", 2)
    read_all(page, f"?account={other.pk}")
    mark(page, ids[1], ids[4])
    mark(page, ids[8], read=False)
    expected = {*ids[:6], ids[8]} - {ids[1], ids[4]}
    for query in ("?unread=1", "?unread=1&sort=oldest"):
        found = shown(page.get(f"/inbox/{query}"))
        assert set(found) == expected
        assert len(found) == len(expected)
    assert set(shown(page.get(f"/inbox/?unread=1&account={other.pk}"))) == {ids[8]}
    assert shown(page.get("/inbox/?unread=1&sender=nobody")) == []


@pytest.mark.parametrize("accounts", [1, 3])
@pytest.mark.parametrize("few", [reading.FEW, 0])
@pytest.mark.parametrize("query", ["?unread=1", "?unread=1&code=1", "?mine=1", "?mine=1&unread=1", "?booking={pk}"])
def test_no_filter_reads_a_table_whole(
    page: Client, account: Account, viewer: User, monkeypatch: Any, query: str, few: int, accounts: int
) -> None:
    monkeypatch.setattr("dashboard.reading.FEW", few)
    monkeypatch.setattr("dashboard.views.inbox_scope.FEW", few)
    monkeypatch.setattr("dashboard.reading.COUNTED", 20)
    for each in [account, *(make_account() for _ in range(accounts - 1))]:
        if each != account:
            each.memberships.create(user=viewer, role="viewer")
        ids = sms_of(each, 80)
        booking = Booking.objects.get(sms=ids[0])
        booking.assignee = viewer
        booking.save()
    mark(page, *ids[::2])
    statements = statements_of(page, "/inbox/" + query.format(pk=booking.pk))
    assert whole_reads(statements) == []
    if few == 0 and accounts == 1 and "mine" not in query:
        # Walked in the order of the list. What is looked up is few, and sorted.
        assert sorts(statements) == []


def test_the_frame_tells_how_many_are_unread_and_moves_with_it(page: Client, account: Account) -> None:
    ids = sms_of(account, 3)
    content = page.get("/inbox/").content.decode()
    assert re.search(r'id="nav-count-inbox">3<span class="sr"> unread', content)
    url = unescape(re.search(r'id="shell-panel".*?hx-get="([^"]*)"', content).group(1))  # type: ignore[union-attr]
    inbox = unescape(re.search(r'id="inbox-panel".*?hx-get="([^"]*)"', content).group(1))  # type: ignore[union-attr]
    assert page.get(url).status_code == 204
    assert page.get(inbox).status_code == 204
    mark(page, *ids)
    answer = page.get(url).content.decode()
    assert re.search(r'id="nav-count-inbox" hidden hx-swap-oob="true">', answer)
    assert page.get(inbox).status_code == 200


def test_more_than_a_thousand_are_not_counted(account: Account, viewer: User, page: Client) -> None:
    booking = make_booking(account)
    now = timezone.now()
    Sms.objects.bulk_create(
        Sms(account=account, booking=booking, received_at=now, seen_at=now - OLD, fingerprint=f"{at:064x}", ordinal=1)
        for at in range(1200)
    )
    assert unread_of(viewer) == 1000
    assert ">999+<" in page.get("/inbox/").content.decode()
    assert read_all(page)["text"] == "All SMS marked as read."
    assert unread_of(viewer) == 0
