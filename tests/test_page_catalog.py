"""The catalogue and a product: filters, sorts, pages, free numbers through a worker, access, cost."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from redis import Redis

from dashboard.live import topics
from dashboard.models import Account, Membership, Offer, Product, SyncState

from .factories import make_account, make_product, make_sync_states
from .query_plans import statements_of, whole_reads
from .redis_server import RedisServer

HTMX = {"HX-Request": "true"}


@pytest.fixture
def page(client: Client, operator: Any) -> Client:
    client.force_login(operator)
    return client


@pytest.fixture
def queue(redis_server: RedisServer, settings: Any, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """The workers' queue in a server of this test's own."""
    from anosim_dashboard.celery import app

    monkeypatch.setattr(app.conf, "broker_url", redis_server.url.replace("unix://", "redis+socket://", 1))
    monkeypatch.setattr(app.conf, "broker_write_url", None)
    return redis_server


def queued(server: RedisServer) -> int:
    client = Redis.from_url(server.url)
    try:
        return int(client.llen("celery"))
    finally:
        client.close()


def shown(response: Any) -> list[int]:
    """Products of the page, in its order."""
    return [int(pk) for pk in re.findall(r'<tr id="product-(\d+)"', response.content.decode())]


def test_only_what_is_on_sale_is_offered(page: Client, account: Account) -> None:
    offered, gone = make_product(account), make_product(account, on_sale=False)
    response = page.get("/catalog/")
    assert shown(response) == [offered.pk]
    assert "1 product " in response.content.decode()
    assert page.get(f"/catalog/{gone.pk}/").status_code == 200


def test_the_age_of_the_prices_is_told(page: Client, account: Account) -> None:
    make_product(account)
    assert "prices not read yet" in page.get("/catalog/").content.decode()
    make_sync_states(account, last_success_at=timezone.now() - timedelta(minutes=12))
    assert re.search(r"prices read <time [^>]+>12 min ago</time>", page.get("/catalog/").content.decode())


def test_without_products_the_page_says_what_will_happen(page: Client, account: Account) -> None:
    assert "No products yet" in page.get("/catalog/").content.decode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"de", "cz", "full"}),
        ("country=Germany", {"de", "full"}),
        ("type=Activation", {"de", "cz"}),
        ("service=Telegram", {"cz"}),
        ("price_from=1.43&price_to=2", {"de"}),
        ("price_to=2,00", {"de"}),
        ("q=whatsapp", {"de"}),
        ("q=czech+republic", {"cz"}),
        ("q=telegram+czech", {"cz"}),
        ("q=nothing+at+all", set()),
    ],
)
def test_filters_of_the_url_narrow_the_list(page: Client, account: Account, query: str, expected: set[str]) -> None:
    rows = {
        "de": make_product(account),
        "cz": make_product(account, country="CzechRepublic", service="Telegram", price_usd=Decimal("2.50")),
        "full": make_product(account, rental_type="RentalFull", service="", price_usd=Decimal("30")),
    }
    found = shown(page.get(f"/catalog/?{query}"))
    assert set(found) == {rows[name].pk for name in expected}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("country", ["a", "b", "c"]),
        ("-country", ["c", "b", "a"]),
        ("price", ["c", "a", "b"]),
        ("-price", ["b", "a", "c"]),
        ("time", ["b", "a", "c"]),
        ("-time", ["c", "a", "b"]),
        ("no-such-sort", ["a", "b", "c"]),
    ],
)
def test_the_list_is_sorted_as_the_url_says(page: Client, account: Account, sort: str, expected: list[str]) -> None:
    rows = {
        "c": make_product(account, country="Poland", price_usd=Decimal("0.40"), duration_minutes=1440),
        "a": make_product(account, country="Austria", service="Amazon", duration_minutes=60),
        "b": make_product(account, country="Austria", service="Uber", price_usd=Decimal("9"), duration_minutes=20),
    }
    assert shown(page.get(f"/catalog/?sort={sort}")) == [rows[name].pk for name in expected]


def test_pages_of_fifty_lead_through_the_whole_list_once(page: Client, account: Account) -> None:
    for number in range(120):
        make_product(account, country=f"Land{number % 3}", service=f"S{number % 7}")
    seen: list[int] = []
    url = "/catalog/?type=Activation"
    while url:
        response = page.get(url)
        seen += shown(response)
        link = re.search(r'href="([^"]+)" rel="next"', response.content.decode())
        url = link[1].replace("&amp;", "&") if link else ""
        assert not url or "type=Activation" in url
    assert len(seen) == 120
    assert len(set(seen)) == 120


@pytest.mark.parametrize(
    "query",
    [
        "price_from=abc&price_to=NaN",
        "price_from=-1&price_to=1e999",
        "country=%00&type=%FF&service=%F0%9F%98%80",
        "q=%25%27%22--%00",
        "after=AAAA&before=%00",
        "after=" + "W" * 900,
        "account=99999999999999999999&account=x",
        "sort=%00",
        "asked=x&known=%00",
    ],
)
def test_a_malformed_filter_is_no_error(page: Client, account: Account, query: str) -> None:
    product = make_product(account)
    for path in ("/catalog/", "/panels/catalog/", f"/catalog/{product.pk}/", f"/panels/product/{product.pk}/"):
        assert page.get(f"{path}?{query}").status_code == 200


def test_a_member_of_two_accounts_sees_both_or_the_one_they_choose(
    page: Client, operator: Any, account: Account, foreign_account: Account
) -> None:
    Membership.objects.create(user=operator, account=foreign_account, role="viewer")
    mine, other = make_product(account), make_product(foreign_account)
    both = page.get("/catalog/")
    assert set(shown(both)) == {mine.pk, other.pk}
    assert "<th>Account</th>" in both.content.decode()
    assert shown(page.get(f"/catalog/?account={foreign_account.pk}")) == [other.pk]


def test_everybody_sees_their_accounts_only(
    client: Client, account: Account, admin: Any, manager: Any, operator: Any, viewer: Any, stranger: Any
) -> None:
    product = make_product(account)
    panel, refresh = f"/panels/product/{product.pk}/", f"/catalog/{product.pk}/refresh/"
    assert client.get("/catalog/").status_code == 302
    assert client.get(panel).status_code == 302
    assert client.post(refresh).status_code == 302
    for person in (admin, manager, operator, viewer):
        client.force_login(person)
        assert shown(client.get("/catalog/")) == [product.pk]
        assert client.get(f"/catalog/{product.pk}/").status_code == 200
        assert client.get(panel).status_code == 200
    client.force_login(stranger)
    assert shown(client.get("/catalog/")) == []
    assert "You are a member of no account" in client.get("/catalog/").content.decode()
    assert shown(client.get("/panels/catalog/")) == []
    assert client.get(f"/catalog/{product.pk}/").status_code == 404
    assert client.get(panel).status_code == 404
    assert client.post(refresh).status_code == 404
    assert client.get(f"/catalog/{2**63}/").status_code == 404


def test_a_panel_answers_204_until_the_catalogue_moves(page: Client, account: Account) -> None:
    make_product(account)
    content = page.get("/catalog/?country=Germany").content.decode()
    url = re.search(r'id="catalog-panel"[^>]*hx-get="([^"]+)"', content)
    assert url is not None
    path = url[1].replace("&amp;", "&")
    assert "country=Germany" in path
    assert page.get(path).status_code == 204
    topics.touch(account.pk, topics.CATALOG)
    assert page.get(path).status_code == 200


def test_the_cost_of_the_list_does_not_grow_with_its_rows(page: Client, account: Account) -> None:
    for number in range(10):
        make_product(account, country=f"C{number}")
    few = statements_of(page, "/panels/catalog/")
    whole_page = len(statements_of(page, "/catalog/"))
    for number in range(50):
        make_product(account, country=f"D{number}")
    # Session, person, memberships, versions; then rows, favourites, stars, count and age of the prices.
    assert len(few) == len(statements_of(page, "/panels/catalog/")) == 9
    assert len(statements_of(page, "/catalog/")) == whole_page


def test_no_query_reads_a_whole_table(page: Client, operator: Any, account: Account, foreign_account: Account) -> None:
    product = make_product(account)
    urls = [
        "/catalog/",
        "/catalog/?sort=price&q=x&country=Germany&type=Activation&service=WhatsApp&price_from=1&price_to=3",
        "/catalog/?sort=-time",
        f"/catalog/{product.pk}/",
    ]
    for _ in range(2):
        for url in urls:
            assert whole_reads(statements_of(page, url)) == []
        Membership.objects.get_or_create(user=operator, account=foreign_account)


# A product and its free numbers


def test_opening_a_page_asks_by_itself_but_a_get_asks_nothing(
    page: Client, account: Account, queue: RedisServer
) -> None:
    product = make_product(account)
    content = page.get(f"/catalog/{product.pk}/").content.decode()
    assert 'hx-trigger="load, submit"' in content
    assert f'hx-post="/catalog/{product.pk}/refresh/"' in content
    assert 'hx-trigger="submit"' in page.get(f"/panels/product/{product.pk}/").content.decode()
    assert page.get(f"/catalog/{product.pk}/refresh/").status_code == 405
    for url in (f"/catalog/{product.pk}/", f"/panels/product/{product.pk}/"):
        assert all(sql.lstrip().startswith("SELECT") for sql in statements_of(page, url))
    assert queued(queue) == 0


def test_a_post_asks_a_worker_and_the_panel_says_so(page: Client, account: Account, queue: RedisServer) -> None:
    product = make_product(account)
    response = page.post(f"/catalog/{product.pk}/refresh/", headers=HTMX, follow=True)
    assert queued(queue) == 1
    content = response.content.decode()
    assert content.startswith('<div class="stack" id="product-panel"')
    assert "Asking ANOSIM…" in content
    assert 'hx-trigger="nudge, every 3s"' in content
    assert 'hx-trigger="submit"' in content


def test_the_panel_moves_by_itself_when_the_worker_has_saved(
    page: Client, account: Account, queue: RedisServer
) -> None:
    product = make_product(account)
    asking = page.post(f"/catalog/{product.pk}/refresh/", headers=HTMX, follow=True).content.decode()
    url = re.search(r'hx-get="([^"]+)"', asking)
    assert url is not None
    path = url[1].replace("&amp;", "&")
    assert page.get(path).status_code == 204
    Product.objects.filter(pk=product.pk).update(offers_at=timezone.now())
    Offer.objects.create(product=product, remote_id=0, name="Any", available=12)
    Offer.objects.create(product=product, remote_id=4, name="T-Mobile", available=0)
    topics.touch(account.pk, topics.CATALOG)
    content = page.get(path).content.decode()
    assert "Asking" not in content
    assert "12 free" in content
    assert "none free" in content
    assert re.search(r"read <time [^>]+>\d s ago</time>", content)


def test_what_went_wrong_is_told_in_words(page: Client, account: Account) -> None:
    product = make_product(account, offers_at=timezone.now(), offers_error="ANOSIM does not answer <502>.")
    content = page.get(f"/catalog/{product.pk}/").content.decode()
    assert "ANOSIM does not answer &lt;502&gt;." in content


def test_fresh_numbers_are_not_asked_for_again(page: Client, account: Account, queue: RedisServer) -> None:
    product = make_product(account, offers_at=timezone.now() - timedelta(seconds=10))
    assert "load, submit" not in page.get(f"/catalog/{product.pk}/").content.decode()
    response = page.post(f"/catalog/{product.pk}/refresh/")
    assert response.headers["Location"] == f"/catalog/{product.pk}/"
    assert queued(queue) == 0


def test_without_scripts_the_button_leads_back_to_the_page(page: Client, account: Account, queue: RedisServer) -> None:
    product = make_product(account)
    assert "Read free numbers" in page.get(f"/catalog/{product.pk}/").content.decode()
    response = page.post(f"/catalog/{product.pk}/refresh/", follow=True)
    assert response.redirect_chain[0][0].startswith(f"/catalog/{product.pk}/?asked=")
    assert "Asking ANOSIM…" in response.content.decode()
    assert "load, submit" not in response.content.decode()


def test_a_queue_that_is_away_is_told_in_one_sentence(page: Client, account: Account, queue: RedisServer) -> None:
    product = make_product(account)
    queue.kill()
    response = page.post(f"/catalog/{product.pk}/refresh/", headers=HTMX, follow=True)
    assert response.status_code == 200
    assert "ANOSIM was not asked." in response.content.decode()


def test_a_silent_worker_is_told_after_a_while_and_forgotten_later(page: Client, account: Account) -> None:
    from dashboard.views import asking

    product = make_product(account)
    known = asking.digest(None, "")
    now = int(timezone.now().timestamp())
    for seconds, words in ((1, "Asking ANOSIM…"), (30, "No answer yet."), (600, "Not read yet")):
        url = f"/panels/product/{product.pk}/?asked={now - seconds}&known={known}"
        assert words in page.get(url).content.decode()


@pytest.mark.parametrize("fields", [{"enabled": False}, {"api_key": ""}])
def test_a_paused_account_or_one_without_a_key_is_not_asked(
    page: Client, operator: Any, queue: RedisServer, fields: dict[str, Any]
) -> None:
    quiet = make_account("Quiet", **fields)
    Membership.objects.create(user=operator, account=quiet, role="operator")
    product = make_product(quiet)
    content = page.get(f"/catalog/{product.pk}/").content.decode()
    assert "refresh/" not in content
    assert "paused" in content or "no API key" in content
    page.post(f"/catalog/{product.pk}/refresh/")
    assert queued(queue) == 0


def test_a_refresh_needs_the_token_of_the_form(account: Account, operator: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post(f"/catalog/{make_product(account).pk}/refresh/").status_code == 403


def test_a_product_costs_a_fixed_number_of_queries(page: Client, account: Account) -> None:
    product = make_product(account)
    Offer.objects.create(product=product, remote_id=0, name="Any", available=3)
    few = len(statements_of(page, f"/panels/product/{product.pk}/"))
    for number in range(1, 30):
        Offer.objects.create(product=product, remote_id=number, name=f"P{number}", available=number)
    # Session, person, memberships, versions; then the product with its account, and its offers.
    assert len(statements_of(page, f"/panels/product/{product.pk}/")) == few == 6


def test_names_of_the_provider_are_escaped(page: Client, account: Account) -> None:
    product = make_product(account, service="<script>alert(1)</script>", country='"><b>', rental_type="<i>New</i>")
    Offer.objects.create(product=product, remote_id=1, name="<img src=x onerror=alert(1)>", available=1)
    for path in ("/catalog/", f"/catalog/{product.pk}/"):
        content = page.get(path).content.decode()
        assert "<script>alert" not in content
        assert "<img" not in content
        assert "<i>New" not in content


def test_the_kind_of_a_products_sync_is_the_one_that_tells_the_age(page: Client, account: Account) -> None:
    make_product(account)
    SyncState.objects.create(account=account, kind=SyncState.Kind.SMS, last_success_at=timezone.now())
    assert "prices not read yet" in page.get("/catalog/").content.decode()
