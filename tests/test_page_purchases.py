"""A purchase's own page in each of its states, the list of all, and taking one back."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.live import topics
from dashboard.models import Account, AuditEvent, Membership, Purchase, PurchaseStep, User

from .factories import make_account, make_booking, make_order, make_product, make_purchase, make_sms
from .query_plans import statements_of, whole_reads


@pytest.fixture
def page(client: Client, operator: Any) -> Client:
    client.force_login(operator)
    return client


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def shown(response: Any) -> list[str]:
    return re.findall(r'<tr id="purchase-([0-9a-f-]+)"', response.content.decode())


@pytest.mark.parametrize(
    ("status", "words", "moving"),
    [
        ("queued", "Waiting to be sent. It goes on by itself. Nothing is spent yet.", True),
        ("preparing", "Preparing. Price and balance are read once more.", True),
        ("sending", "Sending. ANOSIM was asked for it. Do not order again.", True),
        ("confirmed", "The numbers follow in a moment", False),
        ("rejected", "Refused. Nothing was bought. You can order again", False),
        ("unknown", "Not known yet: do not order again.", True),
        ("absent", "Not bought. Nothing was spent. Order again?", False),
        ("needs_review", "A manager decides. Do not order again: it may have been bought.", False),
        ("cancelled", "Taken back.", False),
    ],
)
def test_each_state_says_how_it_stands_and_what_to_do(
    page: Client, operator: Any, account: Account, status: str, words: str, moving: bool
) -> None:
    purchase = make_purchase(account, operator, status=status, note="Support line", amount=2)
    response = page.get(f"/purchases/{purchase.pk}/")
    text = text_of(response)
    assert words in text
    assert "2 × WhatsApp, Germany" in text
    assert "Asked for by operator" in text
    assert "For what Support line" in text
    assert "Price confirmed $1.43" in text
    pace = "3s" if status == "unknown" else "1s" if moving else "60s"
    assert f'hx-trigger="nudge, every {pace}"' in response.content.decode()
    offered = (
        "Order again"
        in response.content.decode().split("purchase-outcome")[1].split("</section>")[0].split("</p>", 1)[1]
    )
    assert offered is (status in ("rejected", "absent", "cancelled", "confirmed"))


def test_a_bought_one_shows_its_numbers_and_the_code_as_it_comes(page: Client, operator: Any, account: Account) -> None:
    order = make_order(account)
    bookings = [make_booking(account, order=order) for _ in range(2)]
    purchase = make_purchase(account, operator, status="confirmed", order=order, charged_usd="2.86", price_usd="2.86")
    content = page.get(f"/purchases/{purchase.pk}/").content.decode()
    for booking in bookings:
        assert f'data-copy="{booking.number}"' in content
        assert f'href="/bookings/{booking.pk}/"' in content
    assert content.count("Waiting for SMS") == 2
    url = re.search(r'id="purchase-panel"[^>]*hx-get="([^"]+)"', content)
    assert url is not None
    path = url[1].replace("&amp;", "&")
    assert page.get(path).status_code == 204
    make_sms(bookings[0])
    topics.touch(account.pk, topics.SMS)
    fragment = page.get(path).content.decode()
    assert 'data-copy="482913"' in fragment
    assert fragment.count("Waiting for SMS") == 1


def test_a_refused_one_gives_the_providers_own_words_and_a_way_on(
    page: Client, operator: Any, account: Account
) -> None:
    purchase = make_purchase(
        account, operator, status="rejected", refusal="Not enough numbers <b>available</b>", amount=3, note="x"
    )
    response = page.get(f"/purchases/{purchase.pk}/")
    assert "Not enough numbers &lt;b&gt;available" in response.content.decode()
    assert "Choose another provider or fewer numbers" in text_of(response)
    assert f'href="/catalog/{purchase.product_id}/?amount=3&amp;note=x#order"' in response.content.decode()


def test_an_unknown_one_says_what_is_looked_at_when_next_and_how_often(
    page: Client, operator: Any, account: Account
) -> None:
    next_at = timezone.now() + timedelta(seconds=30)
    purchase = make_purchase(
        account, operator, status="unknown", checks=3, next_check_at=next_at, sent_at=timezone.now(),
        words="Not known yet: do not order again. We are looking whether it was bought. The connection broke.",
    )  # fmt: skip
    response = page.get(f"/purchases/{purchase.pk}/")
    text = text_of(response)
    assert text.count("do not order again") == 1
    assert "The connection broke." in text
    assert "orders and the balance are compared" in text
    assert "Looked so far 3 times" in text
    assert f'data-ends="{next_at:%Y-%m-%dT%H:%M:%SZ}"' in response.content.decode()
    assert "Order again" not in response.content.decode()


def test_a_look_that_proves_nothing_moves_the_panel_too(page: Client, operator: Any, account: Account) -> None:
    purchase = make_purchase(account, operator, status="unknown", checks=1)
    content = page.get(f"/purchases/{purchase.pk}/").content.decode()
    url = re.search(r'id="purchase-panel"[^>]*hx-get="([^"]+)"', content)
    assert url is not None
    path = url[1].replace("&amp;", "&")
    assert page.get(path).status_code == 204
    Purchase.objects.update(checks=2)
    assert "2 times" in page.get(path).content.decode()


def test_the_history_is_told_in_words_newest_first(page: Client, operator: Any, account: Account) -> None:
    purchase = make_purchase(account, operator, status="queued")
    now = timezone.now()
    for number, (old, new, words) in enumerate(
        [
            ("", "queued", "Asked for."),
            ("queued", "preparing", "Reading price and balance."),
            ("preparing", "queued", "Waiting: ANOSIM is <down>."),
        ]
    ):
        by = operator if not old else None
        at = now + timedelta(seconds=number)
        PurchaseStep.objects.create(purchase=purchase, old=old, new=new, words=words, by=by, at=at)
    text = text_of(page.get(f"/purchases/{purchase.pk}/"))
    lines = ("Waiting: ANOSIM is &lt;down&gt;.", "Reading price and balance", "Asked for by operator")
    places = [text.rindex(line) for line in lines]
    assert places == sorted(places)
    assert text.count("Waiting:") == 1


def test_extensions_and_reuses_name_their_number(page: Client, operator: Any, account: Account) -> None:
    booking = make_booking(account, number="+4915234477190")
    extension = make_purchase(account, operator, kind="extend", booking=booking, minutes=43200)
    reuse = make_purchase(account, operator, kind="reuse", booking=booking, status="rejected")
    assert "+49 1523 4477190 for 30 days more" in text_of(page.get(f"/purchases/{extension.pk}/"))
    content = page.get(f"/purchases/{reuse.pk}/").content.decode()
    assert "+49 1523 4477190 again, for WhatsApp" in content
    assert f'href="/bookings/{booking.pk}/"' in content


# Taking back


def test_who_asked_may_take_it_back_while_it_waits(page: Client, operator: Any, account: Account) -> None:
    purchase = make_purchase(account, operator)
    url = f"/purchases/{purchase.pk}/withdraw/"
    assert f'action="{url}"' in page.get(f"/purchases/{purchase.pk}/").content.decode()
    for _ in range(2):
        response = page.post(url, follow=True)
        assert response.redirect_chain == [(f"/purchases/{purchase.pk}/", 303)]
        assert "Nothing was sent and nothing was spent." in response.content.decode()
    purchase.refresh_from_db()
    assert purchase.status == "cancelled"
    assert [step.by for step in purchase.steps.all()] == [operator]
    assert AuditEvent.objects.filter(action="purchase.withdrawn").count() == 1


@pytest.mark.parametrize("status", ["preparing", "sending", "confirmed", "unknown"])
def test_what_is_on_its_way_is_not_taken_back(page: Client, operator: Any, account: Account, status: str) -> None:
    purchase = make_purchase(account, operator, status=status)
    response = page.post(f"/purchases/{purchase.pk}/withdraw/", follow=True)
    assert "Too late to take it back" in response.content.decode()
    purchase.refresh_from_db()
    assert purchase.status == status
    assert not AuditEvent.objects.exists()


def test_who_may_see_and_take_back(
    client: Client, account: Account, admin: Any, manager: Any, operator: Any, viewer: Any, stranger: Any
) -> None:
    other = User.objects.create_user("other")
    Membership.objects.create(user=other, account=account, role="operator")
    cast = {"admin": admin, "manager": manager, "operator": operator, "viewer": viewer, "other": other}
    for name in (*cast, "stranger", "nobody"):
        purchase = make_purchase(account, operator)
        client.logout()
        if name != "nobody":
            client.force_login(cast.get(name, stranger))
        urls = (f"/purchases/{purchase.pk}/", f"/panels/purchase/{purchase.pk}/")
        seen = {"stranger": 404, "nobody": 302}.get(name, 200)
        assert [client.get(url).status_code for url in urls] == [seen, seen], name
        assert client.get("/purchases/").status_code == (302 if name == "nobody" else 200)
        assert client.get("/panels/purchases/").status_code == (302 if name == "nobody" else 200)
        withdraw = f"/purchases/{purchase.pk}/withdraw/"
        assert client.get(withdraw).status_code == (302 if name == "nobody" else 405)
        allowed = {"admin": 303, "manager": 303, "operator": 303, "nobody": 302}.get(name, 404)
        assert client.post(withdraw).status_code == allowed, name
        purchase.refresh_from_db()
        assert (purchase.status == "cancelled") is (allowed == 303)
    client.force_login(stranger)
    assert shown(client.get("/purchases/")) == []
    assert client.get(f"/purchases/{uuid4()}/").status_code == 404


def test_taking_back_needs_the_token_of_the_site(operator: Any, account: Account) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post(f"/purchases/{make_purchase(account, operator).pk}/withdraw/").status_code == 403


# The list


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"a", "b", "c"}),
        ("q=support", {"a"}),
        ("q=telegram", {"b"}),
        ("q=poland", {"b"}),
        ("q=%2B49+1523+4477190", {"a"}),
        ("q=4477191", {"c"}),
        ("status=open", {"b"}),
        ("status=bought", {"a"}),
        ("status=unknown", {"c"}),
        ("status=not-bought", set()),
        ("status=nonsense&who=x", {"a", "b", "c"}),
        ("who=OPERATOR", {"a", "b"}),
        ("who=MANAGER&status=unknown", {"c"}),
    ],
)
def test_filters_of_the_url_narrow_the_list(
    page: Client, operator: Any, manager: Any, account: Account, query: str, expected: set[str]
) -> None:
    order = make_order(account)
    make_booking(account, order=order, number="+4915234477190")
    extended = make_booking(account, number="+4915234477191")
    telegram = make_product(account, service="Telegram", country="Poland")
    rows = {
        "a": make_purchase(account, operator, status="confirmed", order=order, note="Support line"),
        "b": make_purchase(account, operator, product=telegram),
        "c": make_purchase(account, manager, status="unknown", kind="extend", booking=extended, minutes=60),
    }
    query = query.replace("OPERATOR", str(operator.pk)).replace("MANAGER", str(manager.pk))
    assert set(shown(page.get(f"/purchases/?{query}"))) == {str(rows[name].pk) for name in expected}


def test_pages_lead_through_the_whole_list_once_in_each_order(page: Client, operator: Any, account: Account) -> None:
    product = make_product(account)
    now = timezone.now()
    for number in range(120):
        at = now - timedelta(seconds=number // 3)  # several of one moment
        make_purchase(account, operator, product=product, created_at=at, price_usd=Decimal(number % 5), status="absent")
    for sort in ("newest", "oldest", "dearest"):
        seen: list[str] = []
        url = f"/purchases/?sort={sort}"
        while url:
            response = page.get(url)
            seen += shown(response)
            link = re.search(r'href="([^"]+)" rel="next"', response.content.decode())
            url = link[1].replace("&amp;", "&") if link else ""
        assert len(seen) == len(set(seen)) == 120, sort
        stored = {str(row.pk): row for row in Purchase.objects.all()}
        if sort == "dearest":
            keys = [-stored[pk].price_usd for pk in seen]
            assert keys == sorted(keys)
        else:
            moments = [stored[pk].created_at for pk in seen]
            assert moments == sorted(moments, reverse=sort == "newest")


@pytest.mark.parametrize(
    "query",
    ["after=AAAA&before=%00", "after=" + "W" * 900, "q=%00%25'", "who=99999999999999999999", "status=%00", "sort=x",
     "after=WyJuZXdlc3QiLCIyMDI2LTEtMSIsIng iXQ"],
)  # fmt: skip
def test_a_malformed_filter_is_no_error(page: Client, operator: Any, account: Account, query: str) -> None:
    make_purchase(account, operator)
    assert page.get(f"/purchases/?{query}").status_code == 200
    assert page.get(f"/panels/purchases/?{query}").status_code == 200


def test_an_empty_list_says_what_comes_there(page: Client) -> None:
    assert "No purchases yet" in page.get("/purchases/").content.decode()


def test_the_list_shows_the_accounts_of_the_person_only(page: Client, operator: Any, admin: Any) -> None:
    make_purchase(make_account("Other"), admin)
    assert shown(page.get("/purchases/")) == []
    assert "admin" not in page.get("/purchases/").content.decode().split("</form>")[-2]


def test_the_cost_does_not_grow_with_the_rows(page: Client, operator: Any, account: Account) -> None:
    def more(count: int) -> None:
        for _ in range(count):
            booking = make_booking(account, order=make_order(account))
            make_purchase(account, operator, order=booking.order, status="confirmed")
            make_purchase(account, operator, kind="extend", booking=booking, minutes=60, status="absent")

    more(5)
    few, whole_page = (len(statements_of(page, url)) for url in ("/panels/purchases/", "/purchases/"))
    more(20)
    # Session, person, roles, versions; rows and their count.
    assert len(statements_of(page, "/panels/purchases/")) == few == 6
    assert len(statements_of(page, "/purchases/")) == whole_page


def test_the_cost_of_a_purchase_does_not_grow_with_its_numbers_and_steps(
    page: Client, operator: Any, account: Account
) -> None:
    order = make_order(account)
    purchase = make_purchase(account, operator, order=order, status="confirmed")
    url = f"/panels/purchase/{purchase.pk}/"
    few = len(statements_of(page, url))
    for _ in range(10):
        make_sms(make_booking(account, order=order))
        PurchaseStep.objects.create(purchase=purchase, new="queued", by=operator)
    # Session, person, roles, versions; the purchase, its steps, its bookings.
    assert len(statements_of(page, url)) == few == 7


def test_no_query_reads_a_whole_table(page: Client, operator: Any, account: Account, foreign_account: Account) -> None:
    purchase = make_purchase(account, operator)
    urls = [
        "/purchases/",
        f"/purchases/?q=4477&status=open&who={operator.pk}",
        "/purchases/?sort=dearest",
        f"/purchases/{purchase.pk}/",
    ]
    for _ in range(2):
        for url in urls:
            assert whole_reads(statements_of(page, url)) == [], url
        Membership.objects.get_or_create(user=operator, account=foreign_account)


def test_texts_of_strangers_are_escaped(page: Client, operator: Any, account: Account) -> None:
    product = make_product(account, service="<script>alert(1)</script>", country='"><img>')
    purchase = make_purchase(
        account, operator, product=product, status="rejected", refusal="<img src=x>", note="<b>note</b>",
        provider_name="<i>P</i>", words="<img>",
    )  # fmt: skip
    PurchaseStep.objects.create(purchase=purchase, new="rejected", words="<img src=x>")
    for url in ("/purchases/", f"/purchases/{purchase.pk}/"):
        content = page.get(url).content.decode()
        for tag in ("<script>alert", "<img", "<b>note", "<i>P"):
            assert tag not in content
