"""Requests that cannot be read at all: a page that says so, never a 500."""

from __future__ import annotations

from django.test import Client

FORM = "application/x-www-form-urlencoded"


def test_a_form_in_another_encoding_is_not_understood() -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.cookies["csrftoken"] = "a" * 32
    answer = client.post("/accounts/login/", b"username=a", content_type=f"{FORM}; charset=utf-7")
    assert answer.status_code == 400
    assert "Not understood" in answer.content.decode()


def test_a_host_that_is_not_ours_is_not_understood(client: Client) -> None:
    answer = client.get("/accounts/login/", headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert "evil.example" not in answer.content.decode()
