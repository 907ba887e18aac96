"""Who may export SMS and of which accounts, what is asked before, and what stands on record after."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.utils import timezone

from dashboard.models import Account, AuditEvent, Membership, Sms, User
from dashboard.views import export as exporting

from .exported import PATH, ends, file_of, rows_of, texts_of
from .exported import _one_transaction as _one_transaction
from .exported import page as page
from .factories import make_account, make_booking, make_sms
from .query_plans import statements_of, whole_reads

# --- who may


@pytest.mark.parametrize(
    ("who", "status"), [("admin", 200), ("manager", 200), ("operator", 403), ("viewer", 403), ("stranger", 404)]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_managers_and_admins_export_others_do_not(
    client: Client, account: Account, request: pytest.FixtureRequest, who: str, status: int, method: str
) -> None:
    person = request.getfixturevalue(who)
    client.force_login(person)
    response = getattr(client, method)(PATH)
    assert response.status_code == status
    if status == 200 and method == "post":
        file_of(response)
    assert AuditEvent.objects.filter(action="sms.exported").count() == (status == 200 and method == "post")
    shown = 'id="filters-export"' in (inbox := client.get("/inbox/").content.decode())
    assert shown
    assert (PATH in inbox) == (status == 200)


def test_who_is_not_signed_in_is_sent_to_the_sign_in(client: Client, account: Account) -> None:
    assert client.post(PATH).headers["Location"].startswith("/accounts/login/")


def test_only_the_accounts_that_the_person_manages_are_exported_and_the_page_says_so(
    page: Client, account: Account, foreign_account: Account, manager: User
) -> None:
    read_only = make_account("Support <b>")
    read_only.memberships.create(user=manager, role="viewer")
    for each in (account, read_only, foreign_account):
        make_sms(make_booking(each), f"of {each.pk}")
    assert texts_of(page.post(PATH)) == [f"of {account.pk}"]
    assert texts_of(page.post(f"{PATH}?account={account.pk}")) == [f"of {account.pk}"]
    # A foreign account counts as not named.
    assert texts_of(page.post(f"{PATH}?account={foreign_account.pk}")) == [f"of {account.pk}"]
    assert page.post(f"{PATH}?account={read_only.pk}").status_code == 403
    content = page.get("/inbox/").content.decode()
    assert "only Shop: you do not manage Support &lt;b&gt;" in content
    asked = page.get(PATH).content.decode()
    assert "<b>1 SMS</b> of Shop" in asked
    assert "Not in it: Support &lt;b&gt;." in asked
    assert PATH not in page.get(f"/inbox/?account={read_only.pk}").content.decode()


def test_a_manager_of_several_accounts_gets_them_in_one_file_in_order(
    page: Client, account: Account, manager: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 3)
    other = make_account("Support")
    other.memberships.create(user=manager, role="manager")
    bookings = [make_booking(account), make_booking(other)]
    for at in range(10):
        make_sms(bookings[at % 2], f"m{at}", received_at=timezone.now() - timedelta(minutes=at))
    response = page.post(PATH)
    assert "-2-accounts.csv" in response.headers["Content-Disposition"]
    rows = rows_of(response)
    assert [row["Text"] for row in rows] == [f"m{at}" for at in range(10)]
    assert [row["Account"] for row in rows][:2] == ["Shop", "Support"]
    assert {event.account for event in AuditEvent.objects.filter(action="sms.exported")} == {account, other}
    assert [details["rows"] for details in ends()] == [5, 5]


def test_a_file_without_a_token_of_ours_is_refused(account: Account, manager: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)
    assert client.post(PATH).status_code == 403
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(PATH).content.decode())
    assert token
    assert client.post(PATH, {"csrfmiddlewaretoken": token[1]}).status_code == 200


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_not_taken(page: Client, method: str) -> None:
    assert getattr(page, method)(PATH).status_code == 405


@pytest.mark.parametrize("change", ["disabled", "demoted", "gone"])
def test_a_right_that_ends_meanwhile_ends_the_file(
    page: Client, account: Account, manager: User, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 5)
    booking = make_booking(account)
    for _ in range(20):
        make_sms(booking)
    response: Any = page.post(PATH)

    @exporting.sync_to_async
    def take_away() -> None:
        if change == "disabled":
            User.objects.filter(pk=manager.pk).update(is_active=False)
        elif change == "demoted":
            Membership.objects.filter(user=manager).update(role="operator")
        else:
            Membership.objects.filter(user=manager).delete()

    async def read() -> int:
        stream = response.streaming_content
        got = len([await anext(stream), await anext(stream)])
        await take_away()
        # An error, so that what came is not taken for the whole.
        with pytest.raises(exporting.PermissionDenied):
            await anext(stream)
        return got

    assert async_to_sync(read)() == 2
    (end,) = ends()
    assert (end["rows"], end["whole"]) == (5, False)


# --- asked first, on record


def test_the_question_says_what_would_be_exported_and_changes_nothing(page: Client, account: Account) -> None:
    booking = make_booking(account)
    for _ in range(3):
        make_sms(booking)
    asked = page.get(PATH + "?code=1&q=code").content.decode()
    assert "What the filters of the inbox show now, newest first" in asked
    assert "Export 3 SMS</button>" in asked
    assert f'action="{PATH}?code=1&amp;q=code"' in asked
    assert 'href="/inbox/?code=1&amp;q=code"' in asked
    dialog = page.get(PATH, headers={"HX-Request": "true"}).content.decode()
    assert dialog.startswith("<dialog")
    assert "All SMS of the inbox" in dialog
    assert not AuditEvent.objects.exists()


def test_the_button_carries_the_filters_but_no_place_in_the_list(page: Client, account: Account) -> None:
    content = page.get("/inbox/?code=1&after=abc&sort=oldest&v=1").content.decode()
    assert f'href="{PATH}?code=1&amp;sort=oldest"' in content


def test_many_rows_are_not_counted_one_by_one(page: Client, account: Account) -> None:
    booking = make_booking(account)
    Sms.objects.bulk_create(
        Sms(account=account, booking=booking, received_at=timezone.now(), fingerprint=f"{at:064x}", ordinal=1)
        for at in range(1001)
    )
    assert "Export 1,000+ SMS" in page.get(PATH).content.decode()
    assert whole_reads(statements_of(page, PATH)) == []


def test_an_export_is_on_record_at_its_begin_and_at_its_end_without_what_was_typed(
    page: Client, account: Account, manager: User
) -> None:
    make_sms(make_booking(account), "Your code is 482913 for Anna")
    response = page.post(
        f"{PATH}?q=Anna&sender=Goo&number=%2B49&code=1&from=2020-01-01&account={account.pk}&sort=oldest"
    )
    (begun,) = AuditEvent.objects.all()
    assert (begun.action, begun.user, begun.account) == ("sms.exported", manager, account)
    assert begun.details["filters"] == {
        "q": "set", "sender": "set", "number": "set", "code": "1", "from": "2020-01-01", "account": str(account.pk),
        "sort": "oldest",
    }  # fmt: skip
    file_of(response)
    (end,) = ends()
    assert end["export"] == begun.details["export"]
    assert end["whole"] is True
    record = str([event.details for event in AuditEvent.objects.all()])
    assert not re.search(r"Anna|Goo|482913", record)


def test_a_hostile_value_of_a_filter_does_not_reach_the_record(page: Client, account: Account) -> None:
    file_of(page.post(PATH, query_params={"from": "Anna Meier, +49", "code": "x" * 99, "sort": "<b>"}))
    assert AuditEvent.objects.get(action="sms.exported").details["filters"] == {
        "from": "set",
        "code": "set",
        "sort": "set",
    }


def test_nobody_exports_without_a_session(account: Account) -> None:
    request = RequestFactory().post(PATH)
    request.user = AnonymousUser()
    with pytest.raises(exporting.Http404):
        exporting.export(request)
