"""Stars on products: each person's own, set and taken with and without scripts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from dashboard.models import Account, Favourite, Membership, Product

from .factories import make_product
from .query_plans import statements_of, whole_reads

HTMX = {"HX-Request": "true"}


@pytest.fixture
def page(client: Client, operator: Any) -> Client:
    client.force_login(operator)
    return client


def rows(response: Any, kind: str = "product") -> list[int]:
    return [int(pk) for pk in re.findall(rf'<tr id="{kind}-(\d+)"', response.content.decode())]


def test_a_star_is_set_and_taken_and_twice_is_the_same(page: Client, operator: Any, account: Account) -> None:
    product = make_product(account)
    for on, count in (("1", 1), ("1", 1), ("0", 0), ("0", 0)):
        response = page.post(f"/catalog/{product.pk}/favourite/", {"on": on}, headers=HTMX)
        content = response.content.decode()
        assert Favourite.objects.filter(user=operator, product=product).count() == count
        assert f'aria-pressed="{"true" if count else "false"}"' in content
        assert f'value="{0 if count else 1}"' in content
        assert f'id="star-{product.pk}"' in content


def test_a_star_beside_a_favourite_answers_under_its_own_id(page: Client, account: Account) -> None:
    product = make_product(account)
    for prefix, wanted in (("fav-", f'id="fav-star-{product.pk}"'), ('"><img>', f'id="star-{product.pk}"')):
        response = page.post(f"/catalog/{product.pk}/favourite/", {"on": "1", "prefix": prefix}, headers=HTMX)
        assert wanted in response.content.decode()
        assert "<img" not in response.content.decode()


@pytest.mark.parametrize(
    ("back", "wanted"),
    [
        ("/catalog/?type=Activation", "/catalog/?type=Activation"),
        ("https://elsewhere.example/", None),
        ("//elsewhere.example/", None),
        ("/\\elsewhere.example/", None),
        ("", None),
    ],
)
def test_without_scripts_the_star_leads_back(page: Client, account: Account, back: str, wanted: str | None) -> None:
    product = make_product(account)
    response = page.post(f"/catalog/{product.pk}/favourite/", {"on": "1", "next": back})
    assert response.status_code == 303
    assert response.headers["Location"] == (wanted or f"/catalog/{product.pk}/")


def test_favourites_come_first_and_the_filter_leaves_only_them(page: Client, operator: Any, account: Account) -> None:
    products = [make_product(account, country=country) for country in ("Austria", "Belgium", "Poland")]
    Favourite.objects.create(user=operator, product=products[2])
    first = page.get("/catalog/")
    assert rows(first, "favourite") == [products[2].pk]
    assert rows(first) == [product.pk for product in products]
    assert first.content.decode().count('aria-pressed="true"') == 2
    filtered = page.get("/catalog/?favourites=1")
    assert rows(filtered) == [products[2].pk]
    assert rows(filtered, "favourite") == []
    assert 'name="favourites" value="1" checked' in filtered.content.decode()
    assert rows(page.get("/catalog/?q=whatsapp"), "favourite") == []


def test_a_favourite_that_is_no_longer_offered_is_not_among_them(page: Client, operator: Any, account: Account) -> None:
    Favourite.objects.create(user=operator, product=make_product(account, on_sale=False))
    assert rows(page.get("/catalog/"), "favourite") == []


def test_a_star_is_the_persons_own(client: Client, operator: Any, viewer: Any, account: Account) -> None:
    product = make_product(account)
    Favourite.objects.create(user=operator, product=product)
    client.force_login(viewer)
    assert rows(client.get("/catalog/"), "favourite") == []
    assert 'aria-pressed="false"' in client.get(f"/catalog/{product.pk}/").content.decode()


def test_who_may_mark(
    client: Client, account: Account, admin: Any, manager: Any, operator: Any, viewer: Any, stranger: Any
) -> None:
    url = f"/catalog/{make_product(account).pk}/favourite/"
    assert client.post(url, {"on": "1"}).status_code == 302
    for person in (admin, manager, operator, viewer):
        client.force_login(person)
        assert client.post(url, {"on": "1"}).status_code == 303
        assert client.get(url).status_code == 405
    client.force_login(stranger)
    assert client.post(url, {"on": "1"}).status_code == 404
    assert Favourite.objects.count() == 4
    closed = Client(enforce_csrf_checks=True)
    closed.force_login(operator)
    assert closed.post(url, {"on": "0"}).status_code == 403


def test_the_cost_does_not_grow_with_the_stars(
    page: Client, operator: Any, account: Account, foreign_account: Account
) -> None:
    products = [make_product(account) for _ in range(30)]
    Favourite.objects.create(user=operator, product=products[0])
    few = len(statements_of(page, "/catalog/")), len(statements_of(page, "/catalog/?favourites=1"))
    Favourite.objects.bulk_create(Favourite(user=operator, product=product) for product in products[1:])
    assert (len(statements_of(page, "/catalog/")), len(statements_of(page, "/catalog/?favourites=1"))) == few
    for _ in range(2):
        for url in ("/catalog/", "/catalog/?favourites=1&sort=price"):
            assert whole_reads(statements_of(page, url)) == [], url
        Membership.objects.get_or_create(user=operator, account=foreign_account)


def test_names_in_a_star_are_escaped(page: Client, account: Account) -> None:
    product: Product = make_product(account, service='"><img src=x>', country="<b>")
    content = page.post(f"/catalog/{product.pk}/favourite/", {"on": "1"}, headers=HTMX).content.decode()
    assert "<img" not in content
    assert "<b>" not in content
