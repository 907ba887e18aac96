"""Log lines: one line each, plain or JSON, with the id of the request through web, task and provider call."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from anosim_dashboard import request_id
from anosim_dashboard.celery import app
from anosim_dashboard.log_lines import JsonLine, PlainLine, RequestId
from anosim_dashboard.redaction import RedactSecrets, remember
from dashboard import tasks
from dashboard.models import Account
from dashboard.sandbox import Sandbox
from dashboard.sync.clients import client_for
from tests.factories import make_account


@pytest.fixture
def lines() -> Iterator[Any]:
    """Starts to collect what is logged, as the given formatter writes it."""
    handlers: list[logging.Handler] = []

    def collect(formatter: logging.Formatter, level: int = logging.INFO) -> StringIO:
        stream = StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        handler.setLevel(level)
        for each in (RedactSecrets(), RequestId()):
            handler.addFilter(each)
        logging.getLogger().addHandler(handler)
        handlers.append(handler)
        return stream

    yield collect
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


def test_a_json_line_has_time_level_logger_message_and_request(lines: Any) -> None:
    stream = lines(JsonLine())
    request_id.adopt("0123456789abcdef")
    logging.getLogger("dashboard.tasks").info("purchase %s: %s", 5, "confirmed")
    request_id.adopt("")
    line = json.loads(stream.getvalue())
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "dashboard.tasks",
        "message": "purchase 5: confirmed",
        "request_id": "0123456789abcdef",
    }


def test_a_trace_is_part_of_the_json_line(lines: Any) -> None:
    stream = lines(JsonLine())
    try:
        raise ValueError("broken\nhere")
    except ValueError:
        logging.getLogger("dashboard").exception("It failed")
    assert stream.getvalue().count("\n") == 1
    assert "ValueError: broken\nhere" in json.loads(stream.getvalue())["trace"]


@pytest.mark.parametrize("text", ["a\nb", "a\r\n2026-11-24 INFO root: forged", "\x1b[31mred", "a\u2028b", "\x00"])
@pytest.mark.parametrize("formatter", [PlainLine(), JsonLine()])
def test_nothing_that_is_logged_can_pose_as_another_line(lines: Any, formatter: Any, text: str) -> None:
    stream = lines(formatter)
    logging.getLogger("dashboard").warning("Not Found: %s", text)
    written = stream.getvalue()
    assert len(written.splitlines()) == 1 or written.splitlines() == [written.rstrip("\n")]
    assert "\x1b" not in written
    assert written.count("\n") == 1


def test_a_key_is_masked_in_json_too(lines: Any) -> None:
    stream = lines(JsonLine())
    remember("secret-key-0123456789")
    try:
        raise ValueError("secret-key-0123456789")
    except ValueError:
        logging.getLogger("dashboard").exception("with %s", "secret-key-0123456789")
    assert "secret-key-0123456789" not in stream.getvalue()
    assert "[key]" in stream.getvalue()


@pytest.mark.django_db
def test_the_id_of_a_request_goes_with_the_task_and_its_provider_calls(lines: Any, redis_url: str) -> None:
    stream = lines(JsonLine(), logging.DEBUG)
    logging.getLogger("dashboard.anosim").setLevel(logging.DEBUG)
    sent: list[dict[str, Any]] = []
    with app.connection_for_write(url=redis_url.replace("unix://", "redis+socket://", 1)) as connection:
        request_id.adopt("abcdef0123456789")
        send: Any = tasks.test_key.apply_async  # its type hints do not know `connection`
        message = send(args=(1,), connection=connection, queue="lines")
        request_id.adopt("")
        got = connection.SimpleQueue("lines").get(timeout=5)
        sent.append(got.headers)
        got.ack()
    assert message is not None
    assert sent[0]["request_id"] == "abcdef0123456789"

    # What the worker does with the message's header.
    with Sandbox(seed=1) as sandbox:
        account = make_account(api_key=sandbox.key, base_url=sandbox.url)
        tasks.test_key.apply(args=(account.pk,), headers={"request_id": "abcdef0123456789"})
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    mine = [(line["logger"], line["message"]) for line in found if line.get("request_id") == "abcdef0123456789"]
    assert any(logger == "dashboard.anosim.wire" and "GET /Balance: 200" in words for logger, words in mine), found
    assert any(logger == "dashboard.tasks" for logger, _ in mine)
    assert request_id.current() == ""


@pytest.mark.django_db
def test_a_task_that_beat_began_goes_by_an_id_of_its_own(lines: Any) -> None:
    stream = lines(JsonLine())
    tasks.test_key.apply(args=(0,), task_id="0a1b2c3d-4e5f-6789-aaaa-bbbbccccdddd")
    line = json.loads(stream.getvalue().splitlines()[-1])
    assert line["request_id"] == "0a1b2c3d4e5f6789"


@pytest.mark.django_db
def test_what_changes_something_at_the_provider_stands_in_the_log_without_its_text(lines: Any) -> None:
    stream = lines(PlainLine())
    with Sandbox(seed=1, size={"orders": 4, "bookings": 6, "sms": 20}) as sandbox:
        account = make_account(api_key=sandbox.key, base_url=sandbox.url)
        client_for(account).set_auto_renewal(True)
        assert client_for(account).sms().rows
        texts = [row.text for row in client_for(account).sms().rows]
    written = stream.getvalue()
    assert "POST /OrderBookingsAutoRenewal: 200 after" in written
    assert account.api_key not in written
    assert not [text for text in texts if len(text) > 12 and text in written]


def test_the_answer_names_its_request(client: Client, account: Account, viewer: Any) -> None:
    client.force_login(viewer)
    assert len(client.get("/")["X-Request-ID"]) == 16
    assert client.get("/", headers={"X-Request-ID": "from-the-proxy-1"})["X-Request-ID"] == "from-the-proxy-1"
    assert "\n" not in client.get("/", headers={"X-Request-ID": "bad id"})["X-Request-ID"]
