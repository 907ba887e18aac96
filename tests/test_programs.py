"""What the supervisor is to run: the port it listens on, how health is asked, the sandbox, and the whole plan."""

from __future__ import annotations

import socket
import stat
import threading
from pathlib import Path

import pytest

from anosim_dashboard import programs
from anosim_dashboard.environment import BadEnvironment


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with programs.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(BadEnvironment) as told:
            programs.listen("127.0.0.1", port)
    assert str(told.value) == (
        f"Port {port} on 127.0.0.1 is in use: stop the program that uses it, or set PORT to a free one."
    )


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "x" * 300])
def test_a_host_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(BadEnvironment, match="which is no address of this machine"):
        programs.listen(host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1"])
def test_it_listens_where_host_says(host: str) -> None:
    try:
        listener = programs.listen(host, 0)
    except BadEnvironment:
        if ":" in host and not socket.has_dualstack_ipv6():
            return
        raise
    with listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("::1" if ":" in host else "127.0.0.1", port), 2) as caller:
            assert caller.getpeername()[1] == port


def answer_once(listener: socket.socket, answer: bytes, requests: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection:
        requests.append(connection.recv(4096))
        connection.sendall(answer)


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [(b"HTTP/1.1 200 OK\r\n\r\nok", True), (b"HTTP/1.1 503 No\r\n\r\n", False), (b"", False)],
)
def test_health_is_asked_by_a_name_that_django_answers_to(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, healthy: bool
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", ".example.org, localhost")
    requests: list[bytes] = []
    with programs.listen("0.0.0.0", 0) as listener:
        thread = threading.Thread(target=answer_once, args=(listener, answer, requests))
        thread.start()
        assert programs.answers_healthy("0.0.0.0", listener.getsockname()[1]) is healthy
        thread.join(5)
    assert requests == [b"GET /healthz HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"]


def test_nothing_listening_is_not_healthy() -> None:
    with programs.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert not programs.answers_healthy("127.0.0.1", port, timeout=0.1)
    assert not programs.answers_healthy("127.0.0.1", port, timeout=0.1)


def test_the_sandbox_keeps_its_port_and_key_and_hides_the_key(tmp_path: Path) -> None:
    first, second = programs.Sandbox(tmp_path), programs.Sandbox(tmp_path)
    assert (first.url, first.key) == (second.url, second.key)
    assert stat.S_IMODE((tmp_path / "sandbox.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["", "x", "99999", "-1"])
def test_a_damaged_or_taken_port_of_the_sandbox_is_replaced(tmp_path: Path, damage: str) -> None:
    first = programs.Sandbox(tmp_path)
    with programs.listen("127.0.0.1", first.port):
        assert programs.Sandbox(tmp_path).port != first.port
    (tmp_path / "sandbox.port").write_text(damage)
    assert programs.Sandbox(tmp_path).port > 0
    assert programs.Sandbox(tmp_path).key == first.key


def test_without_redis_url_and_key_the_plan_has_both_servers_and_with_them_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REDIS_URL", "ANOSIM_API_KEY", "HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT", "0")
    plan = programs.plan(tmp_path)
    assert plan.redis is not None
    assert plan.sandbox is not None
    assert plan.prepare_environment["SANDBOX_KEY"] in plan.sandbox.command
    assert plan.listener is not None
    assert plan.address == f"http://127.0.0.1:{plan.listener.getsockname()[1]}/"
    plan.listener.close()
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("ANOSIM_API_KEY", "a key")
    plan = programs.plan(tmp_path)
    assert (plan.redis, plan.sandbox, plan.prepare_environment) == (None, None, {})
    assert plan.listener is not None
    plan.listener.close()
