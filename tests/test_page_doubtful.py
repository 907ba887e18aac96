"""Doubtful purchases: the evidence side by side, and a manager's decision with a reason, once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.live import topics
from dashboard.models import Account, AuditEvent, Booking, Order, Purchase

from .factories import make_booking, make_order, make_product, make_purchase
from .query_plans import statements_of, whole_reads


@pytest.fixture
def page(client: Client, manager: Any, confirmed: Callable[[Client], None]) -> Client:
    client.force_login(manager)
    confirmed(client)
    return client


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def row(order: Order, what: str = "Germany Activation WhatsApp", number: str = "+4915234477190") -> dict[str, Any]:
    assert order.ordered_at is not None
    return {"at": order.ordered_at.isoformat(), "price": str(order.price_usd), "numbers": [number], "what": [what]}


@pytest.fixture
def known(account: Account) -> Order:
    """An order that was in the provider's list before."""
    return make_order(account, remote_id=100)


@pytest.fixture
def found(account: Account) -> list[Order]:
    """Two orders that came since; both fit."""
    orders = [make_order(account, remote_id=pk) for pk in (101, 102)]
    for order in orders:
        make_booking(account, order=order)
    return orders


@pytest.fixture
def doubtful(account: Account, operator: Any, known: Order, found: list[Order]) -> Purchase:
    now = timezone.now()
    before = {"at": now.isoformat(), "orders": {"100": row(known)}, "total": 1, "balance": "20.00"}
    seen = {str(order.remote_id): row(order) for order in (known, *found)}
    return make_purchase(
        account, operator, status="needs_review", sent_at=now, note="Support line", before=before,
        after={"at": now.isoformat(), "orders": seen, "total": 3, "balance": "17.14", "fits": [101, 102]},
        words="More than one order fits.",
    )  # fmt: skip


def test_the_evidence_stands_side_by_side_with_the_new_orders_marked(page: Client, doubtful: Purchase) -> None:
    response = page.get("/purchases/doubtful/")
    text = text_of(response)
    assert "More than one order fits." in text
    assert "What we sent Asked for by operator For what Support line" in text
    assert "Balance moved by $2.86" in text
    assert "Balance $20.00" in text
    assert "Balance $17.14" in text
    before, after = response.content.decode().split("<h3>Before</h3>")[1].split("<h3>After</h3>")
    assert "#100" in before
    assert "#101" not in before
    new = re.findall(r'<li class="new"><b class="mono">#(\d+)</b>', after.split("<form")[0])
    assert sorted(new) == ["101", "102"]
    assert after.count(">fits<") == 2


def test_only_stored_orders_that_answer_no_purchase_can_be_chosen(
    page: Client, account: Account, operator: Any, doubtful: Purchase, found: list[Order], known: Order
) -> None:
    make_purchase(account, operator, order=found[1], status="confirmed")
    old = make_order(account, ordered_at=timezone.now() - timedelta(days=9))
    content = page.get("/purchases/doubtful/").content.decode()
    assert re.findall(r'name="order" value="(\d+)"', content) == [str(found[0].pk)]
    for order in (found[1], old):
        response = page.post(
            f"/purchases/{doubtful.pk}/decide/", {"decision": "order", "order": order.pk, "reason": "It is."}
        )
        assert response.status_code == 422
        assert "Choose the order that it is." in text_of(response)
    doubtful.refresh_from_db()
    assert doubtful.status == "needs_review"


def test_it_is_this_order(page: Client, manager: Any, operator: Any, doubtful: Purchase, found: list[Order]) -> None:
    form = {"decision": "order", "order": str(found[0].pk), "reason": "Anna saw it <come>."}
    response = page.post(f"/purchases/{doubtful.pk}/decide/", form, follow=True)
    assert response.redirect_chain == [(f"/purchases/{doubtful.pk}/", 303)]
    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.order, doubtful.charged_usd) == ("confirmed", found[0], Decimal("1.43"))
    step = doubtful.steps.get()
    assert (step.by, step.words) == (manager, "manager: Anna saw it <come>.")
    booking = Booking.objects.get(order=found[0])
    assert (booking.note, booking.assignee) == ("Support line", operator)
    event = AuditEvent.objects.get(action="purchase.decided")
    assert event.details["decision"] == "order"
    assert event.details["reason"] == "Anna saw it <come>."
    assert "Anna saw it &lt;come&gt;." in response.content.decode()


