"""One whole dashboard, one provider that tests command, and one real Chromium for all tests of this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import Browser, StorageState, expect, sync_playwright

from dashboard.sandbox import Sandbox
from dashboard.sandbox.records import Booking
from tests.browser.listening import Listener, assign, by_end
from tests.browser.visits import PASSWORD, PERSON, Visit
from tests.compose.course import at_provider
from tests.compose.project import Project
from tests.compose.walking import IMAGE, containers
from tests.stack import Stack

PLAIN_HOST = "dashboard.test"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    # A name that is not this machine's: what browsers allow on HTTPS and localhost only is not allowed there.
    f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1",
)
SIZE = {"orders": 24, "bookings": 60, "sms": 150}
REDIS_DATABASE = "/7"  # the other tests of a run use the one of REDIS_URL


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser of CHROMIUM, or the one on PATH; playwright's own download is not used."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None and os.environ.get("CI") == "true":
        pytest.fail("No Chromium was found, and in CI the browser tests must run: install chromium, or set CHROMIUM.")
    if path is None:
        pytest.skip("no Chromium was found: install chromium, or set CHROMIUM to its path")
    expect.set_options(timeout=10_000)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="package")
def provider() -> Iterator[Sandbox]:
    """What the dashboard reads; nothing happens there but what a test does. Its past holds hostile messages."""
    host = "0.0.0.0" if os.environ.get(IMAGE) else "127.0.0.1"
    with Sandbox(seed=7, size=SIZE, hostile=0.15, host=host) as sandbox:
        yield sandbox


@pytest.fixture(scope="package")
def stack(chromium: Browser, provider: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack | Project]:
    """The dashboard as `script/server` runs it: on SQLite and its own Redis, or on the servers of the environment.

    With COMPOSE_IMAGE it is that image, brought up by docker-compose.yml (`python -m tests.compose browser`).
    """
    variables = {
        "ADMIN_USERNAME": PERSON,
        "ADMIN_PASSWORD": PASSWORD,
        "ALLOWED_HOSTS": f"127.0.0.1,localhost,{PLAIN_HOST}",
    }
    if os.environ.get(IMAGE):
        with containers(at_provider(provider) | variables) as project:
            project.up_untied()
            yield project
        return
    variables |= {"ANOSIM_BASE_URL": provider.url, "ANOSIM_API_KEY": provider.key}
    with _own_database() as servers:
        stack = Stack(tmp_path_factory.mktemp("browser") / "data", **variables, **servers)
        try:
            stack.wait_ready()
            yield stack
        finally:
            if stack.process.poll() is None:
                stack.stop()


@contextmanager
def _own_database() -> Iterator[dict[str, str]]:
    """The variables that put a stack on PostgreSQL and Redis where the run has them; a new database, dropped after."""
    variables: dict[str, str] = {}
    if redis := os.environ.get("REDIS_URL"):
        variables["REDIS_URL"] = urlsplit(redis)._replace(path=REDIS_DATABASE).geturl()
    url = os.environ.get("DATABASE_URL")
    if not url:
        yield variables
        return
    name = f"browser_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield {**variables, "DATABASE_URL": urlsplit(url)._replace(path=f"/{name}").geturl()}
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="package")
def session(chromium: Browser, stack: Stack) -> StorageState:
    """Cookies of a person who has signed in by the form, once the provider's messages have come."""
    with Visit(chromium, stack.port()) as visit:
        visit.sign_in()
        visit.go("/inbox/")
        expect(visit.page.locator("[data-row]").nth(40)).to_be_visible(timeout=30_000)
        return visit.context.storage_state()


Opener = Callable[..., Visit]


@pytest.fixture
def open_visit(chromium: Browser, stack: Stack, session: StorageState) -> Iterator[Opener]:
    """Opens browser profiles that are signed in; a test may ask for several, and for other options."""
    opened: list[Visit] = []

    def opener(port: int = 0, **options: object) -> Visit:
        visit = Visit(chromium, port or stack.port(), **{"storage_state": session, **options})
        opened.append(visit)
        return visit

    yield opener
    for visit in opened:
        visit.close()


@pytest.fixture
def visit(open_visit: Opener) -> Visit:
    """A signed-in person with one open page."""
    return open_visit()


@pytest.fixture
def listener(open_visit: Opener) -> Listener:
    listener = Listener(open_visit, permissions=["notifications"])
    listener.visit.go_live("/")
    return listener


@pytest.fixture
def mine(listener: Listener, provider: Sandbox) -> Booking:
    """A booking that is assigned to the person."""
    booking = by_end(provider)[0]
    assign(listener.visit, booking, "ada")
    listener.visit.go_live("/")
    return booking


@pytest.fixture
def foreign(listener: Listener, provider: Sandbox) -> Booking:
    """One that is nobody's."""
    booking = by_end(provider)[1]
    assign(listener.visit, booking, "nobody")
    listener.visit.go_live("/")
    return booking
