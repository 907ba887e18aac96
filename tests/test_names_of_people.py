"""What colleagues type into names and labels turns no text around it: others read these pages."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from dashboard.models import Account, Invite, User
from tests.factories import make_booking

TURNED, SHOWN = "ope\u202eniw", "ope[U+202E]niw"


def shown(client: Client, path: str) -> bool:
    page = client.get(path).content.decode()
    return SHOWN in page and TURNED not in page


def test_a_name_turns_nothing_on_the_members_page(client: Client, manager: User, operator: User) -> None:
    User.objects.filter(pk=operator.pk).update(first_name=TURNED)
    client.force_login(manager)
    assert shown(client, "/members/")


def test_a_name_and_for_whom_turn_nothing_around_an_invite(client: Client, account: Account, manager: User) -> None:
    User.objects.filter(pk=manager.pk).update(first_name=TURNED)
    _, token = Invite.make(invited_by=manager, account=account, role="viewer", label="x")
    assert shown(client, f"/join/{token}/")
    User.objects.filter(pk=manager.pk).update(first_name="")
    Invite.objects.update(label=TURNED)
    client.force_login(manager)
    assert f"<b>{SHOWN}</b>" in client.get("/invites/").content.decode()


def test_a_label_turns_nothing_on_pages_of_bookings(client: Client, account: Account, viewer: User) -> None:
    booking = make_booking(account, labels=TURNED, ends_at=timezone.now() + timedelta(hours=1))
    client.force_login(viewer)
    for path in ("/bookings/", f"/bookings/{booking.pk}/"):
        assert f"{SHOWN}</" in client.get(path).content.decode()
