"""Every page, the admin's too: nothing that the policy stops, no barrier in either theme, no overflow at any width."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, StorageState

from tests.browser.conftest import Opener
from tests.browser.visits import AXE, Visit
from tests.stack import Stack

pytestmark = pytest.mark.browser

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (360, 390, 1440, 2560)  # pixels
# Name, path, and whether the page meant is the one of its first row.
PAGES = (
    ("overview", "/", False),
    ("inbox", "/inbox/", False),
    ("bookings", "/bookings/", False),
    ("a booking", "/bookings/", True),
    ("catalogue", "/catalog/", False),
    ("a product", "/catalog/", True),
    ("orders", "/orders/", False),
    ("an order", "/orders/", True),
    ("purchases", "/purchases/", False),
    ("purchases in doubt", "/purchases/doubtful/", False),
    ("SIM cards", "/sim-cards/", False),
    ("activity", "/activity/", False),
    ("status", "/status/", False),
    ("members", "/members/", False),
    ("invites", "/invites/", False),
    ("settings", "/settings/", False),
    ("security", "/settings/security/", False),
    ("a new password", "/settings/security/password/", False),
    ("an authenticator app", "/settings/security/app/", False),
    ("a security key", "/settings/security/keys/add/", False),
    ("confirming who it is", "/accounts/confirm/", False),
    ("a page that is not there", "/nowhere/", False),
    ("admin", "/admin/", False),
    ("accounts in the admin", "/admin/dashboard/account/", False),
    ("an account in the admin", "/admin/dashboard/account/1/change/", False),
    ("people in the admin", "/admin/dashboard/user/", False),
    ("a person in the admin", "/admin/dashboard/user/1/change/", False),
)
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def tour(chromium: Browser, stack: Stack, session: StorageState) -> Iterator[Visit]:
    """One profile goes through all pages, as a person does."""
    with Visit(chromium, stack.port(), storage_state=session) as visit:
        yield visit


@pytest.mark.parametrize(("path", "opens_first_row"), [page[1:] for page in PAGES], ids=[page[0] for page in PAGES])
def test_a_page_opens_clean_without_barriers_and_fits_every_screen(
    tour: Visit, path: str, opens_first_row: bool
) -> None:
    tour.complaints.clear()
    response = tour.go(path)
    if opens_first_row:
        response = tour.go(str(tour.page.locator("a[data-open]").first.get_attribute("href")))
    missing = path == "/nowhere/"
    assert response.status == (404 if missing else 200)
    if tour.page.locator("#live").count():
        tour.expect_state("live")
    assert [text for text in tour.faults() if not (missing and "404" in text)] == []
    assert _too_wide(tour) == {}
    assert _barriers(tour) == {}


def _too_wide(visit: Visit) -> dict[int, int]:
    """Pixels by which the page is wider than the screen, for each width where it is."""
    found = {}
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 900})
        found[width] = visit.page.evaluate(OVERFLOW)
    visit.page.set_viewport_size({"width": 1440, "height": 900})
    return {width: over for width, over in found.items() if over > 0}


def _barriers(visit: Visit) -> dict[Theme, list[str]]:
    found = {}
    for theme in THEMES:
        visit.page.emulate_media(color_scheme=theme)
        found[theme] = visit.barriers()
    return {theme: barriers for theme, barriers in found.items() if barriers}


def test_the_sign_in_page_opens_clean_without_barriers_and_fits_every_screen(open_visit: Opener) -> None:
    visit = open_visit(storage_state=None)
    visit.go("/")
    assert visit.page.url.endswith("/accounts/login/?next=/")
    assert visit.faults() == []
    assert _too_wide(visit) == {}
    assert _barriers(visit) == {}


def test_the_judge_of_accessibility_is_the_file_that_the_list_names() -> None:
    table = (AXE.parent / "VENDOR.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([\w.-]+\.js)` .*`([0-9a-f]{64})` \|$", table, re.MULTILINE))
    assert listed == {AXE.name: hashlib.sha256(AXE.read_bytes()).hexdigest()}
