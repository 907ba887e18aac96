"""The Activity page: what each person reads there, in which words, and what asking for it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client, RequestFactory

from dashboard import audit
from dashboard.models import Account, AuditEvent, Booking, Membership, User

from .factories import make_account, make_booking, make_order, make_product, make_purchase
from .query_plans import sorts, statements_of, whole_reads


@pytest.fixture
def page(client: Client, manager: Any) -> Client:
    client.force_login(manager)
    return client


def deed(person: Any, action: str, subject: Any = None, details: Any = None, **fields: Any) -> AuditEvent:
    request = RequestFactory().post("/", REMOTE_ADDR="203.0.113.9", HTTP_USER_AGENT="Firefox")
    if person is not None:
        request.user = person
    return audit.note(request, action, details, subject=subject, **fields)


def shown(response: Any) -> list[int]:
    return [int(pk) for pk in re.findall(r'<tr id="event-(\d+)"', response.content.decode())]


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_a_manager_sees_the_purchase_and_the_refusal_above_the_cap(
    client: Client, account: Account, operator: Any, manager: Any
) -> None:
    """Through the forms, as the operator sends them."""
    account.order_cap_usd = Decimal("5.00")
    account.balance_usd = Decimal("100")
    account.save()
    product = make_product(account)
    client.force_login(operator)
    for amount in ("1", "4"):
        form = {"token": str(uuid4()), "amount": amount, "provider": "0", "price": "1.43", "note": ""}
        client.post(f"/catalog/{product.pk}/order/", form)
    client.force_login(manager)
    text = text_of(client.get("/activity/"))
    assert "operator Operator ordered 1 × WhatsApp, Germany for $1.43" in text
    assert "operator Operator was refused 4 × WhatsApp, Germany for $5.72: $5.72 is above the cap of $5.00" in text


def test_everybody_sees_what_is_theirs_to_see(
    client: Client, account: Account, foreign_account: Account,
    admin: Any, manager: Any, operator: Any, viewer: Any, stranger: Any,
) -> None:  # fmt: skip
    ours, theirs = make_booking(account), make_booking(foreign_account)
    events = {
        "operator's": deed(operator, "booking.noted", ours),
        "viewer's": deed(viewer, "access.denied"),
        "manager's": deed(manager, "account.paused", account),
        "machine's": audit.by_machine("booking.change_ended", ours),
        "foreign": deed(admin, "booking.noted", theirs),
        "visitor's": deed(None, "sign_in.failed", typed_name="x"),
        "operator's sign-in": deed(operator, "sign_in.done"),
    }
    names = {event.pk: name for name, event in events.items()}
    seen = {}
    for person in (admin, manager, operator, viewer, stranger):
        client.force_login(person)
        seen[person.username] = {names[pk] for pk in shown(client.get("/activity/"))}
        assert {names[pk] for pk in shown(client.get("/panels/activity/"))} == seen[person.username]
    assert seen["admin"] == set(events)
    assert seen["manager"] == {"operator's", "manager's", "machine's"}
    assert seen["operator"] == {"operator's", "operator's sign-in"}
    assert seen["viewer"] == {"viewer's"}
    assert seen["stranger"] == set()


def test_who_is_not_signed_in_is_sent_to_the_sign_in(client: Client, db: None) -> None:
    assert client.get("/activity/").status_code == 302
    assert client.get("/panels/activity/").status_code == 302


def test_who_lost_an_account_does_not_see_their_deeds_in_it_any_more(
    client: Client, account: Account, operator: Any
) -> None:
    deed(operator, "booking.noted", make_booking(account))
    own = deed(operator, "sign_in.done")
    Membership.objects.filter(user=operator).delete()
    client.force_login(operator)
    assert shown(client.get("/activity/")) == [own.pk]


def test_a_manager_of_one_account_sees_only_their_own_deeds_in_another(
    page: Client, account: Account, foreign_account: Account, manager: Any, admin: Any
) -> None:
    Membership.objects.create(user=manager, account=foreign_account, role="operator")
    ours = deed(admin, "booking.noted", make_booking(account))
    deed(admin, "booking.noted", make_booking(foreign_account))
    mine = deed(manager, "booking.noted", make_booking(foreign_account))
    assert shown(page.get("/activity/")) == [mine.pk, ours.pk]
    assert shown(page.get(f"/activity/?account={foreign_account.pk}")) == [mine.pk]
    assert shown(page.get(f"/activity/?account={account.pk}")) == [ours.pk]


@pytest.fixture
def several(account: Account, operator: Any, manager: Any) -> dict[str, AuditEvent]:
    booking = make_booking(account, number="+4915234000001")
    product = make_product(account)
    return {
        "asked": deed(operator, "purchase.asked", make_purchase(account, operator, product=product)),
        "noted": deed(operator, "booking.noted", booking),
        "role": deed(manager, "membership.changed", operator, account_id=account.pk),
        "export": deed(manager, "sms.exported", account),
        "denied": deed(operator, "access.denied", account_id=account.pk),
        "machine": audit.by_machine("booking.change_ended", booking),
        "old": AuditEvent.objects.create(
            account=account, action="account.paused", at=datetime(2025, 1, 2, 12, tzinfo=UTC)
        ),
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("kind=purchases", {"asked"}),
        ("kind=bookings", {"noted", "machine"}),
        ("kind=people", {"role", "old"}),
        ("kind=exports", {"export"}),
        ("kind=denied", {"denied"}),
        ("who={operator}", {"asked", "noted", "denied"}),
        ("who={operator}&kind=bookings", {"noted"}),
        ("who=people", {"asked", "noted", "role", "export", "denied", "old"}),
        ("q=whatsapp", {"asked"}),
        ("q=4000001", {"noted", "machine"}),
        ("from=2025-01-02&to=2025-01-02", {"old"}),
        ("to=2025-01-01", set()),
        ("account={account}&q=nothing+of+this", set()),
    ],
)
def test_the_list_can_be_narrowed(
    page: Client, account: Account, operator: Any, several: dict[str, AuditEvent], query: str, names: set[str]
) -> None:
    url = "?" + query.format(operator=operator.pk, account=account.pk)
    found = set(shown(page.get(f"/activity/{url}")))
    assert found == {several[name].pk for name in names}
    assert set(shown(page.get(f"/panels/activity/{url}"))) == found


@pytest.mark.parametrize(
    "query",
    [
        "kind=x&who=x&from=x&to=9999-12-31&q=%00",
        "booking=x&purchase=x&order=-1&person=%C2%B2",
        "after=eA&before=x&sort=x",
    ],
)
def test_a_malformed_filter_is_no_error(page: Client, several: Any, query: str) -> None:
    assert page.get(f"/activity/?{query}").status_code == 200
    assert page.get(f"/panels/activity/?{query}").status_code == 200


def test_the_history_of_a_booking_is_what_was_done_to_it_and_its_purchases(
    page: Client, account: Account, operator: Any
) -> None:
    order = make_order(account)
    booking = make_booking(account, order=order, number="+4915234000001")
    bought = make_purchase(account, operator, order=order, status="confirmed")
    extended = make_purchase(account, operator, booking=booking, kind="extend")
    other = make_booking(account)
    mine = [
        deed(operator, "purchase.asked", bought),
        deed(operator, "purchase.asked", extended),
        deed(operator, "booking.noted", booking),
    ]
    deed(operator, "booking.noted", other)
    pks = [event.pk for event in reversed(mine)]
    response = page.get(f"/activity/?booking={booking.pk}")
    assert shown(response) == pks
    assert "about +49 1523 4000001" in text_of(response)
    assert shown(page.get(f"/activity/?order={order.pk}")) == [pks[0], pks[2]]
    assert shown(page.get(f"/activity/?purchase={extended.pk}")) == [pks[1]]
    assert f'href="/activity/?booking={booking.pk}"' in page.get(f"/bookings/{booking.pk}/").content.decode()
    assert f'href="/activity/?order={order.pk}"' in page.get(f"/orders/{order.pk}/").content.decode()
    assert f'href="/activity/?purchase={extended.pk}"' in page.get(f"/purchases/{extended.pk}/").content.decode()


def test_the_history_of_a_foreign_booking_tells_nothing(page: Client, foreign_account: Account, admin: Any) -> None:
    booking = make_booking(foreign_account, number="+4915234999999")
    deed(admin, "booking.noted", booking)
    response = page.get(f"/activity/?booking={booking.pk}")
    assert shown(response) == []
    assert "4999999" not in response.content.decode()


def test_an_admin_finds_what_was_done_to_a_person(
    client: Client, admin: Any, operator: Any, account: Account, confirmed: Callable[[Client], None]
) -> None:
    client.force_login(admin)
    confirmed(client)
    event = deed(admin, "membership.changed", operator, account_id=account.pk)
    deed(admin, "user.changed", admin)
    assert shown(client.get(f"/activity/?person={operator.pk}")) == [event.pk]
    content = client.get(f"/admin/dashboard/user/{operator.pk}/change/").content.decode()
    assert f"/activity/?who={operator.pk}" in content
    assert f"/activity/?person={operator.pk}" in content


def test_a_row_leads_to_the_thing_and_unfolds_to_the_details(page: Client, account: Account, operator: Any) -> None:
    booking = make_booking(account)
    deed(operator, "booking.noted", booking, {"fields": ["note", "labels"]})
    response = page.get("/activity/")
    content = response.content.decode()
    assert f'href="/bookings/{booking.pk}/"' in content
    assert "operator Operator changed note, labels of" in text_of(response)
    assert "203.0.113.9" in content
    assert "<details" in content
    assert "Browser Firefox" in text_of(response)


def test_hostile_text_is_inert_and_visible(page: Client, account: Account, manager: Any) -> None:
    bad = '<img src=x onerror=alert(1)>\u202e"\r\n{{ 7 }}{% x %}'
    manager.username = bad[:150]
    manager.save()
    product = make_product(account, service=bad, country=bad)
    deed(manager, bad[:30], product, {bad: [bad, {"x": bad}]})
    deed(manager, "purchase.declined", product, {"reason": f"{{it}} {bad}", "amount": 2, "price_usd": bad})
    content = page.get("/panels/activity/").content.decode()
    assert "<img src=x" not in content
    assert "\u202e" not in content
    assert "&lt;img src=x onerror=alert(1)&gt;[U+202E]" in content


def test_pages_follow_each_other_without_gap_or_repeat(page: Client, account: Account) -> None:
    events = [audit.by_machine("booking.change_ended", account).pk for _ in range(120)]
    seen, url = [], "/activity/"
    for _ in range(3):
        response = page.get(url)
        seen += shown(response)
        older = re.search(r'href="([^"]+)" rel="next"', response.content.decode())
        url = older[1].replace("&amp;", "&") if older else ""
    assert seen == events[::-1]
    assert url == ""


def test_it_moves_by_itself_with_each_event_of_an_account_or_of_none(
    page: Client, account: Account, manager: Any
) -> None:
    def url() -> str:
        found = re.search(r'hx-get="(/panels/activity/[^"]+)"', page.get("/activity/").content.decode())
        assert found is not None
        return found[1].replace("&amp;", "&")

    before = url()
    assert page.get(before).status_code == 204
    audit.by_machine("booking.change_ended", account)
    assert page.get(before).status_code == 200
    before = url()
    deed(manager, "sign_in.done")
    assert page.get(before).status_code == 200


def test_an_empty_list_says_what_will_stand_there(page: Client) -> None:
    assert "Nothing on record yet" in text_of(page.get("/activity/"))
    assert "Nothing fits these filters" in text_of(page.get("/activity/?kind=exports"))


def test_who_sees_only_their_own_is_told_so(client: Client, operator: Any, account: Account) -> None:
    deed(operator, "sign_in.done")
    client.force_login(operator)
    response = client.get("/activity/")
    assert "1 event, done by you" in text_of(response)
    assert 'name="who"' not in response.content.decode()


def test_a_person_or_account_that_is_gone_is_still_named(page: Client, account: Account, db: None) -> None:
    leaver = User.objects.create_user("leaver")
    deed(leaver, "booking.noted", make_booking(account))
    leaver.delete()
    assert "leaver" in text_of(page.get("/activity/"))


def test_the_cost_does_not_grow_with_the_rows(page: Client, account: Account, operator: Any) -> None:
    booking: Booking = make_booking(account)
    for _ in range(3):
        deed(operator, "booking.noted", booking)
    few = len(statements_of(page, "/panels/activity/"))
    whole = len(statements_of(page, "/activity/"))
    for number in range(40):
        deed(operator, "booking.noted", booking)
        audit.by_machine("purchase.sending", make_purchase(account, operator, target=f"product x{number}"))
    # Session, person, memberships, versions; the newest, the list, the count.
    assert len(statements_of(page, "/panels/activity/")) == few == 7
    assert len(statements_of(page, "/activity/")) == whole


def test_no_query_reads_the_whole_record_or_sorts_it(
    client: Client, account: Account, admin: Any, manager: Any, operator: Any
) -> None:
    other = make_account("Other")
    for each in (account, other):
        deed(operator, "booking.noted", make_booking(each))
    booking = make_booking(account)
    urls = [
        "/activity/",
        "/activity/?sort=oldest",
        "/activity/?kind=exports",
        f"/activity/?account={account.pk}&kind=people",
        f"/activity/?who={operator.pk}",
        "/activity/?from=2026-01-01&to=2027-01-01",
        f"/activity/?booking={booking.pk}",
    ]
    # What joins the first rows of several parts sorts those, and the events of one object are few.
    few = "UNION ALL"
    for person in (admin, manager, operator):
        client.force_login(person)
        for _ in range(2):
            for url in urls:
                statements = statements_of(client, url)
                # An admin's list has no condition: it is read in the order of an index, up to its length.
                plans = [each for each in whole_reads(statements) if "USING" not in each or "LIMIT" not in each]
                assert plans == [], (person.username, url)
                assert sorts([each for each in statements if few not in each and " IN (" not in each]) == [], (
                    person.username,
                    url,
                )
            Membership.objects.get_or_create(user=manager, account=other, role="manager")
