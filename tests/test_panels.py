"""The shape of everything live: a fragment, its version, 204 while nothing moved, and who may ask."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dashboard.live import topics
from dashboard.models import Account, Booking, SyncState, User

from .factories import make_account, make_booking, make_sms, make_sync_states

# Page, panels on it, and a topic that moves each.
PAGES = [
    ("/", "figures", topics.BALANCE),
    ("/", "running", topics.BOOKINGS),
    ("/", "newest", topics.SMS),
    ("/", "shell", topics.SYNC),
    ("/inbox/?q=code", "inbox", topics.SMS),
    ("/bookings/?show=running", "bookings", topics.BOOKINGS),
    ("/bookings/{pk}/", "booking-hero", topics.BOOKINGS),
    ("/bookings/{pk}/", "booking", topics.SMS),
]


def panel_url(content: str, name: str) -> str:
    tag = re.search(rf'<[a-z]+ [^>]*id="{name}-panel"[^>]*>', content)
    assert tag, f"no panel {name}"
    url = re.search(r'hx-get="([^"]*)"', tag.group())
    assert url
    return unescape(url.group(1))


@pytest.fixture
def page(client: Client, viewer: User, account: Account) -> Client:
    client.force_login(viewer)
    return client


@pytest.fixture
def booking(account: Account) -> Any:
    booking = make_booking(account)
    make_sms(booking)
    make_sync_states(account, pace_seconds=600)
    return booking


@pytest.mark.parametrize(("path", "name", "topic"), PAGES)
def test_a_panel_answers_204_until_one_of_its_topics_moves(
    page: Client, booking: Any, account: Account, path: str, name: str, topic: str
) -> None:
    content = page.get(path.format(pk=booking.pk)).content.decode()
    url = panel_url(content, name)
    unchanged = page.get(url)
    assert unchanged.status_code == 204
    assert unchanged.content == b""
    topics.touch(account.pk, topic)
    moved = page.get(url)
    assert moved.status_code == 200
    fragment = moved.content.decode()
    assert f'id="{name}-panel"' in fragment
    assert "<html" not in fragment
    assert panel_url(fragment, name) != url
    assert page.get(panel_url(fragment, name)).status_code == 204


@pytest.mark.parametrize(("path", "name", "topic"), PAGES)
def test_a_panel_renders_what_its_page_showed(page: Client, booking: Any, path: str, name: str, topic: str) -> None:
    content = page.get(path.format(pk=booking.pk)).content.decode()
    fragment = page.get(panel_url(content, name).split("v=")[0]).content.decode()
    ids = set(re.findall(r'\bid="([^"]+)"', fragment))
    assert ids <= set(re.findall(r'\bid="([^"]+)"', content))


def test_a_topic_of_a_foreign_account_moves_nothing(page: Client, booking: Any, foreign_account: Account) -> None:
    url = panel_url(page.get("/inbox/").content.decode(), "inbox")
    topics.touch(foreign_account.pk, topics.SMS)
    assert page.get(url).status_code == 204


def test_a_panel_moves_when_the_person_sees_one_account_more(page: Client, booking: Any, viewer: User) -> None:
    url = panel_url(page.get("/inbox/").content.decode(), "inbox")
    make_account("Second").memberships.create(user=viewer, role="viewer")
    assert page.get(url).status_code == 200


@pytest.mark.parametrize(("path", "name", "topic"), PAGES)
def test_a_panel_wants_a_sign_in(client: Client, booking: Any, path: str, name: str, topic: str) -> None:
    url = reverse(f"panel-{name}", kwargs={"pk": booking.pk} if "{pk}" in path else {})
    assert client.get(url).headers["Location"].startswith("/accounts/login/")
    answer = client.get(url, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/accounts/login/")


@pytest.mark.parametrize(("path", "name", "topic"), PAGES)
def test_a_panel_is_only_read(page: Client, booking: Any, path: str, name: str, topic: str) -> None:
    url = reverse(f"panel-{name}", kwargs={"pk": booking.pk} if "{pk}" in path else {})
    assert page.post(url).status_code == 405


@pytest.mark.parametrize("name", ["booking", "booking-hero"])
def test_the_panel_of_a_foreign_booking_is_not_found_even_with_its_version(
    page: Client, booking: Any, stranger: User, name: str
) -> None:
    content = page.get(f"/bookings/{booking.pk}/").content.decode()
    page.force_login(stranger)
    assert page.get(panel_url(content, name)).status_code == 404


def test_a_number_that_ends_leaves_what_runs_without_any_topic(page: Client, account: Account, booking: Any) -> None:
    url = panel_url(page.get("/").content.decode(), "running")
    # As if its time had passed.
    Booking.objects.update(runs_until=timezone.now() - timedelta(seconds=1))
    answer = page.get(url)
    assert answer.status_code == 200
    assert "No number runs now" in answer.content.decode()


def test_the_frame_tells_of_old_data_though_nobody_touched_a_topic(
    page: Client, account: Account, booking: Any
) -> None:
    url = panel_url(page.get("/").content.decode(), "shell")
    old = timezone.now() - timedelta(hours=2)
    SyncState.objects.filter(kind="sms").update(last_success_at=old)
    answer = page.get(url)
    assert answer.status_code == 200
    assert "Not current: SMS" in answer.content.decode()
    assert page.get(panel_url(answer.content.decode(), "shell")).status_code == 204


def test_what_a_person_types_is_encoded_in_the_url_of_the_panel(page: Client, booking: Any) -> None:
    hostile = '"><script>alert(1)</script>&v=1'
    content = page.get("/inbox/", {"q": hostile}).content.decode()
    assert "<script>alert" not in content
    tag = re.search(r'id="inbox-panel"[^>]*', content)
    assert tag
    assert "%22%3E%3Cscript%3E" in tag.group()
