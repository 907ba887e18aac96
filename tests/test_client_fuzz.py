"""Whatever comes as an answer, only the five errors come out of the client."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from dashboard.anosim import AnosimError, Client, answers, client, wire
from tests.scripted_server import (
    Line,
    Reply,
    ScriptedServer,
    reply,
)
from tests.test_client import KEY

HOST = "provider.example"
JUDGES: list[Callable[[wire.Answer], object]] = [
    answers.balance,
    answers.new_order,
    answers.succeeded,
    *(lambda answer, parse=parse: answers.listing(answer, parse) for parse in (client.parse_sms, client.parse_order)),
    lambda answer: answers.single(answer, client.parse_product, wanted=1),
    lambda answer: answers.single(answer, client.parse_auto_renewal),
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1", "2024-05-21"])
FIELDS = st.sampled_from(
    [
        "id",
        "date",
        "bookings",
        "orderBookings",
        "number",
        "priceInUSD",
        "provider",
        "success",
        "message",
        "messageText",
        "messageDate",
        "simCardNumber",
        "accountBalanceInUSD",
        "data",
        "error",
        "errors",
        "startDate",
        "durationInMinutes",
    ]
)
SHAPES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS | st.text(), inner, max_size=5)
)
BODIES = st.binary() | st.text().map(str.encode) | SHAPES.map(lambda shape: reply(shape).split(b"\r\n\r\n", 1)[1])


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def read(server: ScriptedServer, answer: Reply, **options: Any) -> Any:
    server.replies = [answer]
    with Client(server.url, KEY, **{"tries": 1, **options}) as asked:
        return asked.sms()


@given(
    status=st.integers(100, 999),
    body=BODIES,
    headers=st.dictionaries(st.sampled_from(["Date", "Retry-After", "Location"]), st.text()),
)
@settings(max_examples=250, deadline=None)
def test_no_answer_raises_anything_but_our_own_errors(status: int, body: bytes, headers: dict[str, str]) -> None:
    answer = wire.Answer(HOST, status, CaseInsensitiveDict(headers), body, lambda words: words)
    good = wire.Answer(HOST, 200, CaseInsensitiveDict(headers), body, lambda words: words)
    texts = []
    for judge in JUDGES:
        for each in (answer, good):
            try:
                judge(each)
            except AnosimError as error:
                texts.append(error.text)
    assert all(0 < len(text) < 400 and text.isprintable() for text in texts)


def test_no_bytes_on_the_wire_raise_anything_but_our_own_errors(server: ScriptedServer) -> None:
    heads = st.sampled_from(
        [
            b"",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 999 \r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: br, gzip, deflate\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=;;;\r\n\xe9: x\r\n no colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        ]
    )

    @given(head=heads, body=st.binary(max_size=300))
    @settings(max_examples=100, deadline=None)
    def fuzz(head: bytes, body: bytes) -> None:
        def answer(line: Line) -> None:
            line.send(head + body)

        try:
            read(server, answer, read_deadline=2.0)
        except AnosimError as error:
            texts.append(error.text)

    texts: list[str] = []
    fuzz()
    assert texts
    assert all(texts)
