"""Personal settings: name, time zone and theme, for oneself alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from dashboard.models import AuditEvent, User

CHOICES = {"first_name": "Ada", "last_name": "Lovelace", "time_zone": "Europe/Berlin", "theme": "dark"}


@pytest.fixture
def page(client: Client, viewer: Any) -> Client:
    client.force_login(viewer)
    return client


def test_a_person_saves_name_zone_and_theme(page: Client, viewer: User) -> None:
    response = page.post("/settings/", CHOICES, follow=True)

    viewer.refresh_from_db()
    assert {name: getattr(viewer, name) for name in CHOICES} == CHOICES
    content = response.content.decode()
    assert "Saved." in content
    assert "Ada Lovelace" in content
    assert 'data-theme="dark"' in content
    assert 'data-time-zone="Europe/Berlin"' in content


def test_the_theme_of_the_device_follows_what_is_saved(page: Client) -> None:
    page.cookies["theme"] = "light"
    page.post("/settings/", CHOICES)
    assert 'data-theme="dark"' in page.get("/settings/").content.decode()


def test_the_address_for_a_forgotten_password_is_changed_with_a_fresh_proof_only(
    page: Client, viewer: User, confirmed: Any
) -> None:
    values = {**CHOICES, "email": "ada@example.org"}
    assert page.post("/settings/", values)["Location"].startswith("/accounts/confirm/")
    viewer.refresh_from_db()
    assert (viewer.email, viewer.first_name) == ("", "")

    confirmed(page)
    page.post("/settings/", values)
    viewer.refresh_from_db()
    assert (viewer.email, viewer.first_name) == ("ada@example.org", "Ada")
    details = AuditEvent.objects.get(action="user.own_settings").details
    assert "email" in details["fields"]
    assert "example.org" not in str(details)

    confirmed(page, seconds_ago=3600)
    assert page.post("/settings/", {**values, "first_name": "Augusta"})["Location"] == "/settings/"


def test_an_address_that_is_none_is_refused_in_words(page: Client, viewer: User, confirmed: Any) -> None:
    confirmed(page)
    response = page.post("/settings/", {**CHOICES, "email": '"><script>alert(1)</script>'})
    assert response.status_code == 422
    content = response.content.decode()
    assert 'id="email-error"' in content
    assert "<script>alert" not in content
    viewer.refresh_from_db()
    assert viewer.email == ""


def test_rights_cannot_be_saved_along(page: Client, viewer: User) -> None:
    page.post("/settings/", {**CHOICES, "is_superuser": "on", "username": "root"})
    viewer.refresh_from_db()
    assert (viewer.is_superuser, viewer.username) == (False, "viewer")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "Europe/Berlin\x00"])
def test_a_zone_that_does_not_exist_is_refused_in_words(page: Client, viewer: User, zone: str) -> None:
    response = page.post("/settings/", {**CHOICES, "time_zone": zone})
    assert response.status_code == 422
    assert 'id="time-zone-error"' in response.content.decode()
    viewer.refresh_from_db()
    assert viewer.time_zone == ""


def test_a_theme_that_does_not_exist_is_refused(page: Client, viewer: User) -> None:
    assert page.post("/settings/", {**CHOICES, "theme": "neon"}).status_code == 422
    viewer.refresh_from_db()
    assert viewer.theme == ""


def test_what_changed_is_recorded_and_nothing_when_nothing_did(page: Client, viewer: User) -> None:
    page.post("/settings/", CHOICES)
    event = AuditEvent.objects.get(action="user.own_settings")
    assert event.user == viewer
    assert event.details == {"fields": ["first_name", "last_name", "theme", "time_zone"]}
    page.post("/settings/", CHOICES)
    assert AuditEvent.objects.filter(action="user.own_settings").count() == 1


def test_hostile_names_are_inert(page: Client) -> None:
    page.post("/settings/", {**CHOICES, "first_name": '"><script>alert(1)</script>'})
    assert "<script>alert" not in page.get("/settings/").content.decode()


def test_who_is_not_signed_in_is_led_to_the_sign_in(client: Client, db: None) -> None:
    assert client.get("/settings/").status_code == 302
    assert client.post("/settings/", CHOICES).status_code == 302


def test_somebody_without_any_account_has_settings_too(client: Client, stranger: Any) -> None:
    client.force_login(stranger)
    assert client.get("/settings/").status_code == 200