def test_it_was_not_bought(page: Client, doubtful: Purchase) -> None:
    page.post(f"/purchases/{doubtful.pk}/decide/", {"decision": "absent", "order": "7", "reason": "Asked ANOSIM."})
    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.order) == ("absent", None)
    assert AuditEvent.objects.get().details["decision"] == "absent"


def test_a_decision_sent_twice_counts_once(page: Client, doubtful: Purchase, found: list[Order]) -> None:
    url = f"/purchases/{doubtful.pk}/decide/"
    page.post(url, {"decision": "absent", "reason": "First."})
    response = page.post(url, {"decision": "order", "order": found[0].pk, "reason": "Second."}, follow=True)
    assert "It stands already: Not bought." in response.content.decode()
    doubtful.refresh_from_db()
    assert doubtful.status == "absent"
    assert doubtful.steps.count() == AuditEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"decision": "absent", "reason": "   "}, "A decision needs a reason."),
        ({"decision": "order", "order": "FOUND"}, "A decision needs a reason."),
        ({"decision": "order", "reason": "Kept <words>"}, "Choose the order that it is."),
        ({"decision": "order", "order": "x", "reason": "Kept <words>"}, "Choose the order that it is."),
        ({"reason": "Kept <words>"}, "Say which of the two it is."),
    ],
)
def test_what_is_missing_is_said_in_place_and_the_rest_is_kept(
    page: Client, doubtful: Purchase, found: list[Order], form: dict[str, str], words: str
) -> None:
    form = {name: value.replace("FOUND", str(found[0].pk)) for name, value in form.items()}
    response = page.post(f"/purchases/{doubtful.pk}/decide/", form)
    content = response.content.decode()
    assert response.status_code == 422
    assert words in content
    assert ("Kept &lt;words&gt;</textarea>" in content) is ("Kept" in form["reason"] if "reason" in form else False)
    if form.get("order") == str(found[0].pk):
        assert re.search(rf'value="{found[0].pk}"[^>]* checked', content)
    doubtful.refresh_from_db()
    assert doubtful.status == "needs_review"
    assert not AuditEvent.objects.exists()


def test_one_that_is_still_looked_at_is_shown_but_not_decided(page: Client, account: Account, operator: Any) -> None:
    purchase = make_purchase(account, operator, status="unknown", checks=2)
    assert "Still being looked at" in page.get("/purchases/doubtful/").content.decode()
    response = page.post(f"/purchases/{purchase.pk}/decide/", {"decision": "absent", "reason": "x"}, follow=True)
    assert "It stands already: Not known yet." in response.content.decode()
    purchase.refresh_from_db()
    assert purchase.status == "unknown"


def test_managers_are_told_how_many_wait_for_them(
    client: Client, doubtful: Purchase, manager: Any, operator: Any, admin: Any, account: Account
) -> None:
    make_purchase(account, operator, status="needs_review")
    for person, told in ((manager, True), (admin, True), (operator, False)):
        client.force_login(person)
        content = client.get("/purchases/").content.decode()
        assert ("2 doubtful purchases." in content) is told
        assert ('id="nav-count-purchases">2<' in content) is told
        assert ("/purchases/doubtful/#case" in client.get(f"/purchases/{doubtful.pk}/").content.decode()) is told


def test_who_may_look_and_decide(
    client: Client,
    confirmed: Callable[[Client], None],
    doubtful: Purchase,
    admin: Any,
    manager: Any,
    operator: Any,
    viewer: Any,
    stranger: Any,
) -> None:
    urls = ("/purchases/doubtful/", "/panels/doubtful/")
    decide, form = f"/purchases/{doubtful.pk}/decide/", {"decision": "absent", "reason": "Asked."}
    assert [client.get(url).status_code for url in urls] == [302, 302]
    assert client.post(decide, form).status_code == 302
    for person in (operator, viewer, stranger):
        client.force_login(person)
        assert [client.get(url).status_code for url in urls] == [404, 404]
        assert client.post(decide, form).status_code == 404
    doubtful.refresh_from_db()
    assert doubtful.status == "needs_review"
    for person in (manager, admin):
        client.force_login(person)
        assert [client.get(url).status_code for url in urls] == [200, 200]
        assert client.get(decide).status_code == 405
        confirmed(client)
        Purchase.objects.filter(pk=doubtful.pk).update(status="needs_review")
        assert client.post(decide, form).status_code == 303


