"""The order form: what it says, what it declines and keeps, and that one form is one purchase."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from redis import Redis

from dashboard.live import topics
from dashboard.models import Account, AuditEvent, Membership, Offer, Product, Purchase

from .factories import make_booking, make_order, make_product
from .query_plans import statements_of, whole_reads
from .redis_server import RedisServer


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


@pytest.fixture
def product(account: Account) -> Product:
    Account.objects.filter(pk=account.pk).update(balance_usd="20.00")
    found = make_product(account, offers_at=timezone.now())
    Offer.objects.create(product=found, remote_id=0, name="Any", available=12)
    Offer.objects.create(product=found, remote_id=4, name="T-Mobile", available=7)
    Offer.objects.create(product=found, remote_id=5, name="Vodafone", available=0)
    return found


def queued(server: RedisServer) -> int:
    client = Redis.from_url(server.url)
    try:
        return int(client.llen("celery"))
    finally:
        client.close()


def form_of(page: Client, url: str) -> dict[str, str]:
    """The fields of the form as a browser would send them untouched."""
    content = page.get(url).content.decode()
    form = content[content.index('id="order-form"') :].split("</form>")[0]
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ('type="radio"' not in tag or " checked" in tag):
            fields[name[1]] = value[1] if value else ""
    return fields


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_the_form_says_the_total_the_balance_after_and_what_is_left_of_the_cap(
    page: Client, operator: Any, product: Product
) -> None:
    Membership.objects.filter(user=operator).update(daily_cap_usd="10.00")
    text = text_of(page.get(f"/catalog/{product.pk}/?amount=2"))
    assert "Order 2 numbers · $2.86" in text
    assert "2 × $1.43" in text
    assert "Balance after $17.14" in text
    assert "Left of your cap today $7.14" in text
    assert "Any 12 free" in text
    assert "T-Mobile 7 free" in text
    assert "Vodafone none free" in text


def test_a_click_writes_the_purchase_rings_the_bell_and_leads_to_its_page(
    page: Client, operator: Any, product: Product, queue: RedisServer
) -> None:
    form = form_of(page, f"/catalog/{product.pk}/") | {"amount": "2", "provider": "4", "note": " Support line "}
    response = page.post(f"/catalog/{product.pk}/order/", form)
    purchase = Purchase.objects.get()
    assert response.status_code == 303
    assert response.headers["Location"] == f"/purchases/{purchase.pk}/"
    assert (purchase.amount, purchase.provider_id, purchase.provider_name) == (2, 4, "T-Mobile")
    assert (purchase.note, purchase.price_usd) == ("Support line", Decimal("2.86"))
    assert purchase.requested_by == operator
    assert purchase.status == "queued"
    assert queued(queue) == 1
    event = AuditEvent.objects.get(action="purchase.asked")
    assert event.user == operator
    assert event.details["price_usd"] == "2.86"


def test_the_same_form_again_is_the_same_purchase(page: Client, product: Product, queue: RedisServer) -> None:
    form = form_of(page, f"/catalog/{product.pk}/")
    first = page.post(f"/catalog/{product.pk}/order/", form)
    Offer.objects.update(available=0)
    second = page.post(f"/catalog/{product.pk}/order/", form, follow=True)
    assert second.redirect_chain[0][0] == first.headers["Location"]
    assert "This form was sent before." in second.content.decode()
    assert Purchase.objects.count() == AuditEvent.objects.filter(action="purchase.asked").count() == 1
    assert queued(queue) == 1


def test_each_page_has_a_form_of_its_own(page: Client, product: Product) -> None:
    url = f"/catalog/{product.pk}/"
    assert form_of(page, url)["token"] != form_of(page, url)["token"]


def test_a_queue_that_is_away_loses_nothing_and_is_told(page: Client, product: Product, queue: RedisServer) -> None:
    form = form_of(page, f"/catalog/{product.pk}/")
    queue.kill()
    response = page.post(f"/catalog/{product.pk}/order/", form, follow=True)
    assert Purchase.objects.get().status == "queued"
    assert "goes out by itself" in response.content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": "0"}, "Between 1 and 20"),
        ({"amount": "21"}, "Between 1 and 20"),
        ({"amount": "-1"}, "Between 1 and 20"),
        ({"amount": "two"}, "Between 1 and 20"),
        ({"amount": "1.5"}, "Between 1 and 20"),
        ({"amount": ""}, "Between 1 and 20"),
        ({"amount": "²"}, "Between 1 and 20"),
        ({"amount": "13"}, "Only 12 are free now"),
        ({"amount": "8", "provider": "4"}, "Only 7 are free at T-Mobile now"),
        ({"provider": "5"}, "No number is free at Vodafone now"),
        ({"provider": "99"}, "Choose one of the providers."),
        ({"provider": "x"}, "Choose one of the providers."),
        ({"note": "n" * 201}, "A note has at most 200 characters"),
        ({"price": "1.42"}, "The price has changed: it is $1.43 now."),
        ({"price": "NaN"}, "did not say the price"),
        ({"token": "none"}, "This form was not whole."),
    ],
)
def test_bad_input_is_a_sentence_in_place_the_form_kept_and_nothing_spent(
    page: Client, product: Product, changes: dict[str, str], words: str
) -> None:
    form = form_of(page, f"/catalog/{product.pk}/") | {"note": "For Anna"} | changes
    response = page.post(f"/catalog/{product.pk}/order/", form)
    content = response.content.decode()
    assert response.status_code == 422
    assert words in text_of(response)
    assert f'value="{form["amount"]}"' in content
    assert f'value="{form["note"]}"' in content
    if "token" not in changes:
        assert form["token"] in content
    if form["provider"] in ("0", "4", "5"):
        assert re.search(rf'id="provider-{form["provider"]}" checked', content)
    assert not Purchase.objects.exists()
    assert not AuditEvent.objects.filter(action="purchase.asked").exists()


def test_a_changed_price_asks_to_confirm_the_new_one(page: Client, product: Product, queue: RedisServer) -> None:
    form = form_of(page, f"/catalog/{product.pk}/") | {"amount": "2"}
    Product.objects.update(price_usd="1.50")
    response = page.post(f"/catalog/{product.pk}/order/", form)
    assert response.status_code == 422
    assert "it is $3.00 now. Nothing was bought. Press the button again" in text_of(response)
    assert "Order 2 numbers · $3.00" in response.content.decode()
    assert page.post(f"/catalog/{product.pk}/order/", form | {"price": "1.50"}).status_code == 303
    assert Purchase.objects.get().price_usd == 3


@pytest.mark.parametrize(
    ("model", "fields", "words"),
    [
        (Account, {"enabled": False}, "is paused"),
        (Account, {"spending_stopped": True}, "Spending is stopped"),
        (Account, {"sealed_key": ""}, "has no API key"),
        (Account, {"balance_usd": "1.00"}, "balance of $1.00 is not enough"),
        (Account, {"order_cap_usd": "1.00"}, "cap of $1.00 for one purchase"),
        (Account, {"daily_cap_usd": "1.00"}, "of the cap is left today"),
        (Product, {"on_sale": False}, "does not offer this product"),
        (Product, {"price_usd": None}, "does not offer this product"),
        (Offer, {"available": 0}, "No number is free"),
        (Membership, {"role": "viewer"}, "role in this account does not allow"),
    ],
)
def test_what_is_not_possible_is_said_before_and_after_the_click(
    page: Client, product: Product, model: Any, fields: dict[str, Any], words: str
) -> None:
    form = form_of(page, f"/catalog/{product.pk}/")
    model.objects.update(**fields)
    assert words in text_of(page.get(f"/catalog/{product.pk}/"))
    assert (
        words.split(" of ")[0] in text_of(page.get(f"/panels/sheet/{product.pk}/")) or "cap" in words or "bal" in words
    )
    response = page.post(f"/catalog/{product.pk}/order/", form)
    # Who lost the role meanwhile does not get the form again.
    assert response.status_code == (403 if model is Membership else 422)
    assert not Purchase.objects.exists()


def test_stale_free_numbers_leave_the_word_to_the_provider(page: Client, product: Product, queue: RedisServer) -> None:
    Product.objects.update(offers_at=timezone.now() - timedelta(hours=1))
    form = form_of(page, f"/catalog/{product.pk}/") | {"provider": "5"}
    assert page.post(f"/catalog/{product.pk}/order/", form).status_code == 303


def test_a_nudge_moves_free_numbers_but_not_the_form(page: Client, product: Product) -> None:
    content = page.get(f"/catalog/{product.pk}/?amount=3").content.decode()
    url = re.search(r'id="sheet-panel"[^>]*hx-get="([^"]+)"', content)
    assert url is not None
    path = url[1].replace("&amp;", "&")
    assert page.get(path).status_code == 204
    Offer.objects.filter(remote_id=4).update(available=3)
    topics.touch(product.account_id, topics.CATALOG)
    fragment = page.get(path).content.decode()
    assert "3 free" in fragment
    assert "3 × $1.43" in fragment
    for name in ("token", "amount", "note", "price"):
        assert f'name="{name}"' not in fragment
    assert re.search(r'<form[^>]* id="order-form"[^>]* data-keep', content)


def test_a_get_of_the_forms_address_leads_to_the_product_and_buys_nothing(page: Client, product: Product) -> None:
    response = page.get(f"/catalog/{product.pk}/order/?amount=1&provider=0")
    assert response.headers["Location"] == f"/catalog/{product.pk}/"
    assert not Purchase.objects.exists()


def test_who_may_order(
    client: Client,
    product: Product,
    queue: RedisServer,
    admin: Any,
    manager: Any,
    operator: Any,
    viewer: Any,
    stranger: Any,
) -> None:
    url = f"/catalog/{product.pk}/order/"
    form = {"amount": "1", "provider": "0", "price": "1.43"}
    assert client.post(url, form).status_code == 302
    assert client.get(f"/panels/sheet/{product.pk}/").status_code == 302
    for person, status in ((admin, 303), (manager, 303), (operator, 303), (viewer, 403), (stranger, 404)):
        client.force_login(person)
        assert client.post(url, form | {"token": str(uuid4())}).status_code == status, person
        assert client.get(f"/panels/sheet/{product.pk}/").status_code == (404 if person == stranger else 200)
    assert Purchase.objects.count() == 3
    assert client.put(url).status_code == 405


def test_somebody_elses_form_is_declined(
    client: Client, product: Product, queue: RedisServer, operator: Any, manager: Any
) -> None:
    form = {"amount": "1", "provider": "0", "price": "1.43", "token": str(uuid4())}
    client.force_login(operator)
    assert client.post(f"/catalog/{product.pk}/order/", form).status_code == 303
    client.force_login(manager)
    response = client.post(f"/catalog/{product.pk}/order/", form)
    assert response.status_code == 422
    assert "sent by somebody else" in text_of(response)
    assert form["token"] not in response.content.decode()


def test_an_order_needs_the_token_of_the_site(product: Product, operator: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    form = {"amount": "1", "provider": "0", "price": "1.43", "token": str(uuid4())}
    assert client.post(f"/catalog/{product.pk}/order/", form).status_code == 403


def test_names_and_notes_are_escaped(page: Client, account: Account) -> None:
    product = make_product(account, service="<script>alert(1)</script>", offers_at=timezone.now())
    Offer.objects.create(product=product, remote_id=1, name="<img src=x onerror=alert(1)>", available=1)
    form = form_of(page, f"/catalog/{product.pk}/") | {"note": '"><img src=y>', "amount": "99"}
    for response in (page.get(f"/catalog/{product.pk}/"), page.post(f"/catalog/{product.pk}/order/", form)):
        content = response.content.decode()
        assert "<script>alert" not in content
        assert "<img" not in content


def test_the_form_costs_a_fixed_number_of_queries(page: Client, product: Product) -> None:
    few, panel = (len(statements_of(page, url)) for url in (f"/catalog/{product.pk}/", f"/panels/sheet/{product.pk}/"))
    for number in range(10, 40):
        Offer.objects.create(product=product, remote_id=number, name=f"P{number}", available=number)
    assert len(statements_of(page, f"/catalog/{product.pk}/")) == few
    # Session, person, roles, versions; product, offers, the right to spend, the person's cap.
    assert len(statements_of(page, f"/panels/sheet/{product.pk}/")) == panel == 7


def test_no_query_reads_a_whole_table(page: Client, product: Product) -> None:
    Account.objects.update(daily_cap_usd=50)
    Membership.objects.update(daily_cap_usd=50)
    assert whole_reads(statements_of(page, f"/catalog/{product.pk}/?amount=3&provider=4&note=x")) == []


# Again


def test_order_again_leads_to_the_form_as_it_was(
    page: Client, operator: Any, account: Account, product: Product
) -> None:
    order = make_order(account)
    make_booking(account, order=order)
    Purchase.objects.create(
        account=account, kind="order", status="confirmed", requested_by=operator, product=product, target="product 1",
        amount=3, provider_id=4, provider_name="T-Mobile", price_usd="4.29", note="Line & more", order=order,
    )  # fmt: skip
    content = page.get(f"/orders/{order.pk}/").content.decode()
    link = re.search(rf'href="(/catalog/{product.pk}/\?[^"]+)"', content)
    assert link is not None
    form = form_of(page, link[1].replace("&amp;", "&"))
    assert (form["amount"], form["provider"], form["note"]) == ("3", "4", "Line &amp; more")


def test_order_again_of_an_order_made_elsewhere_finds_the_product_alike(
    page: Client, account: Account, product: Product
) -> None:
    order = make_order(account)
    make_booking(account, order=order)
    make_booking(account, order=order)
    assert f'href="/catalog/{product.pk}/?amount=2#order"' in page.get(f"/orders/{order.pk}/").content.decode()
    Product.objects.update(on_sale=False)
    content = page.get(f"/orders/{order.pk}/").content.decode()
    assert "/catalog/" not in content.split('id="main"')[1]
    assert "ANOSIM does not offer this product any more." in content


def test_a_prefilled_form_takes_no_nonsense(page: Client, product: Product) -> None:
    form = form_of(page, f"/catalog/{product.pk}/?amount=999999&provider=abc&note=%3Cb%3E")
    assert (form["amount"], form["provider"], form["note"]) == ("20", "0", "&lt;b&gt;")
    assert form_of(page, f"/catalog/{product.pk}/?amount=-4")["amount"] == "1"
