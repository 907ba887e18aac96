"""Alerts, for tests: a real service that takes them, and what opens one and sends its notices."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from dashboard.alerts import telling
from dashboard.models import Account, Alert, AlertChannel, User


class Webhook(ThreadingHTTPServer):
    """A real service that takes alerts: what apprise's json:// posts to. `answer` is its status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.taken: list[dict[str, Any]] = []
        self.answer = 200

    @property
    def address(self) -> str:
        return self.at("127.0.0.1")

    def at(self, host: str) -> str:
        return f"json://user:hidden-password@{host}:{self.server_port}/alerts"


class _Taker(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append(json.loads(body))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def webhook(settings: Any) -> Iterator[Webhook]:
    settings.ALERTS_TO_PRIVATE_NETWORKS = True
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def channel_of(user: User, address: str) -> AlertChannel:
    channel = AlertChannel(user=user, name="Mine")
    channel.address = address
    channel.save()
    return channel


def low(account: Account, balance: str = "3.00") -> None:
    Account.objects.filter(pk=account.pk).update(balance_usd=Decimal(balance), low_balance_usd=Decimal(20))


def send_due() -> None:
    for notice_id in telling.due():
        telling.send(notice_id)


def later(account: Account, seconds: float = 61) -> None:
    """As if the alerts had been seen last so long ago."""
    Alert.objects.filter(account=account).update(seen_at=timezone.now() - timedelta(seconds=seconds))


def opened(account: Account) -> list[str]:
    return list(Alert.objects.open().filter(account=account).order_by("kind").values_list("kind", flat=True))
