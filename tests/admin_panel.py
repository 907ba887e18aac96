"""The admin panel as an admin uses it, for tests: signed in and confirmed, with the form of an account."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from dashboard.models import Account

from .redis_server import RedisServer

URL = "https://www.anosim.net/api/v1"
NO_MEMBERS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


@pytest.fixture
def queue(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """The workers' queue in a server of this test's own."""
    from anosim_dashboard.celery import app

    monkeypatch.setattr(app.conf, "broker_url", redis_server.url.replace("unix://", "redis+socket://", 1))
    monkeypatch.setattr(app.conf, "broker_write_url", None)
    return redis_server


@pytest.fixture
def panel(client: Client, admin: Any, queue: RedisServer, confirmed: Callable[[Client], None]) -> Client:
    client.force_login(admin)
    confirmed(client)
    return client


def change_url(account: Account) -> str:
    return f"/admin/dashboard/account/{account.pk}/change/"


def form_of(account: Account, **fields: Any) -> dict[str, Any]:
    values = {"name": account.name, "base_url": account.base_url, "enabled": "on", "api_key": ""}
    return {**NO_MEMBERS, **values, **fields}


def words(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode()))