def test_a_manager_of_one_account_decides_nothing_in_another(
    page: Client, foreign_account: Account, admin: Any
) -> None:
    foreign = make_purchase(foreign_account, admin, status="needs_review")
    assert str(foreign.pk) not in page.get("/purchases/doubtful/").content.decode()
    form = {"decision": "absent", "reason": "x"}
    assert page.post(f"/purchases/{foreign.pk}/decide/", form).status_code == 404


def test_a_decision_needs_the_token_of_the_site(doubtful: Purchase, manager: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)
    assert client.post(f"/purchases/{doubtful.pk}/decide/", {"decision": "absent", "reason": "x"}).status_code == 403


def test_a_nudge_keeps_what_is_being_typed(page: Client, account: Account, doubtful: Purchase) -> None:
    content = page.get("/purchases/doubtful/").content.decode()
    assert re.search(rf'<form[^>]* id="decide-{doubtful.pk}" data-keep', content)
    url = re.search(r'id="doubtful-panel"[^>]*hx-get="([^"]+)"', content)
    assert url is not None
    path = url[1].replace("&amp;", "&")
    assert page.get(path).status_code == 204
    topics.touch(account.pk, topics.PURCHASES)
    assert page.get(path).status_code == 200


def test_evidence_without_looks_and_of_odd_shape_is_no_error(page: Client, account: Account, operator: Any) -> None:
    make_purchase(account, operator, status="needs_review")
    orders = {"7": {"at": "<b>", "price": "<i>x", "numbers": ["<img src=x>"], "what": ["<script>alert(1)</script>"]}}
    odd = {"at": "", "orders": orders, "total": 1, "balance": ""}
    make_purchase(
        account, operator, status="needs_review", before=odd, after=odd, refusal="<img>", words="<img>",
        product=make_product(account, service="<img>"),
    )  # fmt: skip
    content = page.get("/purchases/doubtful/").content.decode()
    assert "<img" not in content
    assert "<script>alert" not in content
    assert "&lt;script&gt;alert(1)" in content


def test_the_cost_does_not_grow_with_the_cases(
    page: Client, account: Account, operator: Any, doubtful: Purchase
) -> None:
    few = len(statements_of(page, "/panels/doubtful/"))
    for _ in range(10):
        make_purchase(account, operator, status="needs_review")
        make_booking(account, order=make_order(account))
    # Session, person, roles, versions; the purchases, the orders they could be, and their bookings.
    assert len(statements_of(page, "/panels/doubtful/")) == few == 7


def test_no_query_reads_a_whole_table(client: Client, admin: Any, foreign_account: Account, doubtful: Purchase) -> None:
    client.force_login(admin)
    assert whole_reads(statements_of(client, "/purchases/doubtful/")) == []


def test_an_older_sign_in_asks_who_it_is_and_then_decides_without_a_second_form(
    page: Client, confirmed: Callable[..., None], doubtful: Purchase
) -> None:
    confirmed(page, seconds_ago=601)
    decide = f"/purchases/{doubtful.pk}/decide/"
    asked = page.post(decide, {"decision": "absent", "reason": "ANOSIM said so."})
    assert (asked.status_code, asked["Location"].partition("?")[0]) == (302, "/accounts/confirm/")
    doubtful.refresh_from_db()
    assert doubtful.status == "needs_review"
    decided = page.post(asked["Location"], {"password": "manager-password", "next": decide})
    assert decided.status_code == 303
    doubtful.refresh_from_db()
    assert (doubtful.status, AuditEvent.objects.filter(action="purchase.decided").count()) == ("absent", 1)


def test_a_wrong_password_there_decides_nothing(
    page: Client, confirmed: Callable[..., None], doubtful: Purchase
) -> None:
    confirmed(page, seconds_ago=601)
    decide = f"/purchases/{doubtful.pk}/decide/"
    asked = page.post(decide, {"decision": "absent", "reason": "ANOSIM said so."})
    answer = page.post(asked["Location"], {"password": "nonsense", "next": decide})
    assert "That is not your password." in answer.content.decode()
    doubtful.refresh_from_db()
    assert doubtful.status == "needs_review"
