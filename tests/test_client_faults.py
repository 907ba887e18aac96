"""What network and provider do to a read: it ends in time, in bounded memory, and in one clear sentence."""

import datetime
import gzip
import ipaddress
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests.adapters
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from dashboard.anosim import AnosimError, Client, TryLater, Unreadable, answers, client, wire
from tests.scripted_server import (
    Line,
    Reply,
    ScriptedServer,
    cut_off,
    cut_off_chunk,
    go_on_for_ever,
    hang_up,
    large_body,
    reply,
    reset,
    reset_in_body,
    sample,
    silence,
    trickle_body,
    trickle_chunks,
    trickle_headers,
    trickle_status,
)
from tests.test_client import CALLS, KEY, READS

SLOW = [silence, trickle_status, trickle_headers, go_on_for_ever, trickle_body, trickle_chunks]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def read(server: ScriptedServer, answer: Reply, **options: Any) -> Any:
    server.replies = [answer]
    with Client(server.url, KEY, **{"tries": 1, **options}) as asked:
        return asked.sms()


@pytest.mark.parametrize("slow", SLOW)
def test_a_slow_server_cannot_hold_a_read_beyond_its_deadline(server: ScriptedServer, slow: Reply) -> None:
    begun = time.monotonic()
    with pytest.raises(TryLater, match=r"did not finish its answer within 0\.3 seconds"):
        read(server, slow, read_deadline=0.3)
    assert 0.25 < time.monotonic() - begun < 1.3


@pytest.mark.parametrize("slow", [trickle_headers, trickle_body])
def test_all_tries_together_end_at_twice_the_deadline(server: ScriptedServer, slow: Reply) -> None:
    begun = time.monotonic()
    with pytest.raises(TryLater):
        read(server, slow, read_deadline=0.3, tries=50)
    assert time.monotonic() - begun < 1.6
    assert 2 <= len(server.seen) <= 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (hang_up, TryLater),
        (reset, TryLater),
        (b"SSH-2.0-OpenSSH_9.2\r\n", TryLater),
        (cut_off, Unreadable),
        (cut_off_chunk, Unreadable),
        (reset_in_body, Unreadable),
        (reply("[{", "200 OK"), Unreadable),
        (reply("", "200 OK"), Unreadable),
        (reply("", "204 No Content"), Unreadable),
        (reply(sample("maintenance.html")), Unreadable),
        (reply("[NaN]"), Unreadable),
        (reply("[" * 100_000), Unreadable),
        (reply("[" + "1" * 5_000 + "]"), Unreadable),
        (reply(b"\x1f\x8b nonsense", Content_Encoding="gzip"), Unreadable),
        (reply("[]", "304 Not Modified"), Unreadable),
        (reply("[]", "408 Request Timeout"), TryLater),
        (reply(sample("maintenance.html"), "500 Internal Server Error"), TryLater),
        (reply({"message": "down"}, "503 Service Unavailable"), TryLater),
        (reply("error code: 522", "522 Origin Timeout"), TryLater),
    ],
)
def test_each_fault_of_a_read_becomes_one_clear_error(
    server: ScriptedServer, fault: Reply, error: type[AnosimError]
) -> None:
    with pytest.raises(error) as caught:
        read(server, fault)
    assert type(caught.value) is error
    assert caught.value.text.startswith(("127.0.0.1 ", "The answer of 127.0.0.1 "))
    assert caught.value.text.endswith(".")


def test_a_maintenance_page_is_named_as_one(server: ScriptedServer) -> None:
    with pytest.raises(Unreadable, match="a web page instead of data"):
        read(server, reply(sample("maintenance.html")))


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
@pytest.mark.parametrize("number", READS)
def test_no_read_follows_a_redirect(server: ScriptedServer, number: int, status: str) -> None:
    elsewhere = f"http://localhost:{server.port}/api/v1/Stolen?apikey=1"
    server.replies = [reply("", status, Location=elsewhere)]
    with Client(server.url, KEY) as asked, pytest.raises(Unreadable, match="redirects elsewhere") as caught:
        CALLS[number][4](asked)
    assert "to localhost); check the base URL" in caught.value.text
    assert len(server.seen) == 1


