"""The API key stands nowhere but sealed in the database: searched for in all that a busy, faulty day leaves behind."""

from __future__ import annotations

import base64
import re
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from anosim_dashboard import embedded_redis
from dashboard.sandbox import Sandbox
from tests.second_factors import APP, code_of
from tests.stack import Session, Stack

KEY = "Zq7uHx3d-KEY_4Xw9+Lm2/Tv8=pRf6"
PASSWORD = "gT5-kW8nQ2_yB4-pass"
FAULTS = {"mixed": {"rate": 0.3}, "trickle": {"rate": 0.02, "seconds": 0.5}, "throttle-before": {"rate": 0.05}}
PAGES = (
    "/",
    "/inbox/",
    "/bookings/",
    "/catalog/",
    "/orders/",
    "/sim-cards/",
    "/status/",
    "/activity/",
    "/admin/",
    "/nowhere/",
)


def forms_of(secret: str) -> list[bytes]:
    """The secret as a leak would write it: whole, any eight characters of it, URL-quoted, in base64."""
    pieces = {secret[at : at + 8] for at in range(len(secret) - 7)}
    quoted = urllib.parse.quote(secret, safe="")
    plain = [*pieces, quoted, urllib.parse.quote_plus(secret)]
    encoded = [base64.b64encode(secret.encode()[shift:]).decode()[2:-4] for shift in range(3)]
    return [form.encode() for form in plain + encoded]


def hits(content: bytes, secret: str = KEY) -> list[bytes]:
    return [form for form in forms_of(secret) if form in content]


def secret_in(seen: dict[str, bytes]) -> str:
    """The secret of the authenticator app, as the page that sets it up showed it."""
    found = re.search(rb'id="secret">([A-Z2-7]{32})<', seen["app"])
    assert found
    return found[1].decode()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, dict[str, bytes]]]:
    """A stack at LOG_LEVEL=DEBUG that has read a faulty provider for a while; with all it showed to an admin."""
    folder = tmp_path_factory.mktemp("busy")
    (folder / "key").write_text(KEY + "\n")
    (folder / "password").write_text(PASSWORD + "\n")
    with Sandbox(seed=9, key=KEY, faults=FAULTS, size={"orders": 12, "bookings": 20, "sms": 60}) as sandbox:
        stack = Stack(
            folder / "data",
            LOG_LEVEL="DEBUG",
            ANOSIM_BASE_URL=sandbox.url,
            ANOSIM_API_KEY_FILE=str(folder / "key"),
            ADMIN_USERNAME="root",
            ADMIN_PASSWORD_FILE=str(folder / "password"),
        )
        try:
            stack.wait_ready()
            yield stack, _a_busy_while(stack, sandbox)
        finally:
            stack.process.kill()
            stack.process.wait(10)


def _a_busy_while(stack: Stack, sandbox: Sandbox) -> dict[str, bytes]:
    session = Session(stack, "root", PASSWORD)
    seen: dict[str, bytes] = {}
    for _ in range(4):
        for path in PAGES:
            seen[path] = session.get(path)[1]
        account = re.search(rb"/admin/dashboard/account/(\d+)/change/", session.get("/admin/dashboard/account/")[1])
        assert account
        path = account[0].decode()
        seen[path] = session.get(path)[1]
        product = re.search(rb'href="/catalog/(\d+)/"', seen["/catalog/"])
        if product:
            seen["refresh"] = session.post(f"/catalog/{product[1].decode()}/refresh/", {})[1]
        time.sleep(2.5)
    seen["app"] = session.get(APP)[1]
    session.post(APP, {"code": code_of(secret_in(seen))})
    seen["codes"] = session.get("/settings/security/codes/")[1]
    sandbox.go_down(3)
    time.sleep(4)
    # A key that is refused, with the right one in its place in the form: what is typed is not shown again either.
    seen["wrong form"] = session.post(
        path, {"name": "", "base_url": "http://user:pw@x/", "new_key": KEY, "api_key": KEY}
    )[1]
    return seen


def test_no_page_shows_it(busy: tuple[Stack, dict[str, bytes]]) -> None:
    _, seen = busy
    assert {path: hits(body) for path, body in seen.items() if hits(body)} == {}
    assert seen["/status/"].count(b"every") > 3  # the crawl was signed in
    assert b'id="event-' in seen["/activity/"]  # and what it did is on record


def test_no_log_line_has_it(busy: tuple[Stack, dict[str, bytes]]) -> None:
    stack, _ = busy
    log = stack.errors.read_bytes() + stack.output.read_bytes()
    assert b"DEBUG" in log
    assert hits(log) == []
    assert hits(log, PASSWORD) == []


def test_redis_never_holds_it(busy: tuple[Stack, dict[str, bytes]]) -> None:
    stack, _ = busy
    files = [file for file in (stack.data_dir / "redis").rglob("*") if file.is_file()]
    content = b"".join(file.read_bytes() for file in files)
    # The append-only file has every value since the start: tasks and their arguments, budget, nudges.
    assert b"dashboard.tasks.read" in content
    assert hits(content) == []
    server = Redis.from_url(embedded_redis.url(stack.data_dir))
    assert hits(b"".join(server.dump(key) or b"" for key in server.scan_iter())) == []


def test_the_database_and_all_other_files_hold_it_only_sealed(busy: tuple[Stack, dict[str, bytes]]) -> None:
    stack, _ = busy
    files = [file for file in stack.data_dir.rglob("*") if file.is_file()]
    assert any(file.name == "db.sqlite3" for file in files)
    assert {str(file): hits(file.read_bytes()) for file in files if hits(file.read_bytes())} == {}


def test_second_factors_stand_nowhere_but_sealed(busy: tuple[Stack, dict[str, bytes]]) -> None:
    stack, seen = busy
    secret, codes = secret_in(seen), re.findall(rb"<li>(\d{8})</li>", seen["codes"])
    assert len(codes) == 10
    files = [file for file in stack.data_dir.rglob("*") if file.is_file()]
    content = b"".join(file.read_bytes() for file in [*files, stack.errors, stack.output])
    assert b"second factor of person" not in content
    assert hits(content, secret) == []
    # Eight digits may stand somewhere by chance; a leak would be of all of them.
    assert len([code for code in codes if code in content]) < 3
    server = Redis.from_url(embedded_redis.url(stack.data_dir))
    queued = b"".join(server.dump(key) or b"" for key in server.scan_iter())
    assert hits(queued, secret) == []


def test_no_process_has_it_in_its_command_line(busy: tuple[Stack, dict[str, bytes]]) -> None:
    stack, _ = busy
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (stack.process.pid, *stack.children())]
    assert [hits(line) for line in lines if hits(line)] == []


def test_the_provider_was_really_asked_with_it(busy: tuple[Stack, dict[str, bytes]]) -> None:
    """Without this, a stack that never opened its key would pass all of the above."""
    stack, seen = busy
    assert b"pRf6" in seen["/status/"] + b"".join(seen.values())
    assert stack.process.poll() is None
