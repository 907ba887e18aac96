"""Denied access goes on record, once a minute and page; and each request has an id that the answer tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from dashboard import audit, denials
from dashboard.models import Account, AuditEvent, Invite

from .factories import make_booking


def denied() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="access.denied").order_by("pk"))


def test_what_belongs_to_others_is_404_and_on_record(client: Client, operator: Any, foreign_account: Account) -> None:
    booking = make_booking(foreign_account)
    client.force_login(operator)
    assert client.get(f"/bookings/{booking.pk}/", REMOTE_ADDR="203.0.113.9").status_code == 404
    (event,) = denied()
    assert (event.user, event.user_name, event.address, event.kind) == (operator, "operator", "203.0.113.9", "denied")
    assert event.object_text == f"/bookings/{booking.pk}/"
    assert event.details == {"page": f"/bookings/{booking.pk}/", "method": "GET", "status": 404}
    # Not of the account whose it is: its managers need not know who else uses the dashboard.
    assert event.account_id is None


def test_what_a_role_does_not_allow_is_403_and_told_to_the_manager(
    client: Client, viewer: Any, manager: Any, account: Account
) -> None:
    booking = make_booking(account)
    client.force_login(viewer)
    assert client.post(f"/bookings/{booking.pk}/cancel/").status_code == 403
    (event,) = denied()
    assert (event.details["status"], event.account, event.role) == (403, account, "viewer")
    client.force_login(manager)
    assert "was denied" in client.get("/activity/").content.decode()


def test_a_form_without_its_token_is_on_record(viewer: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)
    assert client.post("/settings/", {}).status_code == 403
    assert [event.object_text for event in denied()] == ["/settings/"]


def test_a_scan_leaves_one_event_for_each_kind_of_page_and_minute(client: Client, viewer: Any) -> None:
    client.force_login(viewer)
    for number in range(1, 30):
        client.get(f"/bookings/{number}000/")
        client.get(f"/orders/{number}000/")
    assert len(denied()) == 2


def test_after_a_minute_it_is_noted_again(client: Client, viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client.force_login(viewer)
    client.get("/bookings/1000/")
    monkeypatch.setattr(denials, "PAUSE", timedelta(0))
    client.get("/bookings/1000/")
    assert len(denied()) == 2


def test_an_address_that_leads_nowhere_and_an_admins_slip_are_no_denial(
    client: Client, viewer: Any, admin: Any
) -> None:
    client.force_login(viewer)
    assert client.get("/nowhere/").status_code == 404
    client.force_login(admin)
    assert client.get("/bookings/1000/").status_code == 404
    client.logout()
    assert client.get("/bookings/1000/").status_code == 302
    assert denied() == []


def test_the_secret_of_a_link_does_not_get_on_record(client: Client, viewer: Any, admin: Any, account: Account) -> None:
    made, token = Invite.make(invited_by=admin, account=account, role="operator", label="Nia")
    Invite.objects.filter(pk=made.pk).update(revoked_at=timezone.now())
    client.force_login(viewer)
    assert client.get(f"/join/{token}/").status_code == 404
    (event,) = denied()
    assert token not in f"{event.object_text} {event.details}"
    assert event.object_text == "/join/<str:token>/"


def test_a_database_that_fails_does_not_hide_the_page(
    client: Client, viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise DatabaseError("the disk is full")

    client.force_login(viewer)
    monkeypatch.setattr(audit, "note", broken)
    assert client.get("/bookings/1000/").status_code == 404


def test_each_request_has_an_id_that_answer_and_record_share(client: Client, viewer: Any) -> None:
    client.force_login(viewer)
    first, second = client.get("/bookings/1000/"), client.get("/orders/1000/")
    ids = [response["X-Request-ID"] for response in (first, second)]
    assert len(set(ids)) == 2
    assert [event.request_id for event in denied()] == ids


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("req-0123456789ab", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("short", False),
        ("0123456789\r\nSet-Cookie: x=1", False),
        ("<b>0123456789</b>", False),
        ("0123 456789", False),
        ("-123456789", False),
    ],
)
def test_an_id_from_outside_is_kept_only_if_it_is_plain(client: Client, db: None, said: str, kept: bool) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": said})["X-Request-ID"]
    assert (answer == said) is kept
    assert len(answer) == (len(said) if kept else 16)
