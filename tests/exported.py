"""The export of SMS, for tests: who asks for it, what came as file, rows and texts, and what is on record."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from dashboard.csv_text import BOM
from dashboard.models import AuditEvent, User
from dashboard.views import export as exporting

PATH = "/inbox/export/"


@pytest.fixture
def page(client: Client, manager: User) -> Client:
    client.force_login(manager)
    return client


@pytest.fixture(autouse=True)
def _one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test is one transaction, whose connection nobody may give back (Django's test client does likewise)."""
    monkeypatch.setattr(exporting, "close_old_connections", lambda: None)


def parts_of(response: Any) -> list[bytes]:
    """The pieces of a streamed answer, as they come."""
    assert response.status_code == 200
    assert response.is_async

    async def read() -> list[bytes]:
        stream: AsyncIterator[bytes] = response.streaming_content
        return [part async for part in stream]

    return async_to_sync(read)()


def file_of(response: Any) -> str:
    return b"".join(parts_of(response)).decode("utf-8")


def rows_of(response: Any) -> list[dict[str, str]]:
    """What a spreadsheet sees."""
    return list(csv.DictReader(io.StringIO(file_of(response).removeprefix(BOM), newline="")))


def texts_of(response: Any) -> list[str]:
    return [row["Text"] for row in rows_of(response)]


def ends() -> list[dict[str, Any]]:
    return [event.details for event in AuditEvent.objects.filter(action="sms.export_ended").order_by("id")]
