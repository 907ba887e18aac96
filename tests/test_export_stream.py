"""The export over a real server: it streams, holds nothing while it waits, and ends with who asked for it."""

from __future__ import annotations

import csv
import gzip
import http.client
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from dashboard.csv_text import BOM
from dashboard.models import Account, AuditEvent, Sms, User
from dashboard.views import export as exporting
from tests.factories import make_booking
from tests.streaming import serving, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "t" * 32


@pytest.fixture
def port(redis_url: str, settings: Any) -> Iterator[int]:
    settings.REDIS_URL = redis_url
    with serving() as port:
        yield port


@pytest.fixture
def archive(account: Account) -> int:
    """Many long messages, enough to fill what lies between a server and a reader who does not read."""
    booking, now = make_booking(account), timezone.now()
    Sms.objects.bulk_create(
        (
            Sms(
                account=account, booking=booking, number=booking.number, sender="Shop", text=f"{at} " + "x" * 4000,
                received_at=now - timedelta(seconds=at), fingerprint=f"{at:064x}", ordinal=1,
            )
            for at in range(1_500)
        ),
        batch_size=500,
    )  # fmt: skip
    return 1_500


@contextmanager
def asked(port: int, user: User, **headers: str) -> Iterator[http.client.HTTPResponse]:
    """The answer to an export, its body not read yet; the connection is closed behind it."""
    browser = Client()
    browser.force_login(user)
    session = browser.cookies[django_settings.SESSION_COOKIE_NAME].value
    sent = {
        "Cookie": f"sessionid={session}; csrftoken={TOKEN}",
        "Content-Type": "application/x-www-form-urlencoded",
        **headers,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/inbox/export/", f"csrfmiddlewaretoken={TOKEN}", sent)
        response = connection.getresponse()
        assert response.status == 200
        yield response
    finally:
        connection.close()


class Gate:
    """Holds the export before each of its chunks until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.passed = 0
        original = exporting.Run.next_chunk

        def held(run: exporting.Run) -> str:
            assert self.open.wait(20)
            self.passed += 1
            return original(run)

        monkeypatch.setattr(exporting.Run, "next_chunk", held)


def end() -> Any:
    return AuditEvent.objects.filter(action="sms.export_ended").first()


def test_the_first_bytes_come_before_any_row_is_read_and_the_rest_whole(
    port: int, manager: User, archive: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with asked(port, manager) as response:
        head = response.readline().decode()
        assert head.startswith(BOM + "Received (UTC),")
        assert head.endswith(",Assigned to\r\n")
        assert gate.passed == 0
        gate.open.set()
        rows = list(csv.reader(io.TextIOWrapper(response, "utf-8", newline="")))
    assert [row[6].split()[0] for row in rows] == [str(at) for at in range(archive)]
    wait_until(end, 5)
    assert end().details["rows"] == archive


@pytest.mark.parametrize("encoding", ["gzip", "gzip, deflate, br", "identity"])
def test_a_browser_that_takes_packed_answers_gets_the_whole_file(
    port: int, manager: User, archive: int, encoding: str
) -> None:
    with asked(port, manager, **{"Accept-Encoding": encoding}) as response:
        body = response.read()
        assert response.getheader("Content-Encoding", "identity") == "identity"
    assert body[:2] != gzip.compress(b"")[:2]
    assert body.count(b"\r\n") == archive + 1


def test_who_goes_away_ends_the_work_and_the_record_says_so(
    port: int, manager: User, archive: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 50)
    gate = Gate(monkeypatch)
    with asked(port, manager) as response:
        response.readline()
        gate.open.set()
        response.readline()
    wait_until(end, 15)
    assert end().details["whole"] is False
    assert end().details["rows"] < archive
    passed = gate.passed
    assert passed < archive / 50
    assert AuditEvent.objects.filter(action="sms.exported").count() == 1


def test_a_reader_who_does_not_read_holds_no_transaction_and_no_connection(
    port: int, manager: User, archive: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 100)
    gate = Gate(monkeypatch)
    with asked(port, manager) as response:
        gate.open.set()
        # It stands still as soon as all that lies between is full.
        still = Stillness(gate)
        wait_until(still, 20)
        assert gate.passed < archive / 100
        with transaction.atomic():
            Sms.objects.filter(account=manager.memberships.get().account).update(seen_at=timezone.now())
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND state <> 'idle'"
                )
                assert cursor.fetchone() == (0,)
        response.read()
    wait_until(end, 15)


class Stillness:
    """Whether no chunk was read since it was asked some looks ago."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._last, self._looks = gate, 0, 0

    def __call__(self) -> bool:
        self._looks = self._looks + 1 if self._gate.passed == self._last > 0 else 0
        self._last = self._gate.passed
        return self._looks > 100
