"""Names, addresses, TLS, and what the environment must not change: from base URL to connection, on time."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests.adapters
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dashboard.anosim import Client, TryLater, client
from tests.scripted_server import (
    Line,
    Reply,
    ScriptedServer,
    go_on_for_ever,
    reply,
    sample,
    silence,
    trickle_body,
    trickle_chunks,
    trickle_headers,
    trickle_status,
)
from tests.test_client import KEY

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
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (deaf_port, server.port)]
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
def secure(authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
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