def test_the_body_of_a_redirect_is_not_read_without_limit(server: ScriptedServer) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 200000000\r\n\r\n"
    with pytest.raises(Unreadable):
        read(server, head)
    with pytest.raises(Unreadable, match="redirects"):
        read(server, reply("", "302 Found", Location="http://[broken"))


@pytest.mark.parametrize(
    "fault", [large_body, b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n[", "bomb"]
)
def test_a_200_mb_answer_costs_neither_memory_nor_a_second_try(server: ScriptedServer, fault: Any) -> None:
    if fault == "bomb":
        packed = b"".join(gzip.compress(b"[" * 1_000_000, 1) for _ in range(2)) * 100
        fault = reply(packed, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="over 5,000,000 bytes"):
            read(server, fault, tries=3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
    assert len(server.seen) == 1


def test_a_server_that_packs_its_answer_unasked_is_understood(server: ScriptedServer) -> None:
    packed = gzip.compress(sample("sms.json"))
    assert read(server, reply(packed, Content_Encoding="gzip")).total == 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-30", 0.0),
        ("86400", 900.0),
        ("9" * 400, 900.0),
        ("Tue, 21 May 2024 23:23:00 GMT", 60.0),
        ("Tue, 21 May 2024 23:00:00 GMT", 0.0),
        ("Wed, 22 May 2030 00:00:00 GMT", 900.0),
        ("soon", None),
        ("5, 5", None),
        ("1e3", None),
        ("inf", None),
        ("", None),
    ],
)
def test_429_is_not_tried_again_and_tells_how_long_to_wait(
    server: ScriptedServer, value: str, seconds: float | None
) -> None:
    date = "Tue, 21 May 2024 23:22:00 GMT"
    with pytest.raises(TryLater, match="fewer calls") as caught:
        read(server, reply("slow down", "429 Too Many Requests", Retry_After=value, Date=date), tries=3)
    assert (caught.value.throttled, caught.value.retry_after) == (True, seconds)
    assert len(server.seen) == 1


def test_a_date_to_wait_for_needs_no_clock_of_the_server(server: ScriptedServer) -> None:
    until = format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30))
    with pytest.raises(TryLater) as caught:
        read(server, reply("", "429 Too Many Requests", Retry_After=until))
    assert caught.value.retry_after is not None
    assert 25 < caught.value.retry_after <= 30


def test_a_503_that_names_its_end_is_left_alone_until_then(server: ScriptedServer) -> None:
    with pytest.raises(TryLater) as caught:
        read(server, reply("", "503 Service Unavailable", Retry_After="120"), tries=3)
    assert (caught.value.throttled, caught.value.retry_after) == (False, 120.0)
    assert len(server.seen) == 1


def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_is_tried_again_and_names_the_host_only() -> None:
    asked: list[int] = []
    with (
        Client(f"http://127.0.0.1:{closed_port()}/api", KEY, before_call=lambda: asked.append(1)) as refused,
        pytest.raises(TryLater) as caught,
    ):
        refused.products(5)
    assert caught.value.text == "127.0.0.1 refuses connections."
    assert len(asked) == 3


def test_an_unknown_name_says_what_to_check() -> None:
    with Client("https://nowhere.invalid/api", KEY, tries=1) as lost, pytest.raises(TryLater) as caught:
        lost.balance()
    assert caught.value.text.startswith("The name nowhere.invalid cannot be found; check the base URL")


def test_a_name_server_that_never_answers_is_waited_for_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def stuck(*_: object, **__: object) -> list[Any]:
        release.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    begun = time.monotonic()
    with Client("http://sandbox/api", KEY, tries=1, read_deadline=0.3) as slow, pytest.raises(TryLater):
        slow.balance()
    assert time.monotonic() - begun < 1.3
    release.set()


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Accepts nothing: its queue of waiting connections is full, so the next one hangs."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield int(listener.getsockname()[1])
        for each in waiting:
            each.close()


def test_a_host_that_does_not_answer_the_door_ends_at_the_deadline(deaf_port: int) -> None:
    begun = time.monotonic()
    with (
        Client(f"http://127.0.0.1:{deaf_port}/api", KEY, tries=1, read_deadline=0.4) as asked,
        pytest.raises(TryLater, match="cannot be reached in time"),
    ):
        asked.balance()
    assert 0.3 < time.monotonic() - begun < 1.3


