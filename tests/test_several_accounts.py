"""The switcher in the header: one of several accounts, or all; every list, figure and panel follows it."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.test import Client

from dashboard.models import Account, Membership, SimCard, User

from .factories import make_account, make_booking, make_order, make_product, make_purchase, make_sms, make_sync_states
from .query_plans import statements_of

PAGES = ("/", "/inbox/", "/bookings/", "/catalog/", "/orders/", "/purchases/", "/sim-cards/", "/status/")


def fill(account: Account, mark: str, person: User) -> None:
    """One of everything, told apart by its mark."""
    booking = make_booking(account, service=f"Service-{mark}", order=make_order(account, remote_id=int(mark) * 1000))
    make_sms(booking, f"Hello from {mark}", sender=f"Sender-{mark}")
    make_product(account, service=f"Service-{mark}")
    make_purchase(account, person, note=f"Purpose-{mark}", status="needs_review")
    card = {"number": f"+49152{mark}", "service": f"Service-{mark}", "last_seen_at": booking.read_at}
    SimCard.objects.create(account=account, country="Germany", rental_type="RentalFull", **card)
    make_sync_states(account, pace_seconds=600)


@pytest.fixture
def two(account: Account, manager: User) -> tuple[Account, Account]:
    """Two accounts of the manager, filled, and a foreign one."""
    other = make_account("Second")
    Membership.objects.create(user=manager, account=other, role="manager")
    foreign = make_account("Far away", balance_usd=Decimal("777.00"))
    for number, each in enumerate((account, other, foreign), 1):
        fill(each, f"{number}" * 5, manager)
    Account.objects.filter(pk=account.pk).update(balance_usd=Decimal("10.00"))
    Account.objects.filter(pk=other.pk).update(balance_usd=Decimal("5.50"))
    return account, other


@pytest.fixture
def page(manager: User) -> Client:
    client = Client()
    client.force_login(manager)
    return client


def marks(content: str) -> set[str]:
    """Of which accounts something stands there; on the status page it is their names."""
    names = {"11111": "Shop", "22222": "Second", "33333": "Far away"}
    return {mark for mark, name in names.items() if mark in content or f'-name">{name}' in content}


def choose(client: Client, account: Any, came: str = "http://testserver/bookings/?q=x") -> Any:
    return client.post("/account/", {"account": account}, headers={"Referer": came})


def test_with_a_single_account_there_is_nothing_to_choose(page: Client, account: Account) -> None:
    for path in PAGES:
        content = page.get(path).content.decode()
        assert "/account/" not in content
        assert 'name="account"' not in content
        assert "account=" not in content


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_about_the_account_that_the_url_names(
    page: Client, two: tuple[Account, Account], path: str
) -> None:
    first, second = two
    every = {"11111", "22222"}

    def seen(query: str) -> set[str]:
        return marks(page.get(path + query).content.decode())

    assert seen("") == every
    assert seen(f"?account={first.pk}") == {"11111"}
    assert seen(f"?account={second.pk}") == {"22222"}
    assert seen("?account=all") == every
    # A stranger's, and what is none, count as not named.
    for named in (Account.objects.get(name="Far away").pk, "x", "99999999999999999999", "-1"):
        assert seen(f"?account={named}") == every
    choose(page, second.pk)
    assert seen("") == {"22222"}
    assert seen(f"?account={first.pk}") == {"11111"}
    assert seen("?account=all") == every
    choose(page, "all")
    assert seen("") == every


@pytest.mark.parametrize("path", PAGES)
def test_a_panel_keeps_to_the_account_of_its_page_whatever_is_chosen_later(
    page: Client, two: tuple[Account, Account], path: str
) -> None:
    first, second = two
    content = page.get(f"{path}?account={first.pk}").content.decode()
    urls = [unescape(url) for url in re.findall(r'hx-get="(/panels/[^"]+)"', content)]
    assert urls
    choose(page, second.pk)
    for url in urls:
        assert f"account={first.pk}" in url
        assert page.get(url).status_code == 204, url
        fragment = page.get(re.sub(r"([?&])v=[^&]*", r"\1v=old", url)).content.decode()
        fragment = re.sub(r'<form class="menu".*?</form>', "", fragment, flags=re.DOTALL)  # the choice itself
        assert "22222" not in fragment
        assert "$5.50" not in fragment


def test_the_balance_in_the_header_is_that_of_the_accounts_in_view(page: Client, two: tuple[Account, Account]) -> None:
    def balance(query: str) -> str:
        content = page.get(f"/bookings/{query}").content.decode()
        found = re.search(r'<button class="pill balance".*?</button>', content)
        assert found
        return re.sub(r"<[^>]+>", "", found[0])

    assert "All accounts" in balance("")
    assert "$15.50" in balance("")
    assert "Second" in balance(f"?account={two[1].pk}")
    assert "$5.50" in balance(f"?account={two[1].pk}")


def test_the_choice_is_kept_for_the_session_and_shown_by_the_page_it_was_made_on(
    page: Client, two: tuple[Account, Account]
) -> None:
    second = two[1].pk
    came = "http://testserver/bookings/?q=x&show=ended&after=abc&before=abc&account=1"
    response = choose(page, second, came)
    assert (response.status_code, response["Location"]) == (303, f"/bookings/?q=x&show=ended&account={second}")
    assert page.session["account"] == str(second)
    content = page.get("/orders/").content.decode()
    assert 'aria-current="true"><span>Second' in content


@pytest.mark.parametrize(
    "came",
    [
        "",
        "http://evil.example/bookings/",
        "http://testserver//evil.example/",
        "http://testserver/no-such-page/",
        "http://testserver/account/",
        "javascript:alert(1)",
        "http://[",
    ],
)
def test_a_choice_leads_to_a_page_of_ours_only(page: Client, two: tuple[Account, Account], came: str) -> None:
    assert choose(page, two[0].pk, came)["Location"] == f"/?account={two[0].pk}"


def test_a_foreign_account_cannot_be_chosen(page: Client, two: tuple[Account, Account]) -> None:
    foreign = Account.objects.get(name="Far away")
    for wanted in (foreign.pk, "x", ""):
        assert choose(page, wanted)["Location"].endswith("account=all")
        assert "account" not in page.session
    assert "777" not in page.get("/").content.decode()


def test_who_loses_the_chosen_account_sees_the_others(
    page: Client, manager: User, two: tuple[Account, Account]
) -> None:
    choose(page, two[1].pk)
    Membership.objects.filter(user=manager, account=two[1]).delete()
    content = page.get("/inbox/").content.decode()
    assert marks(content) == {"11111"}


def test_what_the_url_says_goes_along_in_the_navigation_and_the_filters(
    page: Client, two: tuple[Account, Account]
) -> None:
    first = two[0].pk
    content = page.get(f"/bookings/?account={first}").content.decode()
    assert f'href="/inbox/?account={first}"' in content
    form = content.partition('<form class="filters"')[2].partition("</form>")[0]
    assert f'<input type="hidden" name="account" value="{first}">' in form
    assert 'href="/inbox/"' in page.get("/bookings/").content.decode()


def test_names_of_accounts_stand_in_rows_only_where_there_are_several(
    page: Client, two: tuple[Account, Account]
) -> None:
    assert "· Second" in page.get("/bookings/").content.decode()
    assert "· Second" not in page.get(f"/bookings/?account={two[1].pk}").content.decode()


def test_what_waits_for_a_decision_is_counted_in_the_account_in_view(
    page: Client, two: tuple[Account, Account]
) -> None:
    def count(query: str) -> str:
        found = re.search(r'id="nav-count-purchases">(\d+)', page.get(f"/{query}").content.decode())
        return found[1] if found else ""

    assert (count(""), count(f"?account={two[0].pk}")) == ("2", "1")
    decide = page.get(f"/purchases/doubtful/?account={two[0].pk}").content.decode()
    assert marks(decide) == {"11111"}


def test_a_manager_of_one_and_viewer_of_another_decides_only_in_the_first(
    page: Client, manager: User, two: tuple[Account, Account]
) -> None:
    Membership.objects.filter(user=manager, account=two[1]).update(role="viewer")
    assert marks(page.get("/purchases/doubtful/").content.decode()) == {"11111"}
    content = page.get(f"/purchases/doubtful/?account={two[1].pk}").content.decode()
    assert "Nothing to decide" in content
    assert marks(content) == set()


def test_a_choice_costs_no_query_more(page: Client, two: tuple[Account, Account]) -> None:
    for path in PAGES:
        everything = len(statements_of(page, path))
        assert len(statements_of(page, f"{path}?account={two[0].pk}")) <= everything, path
