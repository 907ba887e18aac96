"""What people do with a booking: who may, what is cancelled, renewed, offered and told, and nothing by accident."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import Account, AuditEvent, Booking, BookingChange, Membership, Product, Purchase

from .booking_forms import HTMX, WEEK, form_of, words
from .booking_forms import activation as activation
from .booking_forms import lengths as lengths
from .booking_forms import page as page
from .booking_forms import queue as queue
from .booking_forms import rental as rental
from .factories import make_account, make_booking, make_order, make_product, make_sms
from .query_plans import statements_of, whole_reads

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]


# Who may


URLS = ("extend", "reuse", "cancel", "renewal", "notes", "menu")


def test_each_url_and_method_by_the_cast(
    client: Client, rental: Booking, admin: Any, manager: Any, operator: Any, viewer: Any, stranger: Any
) -> None:
    foreign = make_booking(make_account("Far away"))
    for name in URLS:
        own, others = f"/bookings/{rental.pk}/{name}/", f"/bookings/{foreign.pk}/{name}/"
        client.logout()
        for method in (client.get, client.post):
            assert method(own).headers["Location"].startswith("/accounts/login/")
        for person, get in ((admin, 200), (manager, 200), (operator, 200), (viewer, 403), (stranger, 404)):
            client.force_login(person)
            assert client.get(own, headers=HTMX).status_code == get, (name, person)
            post = client.post(own).status_code
            assert post in ((405,) if name == "menu" else (get,) if get > 400 else (200, 303, 422)), (name, person)
            if person != admin:
                for method in (client.get, client.post):
                    assert method(others).status_code in (404, 405), (name, person)
        assert client.put(own).status_code == 405
        assert client.get(f"/bookings/{2**70}/{name}/").status_code == 404


def test_switching_all_renewals_is_for_managers(
    client: Client,
    account: Account,
    rental: Booking,
    admin: Any,
    manager: Any,
    operator: Any,
    viewer: Any,
    stranger: Any,
) -> None:
    url = f"/bookings/renewal/{account.pk}/"
    elsewhere = f"/bookings/renewal/{make_account('Far away').pk}/"
    assert client.get(url).headers["Location"].startswith("/accounts/login/")
    for person, status in ((admin, 200), (manager, 200), (operator, 403), (viewer, 403), (stranger, 404)):
        client.force_login(person)
        assert client.get(url).status_code == status
        assert client.post(url, {"on": "1"}).status_code == (303 if status == 200 else status)
        assert client.get(elsewhere).status_code == (200 if person == admin else 404)
        assert ("Auto-renewal of all" in client.get("/bookings/").content.decode()) == (status == 200)
    assert BookingChange.objects.count() == 1
    assert BookingChange.objects.get().requested_by == admin


def test_a_get_and_a_head_change_nothing(page: Client, rental: Booking, lengths: list[Product]) -> None:
    for name in URLS:
        page.get(f"/bookings/{rental.pk}/{name}/?on=1&price=5.00&product={lengths[0].pk}&token={uuid4()}")
        page.head(f"/bookings/{rental.pk}/{name}/")
    assert not Purchase.objects.exists()
    assert not BookingChange.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_form_from_elsewhere_is_refused(rental: Booking, operator: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    for name in ("extend", "reuse", "cancel", "renewal", "notes"):
        assert client.post(f"/bookings/{rental.pk}/{name}/", {"on": "1"}).status_code == 403
    assert not BookingChange.objects.exists()


def test_a_viewer_sees_no_button_that_would_not_work(client: Client, viewer: Any, rental: Booking) -> None:
    client.force_login(viewer)
    for url in ("/", "/bookings/", f"/bookings/{rental.pk}/"):
        content = client.get(url).content.decode()
        for name in URLS:
            assert f"/bookings/{rental.pk}/{name}/" not in content
    assert "Note" in words(client.get(f"/bookings/{rental.pk}/"))


# Cancelling


def test_a_cancellation_is_queued_once_shown_under_way_and_on_record(
    page: Client, activation: Booking, operator: Any
) -> None:
    url = f"/bookings/{activation.pk}/cancel/"
    assert "Cancel, get $1.43 back" in words(page.get(url))
    first, second = page.post(url), page.post(url)
    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == f"/bookings/{activation.pk}/"
    change = BookingChange.objects.get()
    assert (change.kind, change.status, change.requested_by) == ("cancel", "queued", operator)
    said = words(page.get(f"/bookings/{activation.pk}/"))
    assert "is being cancelled" in said
    assert "Cancelling…" in said
    assert AuditEvent.objects.get().action == "booking.cancel"


def test_a_cancellation_by_script_leaves_the_page_and_lets_it_look_again(page: Client, activation: Booking) -> None:
    response = page.post(f"/bookings/{activation.pk}/cancel/", headers=HTMX)
    assert (response.status_code, response.content) == (200, b"")
    assert "is being cancelled" in response.headers["HX-Trigger"]
    assert "changed" in response.headers["HX-Trigger-After-Settle"]


def test_after_an_sms_nothing_is_cancelled(page: Client, activation: Booking) -> None:
    make_sms(activation)
    url = f"/bookings/{activation.pk}/cancel/"
    assert "An SMS has come" in words(page.get(url))
    response = page.post(url)
    assert response.status_code == 422
    assert "Nothing was done. An SMS has come" in words(response)
    assert not BookingChange.objects.exists()


@pytest.mark.parametrize(
    ("status", "said", "shown"),
    [
        ("done", "Cancelled. $1.43 back.", "Cancelled. $1.43 back."),
        ("refused", "The booking has received an SMS.", "Not cancelled: The booking has received an SMS."),
        ("unknown", "No answer came.", "Not known yet: No answer came."),
    ],
)
def test_the_result_is_told_in_words(
    page: Client, activation: Booking, operator: Any, status: str, said: str, shown: str
) -> None:
    change = BookingChange.objects.create(
        account=activation.account,
        booking=activation,
        kind="cancel",
        status=status,
        words=said,
        requested_by=operator,
    )
    content = words(page.get(f"/bookings/{activation.pk}/"))
    assert shown in content
    assert "operator cancelled it" in content
    BookingChange.objects.filter(pk=change.pk).update(status_at=timezone.now() - timedelta(hours=1))
    assert shown not in words(page.get(f"/panels/booking-hero/{activation.pk}/"))
    assert said in words(page.get(f"/bookings/{activation.pk}/"))


# Auto-renewal


def test_renewal_is_switched_and_a_second_press_is_the_same_change(page: Client, rental: Booking) -> None:
    url = f"/bookings/{rental.pk}/renewal/"
    assert form_of(page.get(url)) == {"on": "1"}
    assert page.post(url, {"on": "1"}).status_code == 303
    assert page.post(url, {"on": "1"}).status_code == 303
    assert BookingChange.objects.get().kind == "renewal_on"
    other = page.post(url, {"on": "0"})
    assert other.status_code == 422
    assert "Another change is on its way" in words(other)
    assert page.post(url, {"on": "maybe"}).status_code == 200
    assert BookingChange.objects.count() == 1


@pytest.mark.parametrize(
    ("now_on", "set_on", "shown"),
    [
        (True, None, "Auto-renewal On "),
        (True, True, "Auto-renewal On "),
        (True, False, "On: changed elsewhere. Here it was switched off."),
        (False, True, "Off: changed elsewhere. Here it was switched on."),
    ],
)
def test_a_renewal_that_was_switched_elsewhere_is_told(
    page: Client, rental: Booking, now_on: bool, set_on: bool | None, shown: str
) -> None:
    Booking.objects.update(auto_renewal=now_on, auto_renewal_set=set_on)
    assert shown in words(page.get(f"/bookings/{rental.pk}/"))
    offered = re.findall(r"Switch (on|off)", words(page.get(f"/bookings/{rental.pk}/renewal/")))
    drifts = set_on is not None and set_on != now_on
    assert offered == (["on", "off"] if drifts else ["off"])


def test_all_renewals_of_an_account_are_counted_and_switched_once(
    client: Client, manager: Any, rental: Booking
) -> None:
    client.force_login(manager)
    make_booking(rental.account)
    url = f"/bookings/renewal/{rental.account_id}/"
    assert "Switch on for all 1" in words(client.get(url))
    for _ in range(2):
        assert client.post(url, {"on": "0"}).status_code == 303
    change = BookingChange.objects.get()
    assert (change.booking, change.kind, change.account_id) == (None, "renewal_off", rental.account_id)
    assert AuditEvent.objects.get().action == "account.renewal_off"
    assert client.post(url, {"on": "1"}).status_code == 422


# What is offered, and what is told


def test_each_action_is_offered_or_says_why_not(page: Client, activation: Booking, rental: Booking) -> None:
    for url in (f"/bookings/{activation.pk}/", f"/bookings/{activation.pk}/menu/"):
        said = words(page.get(url, headers=HTMX if "menu" in url else {}))
        assert "Cancel, get $1.43 back" in said
        assert "Only rentals can be extended." in said
        assert "Activations do not renew." in said
        assert "only lets an Activation of Kleinanzeigen" in said
    for url in (f"/bookings/{rental.pk}/", f"/bookings/{rental.pk}/menu/"):
        said = words(page.get(url, headers=HTMX if "menu" in url else {}))
        assert "Extend" in said
        assert "Switch auto-renewal on" in said
        assert "Only Activations can be cancelled." in said


def test_a_row_has_a_menu_that_works_without_scripts_too(page: Client, activation: Booking) -> None:
    url = f"/bookings/{activation.pk}/menu/"
    for path in ("/", "/bookings/"):
        assert f'href="{url}"' in page.get(path).content.decode()
    assert page.get(url).headers["Location"] == f"/bookings/{activation.pk}/"


def test_the_page_says_who_ordered_and_extended_it(page: Client, rental: Booking, operator: Any) -> None:
    assert "external: not bought here" in words(page.get(f"/bookings/{rental.pk}/"))
    product = make_product(rental.account)
    values = {"account": rental.account, "product": product, "requested_by": operator, "status": "confirmed"}
    Purchase.objects.create(**values, kind="order", order=rental.order, target="a", price_usd=5, note="Support line")
    Purchase.objects.create(
        **values, kind="extend", booking=rental, minutes=WEEK, order=make_order(rental.account), target="b", price_usd=5
    )
    said = words(page.get(f"/bookings/{rental.pk}/"))
    assert "by operator" in said
    assert "operator : Support line" in said
    assert "by 7 days, operator" in said
    assert "operator extended it by 7 days" in said
    assert "external" not in said


def test_an_extension_on_its_way_stands_in_the_head(page: Client, rental: Booking, lengths: list[Product]) -> None:
    page.post(f"/bookings/{rental.pk}/extend/", form_of(page.get(f"/bookings/{rental.pk}/extend/")))
    said = words(page.get(f"/panels/booking-hero/{rental.pk}/"))
    assert "Extension: queued" in said


# What it costs


def test_the_cost_of_a_booking_does_not_grow_with_what_was_done(page: Client, rental: Booking, operator: Any) -> None:
    product = make_product(rental.account)
    hero, thread = f"/panels/booking-hero/{rental.pk}/", f"/panels/booking/{rental.pk}/"

    def count() -> tuple[int, ...]:
        return tuple(len(statements_of(page, url)) for url in (hero, thread))

    BookingChange.objects.create(
        account=rental.account, booking=rental, kind="renewal_on", status="done", requested_by=operator
    )
    few = count()
    for number in range(15):
        BookingChange.objects.create(
            account=rental.account, booking=rental, kind="renewal_on", status="done", requested_by=operator
        )
        Purchase.objects.create(
            account=rental.account,
            kind="extend",
            booking=rental,
            product=product,
            requested_by=operator,
            status="confirmed",
            target=str(number),
            price_usd=1,
        )
    assert count() == few == (8, 10)


def test_no_query_of_the_actions_reads_a_whole_table(
    client: Client, manager: Any, rental: Booking, lengths: list[Product], foreign_account: Account
) -> None:
    client.force_login(manager)
    urls = [f"/bookings/{rental.pk}/{name}/" for name in URLS] + [f"/bookings/renewal/{rental.account_id}/"]
    urls += ["/bookings/?label=support", "/bookings/?whose=mine", "/bookings/?q=line", "/bookings/?q=49152"]
    urls += [f"/panels/booking-hero/{rental.pk}/", "/"]
    for _ in range(2):
        for url in urls:
            assert whole_reads(statements_of(client, url, 200, **HTMX)) == [], url
        Membership.objects.get_or_create(user=manager, account=foreign_account, role="manager")
