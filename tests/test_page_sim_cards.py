"""SIM cards: what is in use, what was, filters, sorts, access, cost."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.live import topics
from dashboard.models import Account, Membership, SimCard

from .factories import make_sync_states
from .query_plans import statements_of, whole_reads


@pytest.fixture
def page(client: Client, operator: Any) -> Client:
    client.force_login(operator)
    return client


def make_card(account: Account, number: str = "+4915234000001", **fields: Any) -> SimCard:
    now = timezone.now()
    values: dict[str, Any] = {
        "country": "Germany",
        "rental_type": "Activation",
        "service": "WhatsApp",
        "starts_at": now,
        "ends_at": now + timedelta(minutes=20),
        "last_seen_at": now,
    }
    return SimCard.objects.create(account=account, number=number, **values | fields)


def shown(response: Any) -> list[int]:
    return [int(pk) for pk in re.findall(r'<tr id="sim-(\d+)"', response.content.decode())]


def test_what_is_in_use_is_shown_first_and_all_on_demand(page: Client, account: Account) -> None:
    used, gone = make_card(account), make_card(account, "+4915234000002", in_use=False)
    assert shown(page.get("/sim-cards/")) == [used.pk]
    everything = page.get("/sim-cards/?show=all")
    assert shown(everything) == [used.pk, gone.pk]
    assert "seen last" in everything.content.decode()


def test_the_number_can_be_copied_as_it_came(page: Client, account: Account) -> None:
    make_card(account)
    content = page.get("/sim-cards/").content.decode()
    assert 'data-copy="+4915234000001"' in content
    assert "+49 1523 4000001" in content


def test_the_age_of_the_list_and_an_empty_one_are_told(page: Client, account: Account) -> None:
    assert "not read yet" in page.get("/sim-cards/").content.decode()
    make_sync_states(account)
    content = page.get("/sim-cards/").content.decode()
    assert re.search(r"read <time [^>]+>\d s ago", content)
    assert "No SIM card is in use" in content


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=734", {"cz"}),
        ("q=%2B420+734+118", {"cz"}),
        ("q=whatsapp", {"de"}),
        ("q=czech+republic", {"cz"}),
        ("country=Germany", {"de"}),
        ("type=RentalFull", {"cz"}),
        ("service=WhatsApp", {"de"}),
        ("q=nothing", set()),
    ],
)
def test_filters_of_the_url_narrow_the_list(page: Client, account: Account, query: str, expected: set[str]) -> None:
    cards = {
        "de": make_card(account),
        "cz": make_card(account, "+420734118902", country="CzechRepublic", rental_type="RentalFull", service=""),
    }
    assert set(shown(page.get(f"/sim-cards/?{query}"))) == {cards[name].pk for name in expected}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("number", ["a", "b", "c"]), ("ends", ["b", "a"]), ("-ends", ["a", "b"]), ("newest", ["b", "c", "a"])],
)
def test_the_list_is_sorted_as_the_url_says(page: Client, account: Account, sort: str, expected: list[str]) -> None:
    now = timezone.now()
    cards = {
        "a": make_card(account, "+11", starts_at=now - timedelta(days=2), ends_at=now + timedelta(days=2)),
        "b": make_card(account, "+12", starts_at=now, ends_at=now + timedelta(days=1)),
        "c": make_card(account, "+13", starts_at=now - timedelta(days=1), ends_at=None),
    }
    assert shown(page.get(f"/sim-cards/?sort={sort}")) == [cards[name].pk for name in expected]


@pytest.mark.parametrize("query", ["show=%00&sort=x", "q=%00%27&country=%FF", "after=e30&before=e30"])
def test_a_malformed_filter_is_no_error(page: Client, account: Account, query: str) -> None:
    make_card(account)
    assert page.get(f"/sim-cards/?{query}").status_code == 200
    assert page.get(f"/panels/sim-cards/?{query}").status_code == 200


def test_everybody_sees_their_accounts_only(
    client: Client, account: Account, admin: Any, manager: Any, operator: Any, viewer: Any, stranger: Any
) -> None:
    card = make_card(account)
    for path in ("/sim-cards/", "/panels/sim-cards/"):
        assert client.get(path).status_code == 302
    for person in (admin, manager, operator, viewer):
        client.force_login(person)
        assert shown(client.get("/sim-cards/")) == [card.pk]
    client.force_login(stranger)
    assert shown(client.get("/sim-cards/?show=all")) == []
    assert "+4915234000001" not in client.get("/panels/sim-cards/?show=all").content.decode()


def test_a_panel_answers_204_until_the_cards_move(page: Client, account: Account) -> None:
    make_card(account)
    content = page.get("/sim-cards/?show=all").content.decode()
    url = re.search(r'id="sim-cards-panel"[^>]*hx-get="([^"]+)"', content)
    assert url is not None
    path = url[1].replace("&amp;", "&")
    assert page.get(path).status_code == 204
    topics.touch(account.pk, topics.SIM_CARDS)
    assert page.get(path).status_code == 200


def test_the_cost_does_not_grow_with_the_rows(page: Client, account: Account) -> None:
    for number in range(10):
        make_card(account, f"+4915{number:08d}")
    few = len(statements_of(page, "/panels/sim-cards/"))
    whole_page = len(statements_of(page, "/sim-cards/"))
    for number in range(10, 60):
        make_card(account, f"+4915{number:08d}", service=f"Service {number}")
    # Session, person, memberships, versions; then rows, count and age of the list.
    assert len(statements_of(page, "/panels/sim-cards/")) == few == 7
    assert len(statements_of(page, "/sim-cards/")) == whole_page


def test_no_query_reads_a_whole_table(page: Client, operator: Any, account: Account, foreign_account: Account) -> None:
    make_card(account)
    for _ in range(2):
        for query in ("", "?show=all&q=49", "?sort=ends&country=Germany", "?show=all&sort=newest"):
            assert whole_reads(statements_of(page, f"/sim-cards/{query}")) == []
        Membership.objects.get_or_create(user=operator, account=foreign_account)