def test_a_dead_first_address_leaves_time_for_the_next(
    server: ScriptedServer, deaf_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (deaf_port, server.port)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    server.replies = [reply(sample("balance.json"))]
    with Client(f"http://sandbox:{server.port}/api", KEY, tries=1, read_deadline=1.0) as asked:
        assert str(asked.balance()) == "3418.40"


def test_proxies_and_passwords_of_the_environment_are_ignored(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password stolen\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with closing(ScriptedServer(reply("[]"))) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        read(server, reply(sample("sms.json")))
        assert proxy.seen == []
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_cookies_are_not_sent_back(server: ScriptedServer) -> None:
    server.replies = [reply("[]", Set_Cookie="session=1; Path=/")]
    with Client(server.url, KEY) as asked:
        asked.sms()
        asked.sms()
    assert "cookie" not in server.seen[1].headers


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A TLS server's context with a certificate for localhost, and the file that trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


@pytest.fixture
def secure(
    authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedServer]:
    """A TLS server whose certificate is trusted in this test."""
    context, trusted = authority
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(trusted))
    with closing(ScriptedServer(tls=context)) as server:
        yield server


def test_tls_works_with_a_trusted_certificate(secure: ScriptedServer) -> None:
    assert read(secure, reply(sample("sms.json"))).total == 2


@pytest.mark.parametrize("slow", SLOW)
def test_tls_gives_a_slow_server_no_more_time(secure: ScriptedServer, slow: Reply) -> None:
    begun = time.monotonic()
    with pytest.raises(TryLater):
        read(secure, slow, read_deadline=0.3)
    assert 0.25 < time.monotonic() - begun < 1.3


def test_a_tls_handshake_that_never_ends_is_ended(secure: ScriptedServer) -> None:
    def trickle(line: Line) -> None:
        line.send(b"\x16\x03\x03\x40\x00")
        while line.wait(0.05):
            line.send(b"\x02")

    secure.on_connect = trickle
    begun = time.monotonic()
    with pytest.raises(TryLater, match="cannot be reached in time"):
        read(secure, reply("[]"), read_deadline=0.4)
    assert time.monotonic() - begun < 1.3


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    authority: tuple[ssl.SSLContext, Path],
) -> None:
    with closing(ScriptedServer(tls=authority[0])) as server:
        with pytest.raises(TryLater, match=r"^The certificate of localhost cannot be trusted\.$"):
            read(server, reply("[]"))
        assert server.seen == []


def test_a_certificate_for_another_host_is_not_accepted(secure: ScriptedServer) -> None:
    with (
        Client(secure.url.replace("localhost", "127.0.0.1"), KEY, tries=1) as asked,
        pytest.raises(TryLater, match="certificate"),
    ):
        asked.balance()


def test_https_to_a_plain_server_says_what_to_check(server: ScriptedServer) -> None:
    server.on_connect = lambda line: line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with (
        Client(server.url.replace("http:", "https:"), KEY, tries=1) as asked,
        pytest.raises(TryLater, match="check https or http"),
    ):
        asked.balance()


HOST = "provider.example"
JUDGES: list[Callable[[wire.Answer], object]] = [
    answers.balance,
    answers.new_order,
    answers.succeeded,
    *(
        lambda answer, parse=parse: answers.listing(answer, parse)
        for parse in (client.parse_sms, client.parse_order)
    ),
    lambda answer: answers.single(answer, client.parse_product, wanted=1),
    lambda answer: answers.single(answer, client.parse_auto_renewal),
]
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1", "2024-05-21"])
)
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
BODIES = (
    st.binary() | st.text().map(str.encode) | SHAPES.map(lambda shape: reply(shape).split(b"\r\n\r\n", 1)[1])
)


@given(
    status=st.integers(100, 999),
    body=BODIES,
    headers=st.dictionaries(st.sampled_from(["Date", "Retry-After", "Location"]), st.text()),
)
@settings(max_examples=250, deadline=None)
def test_no_answer_raises_anything_but_our_own_errors(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
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
