"""Second factors in a real Chromium: an authenticator app, a recovery code, a security key; and ending a session."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.browser.visits import PASSWORD, PERSON, Visit
from tests.second_factors import code_of, wrong_code_of
from tests.stack import Session, Stack

pytestmark = pytest.mark.browser

WORD = "a-word-that-nobody-guesses"
SECURITY = "/settings/security/"
NO_MEMBERS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
CODE_FIELD = "Code of your authenticator app"


@pytest.fixture(scope="module")
def people(stack: Stack) -> list[str]:
    """Names of people made for these tests, one for each."""
    admin = Session(stack, PERSON, PASSWORD)
    names = ["app-owner", "key-owner", "two-places"]
    for name in names:
        form = {"username": name, "password1": WORD, "password2": WORD}
        status, _ = admin.post("/admin/dashboard/user/add/", form | NO_MEMBERS)
        assert status == 302
    return names


@pytest.fixture
def fresh(open_visit: Opener, stack: Stack) -> Visit:
    """A browser that nobody has signed in with, on a name: security keys are not for bare addresses."""
    return open_visit(storage_state=None, base_url=f"http://localhost:{stack.port()}")


def _sign_in(visit: Visit, person: str, path: str = SECURITY) -> None:
    visit.go(f"/accounts/login/?next={path}")
    visit.give_password(person, WORD)


def _sign_out(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Sign out").click()
    expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()


def _is_clean(visit: Visit) -> None:
    assert visit.faults() == []
    for width in (360, 1440):
        visit.page.set_viewport_size({"width": width, "height": 900})
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.barriers() == []


def test_an_app_is_set_up_and_asked_for_and_a_recovery_code_stands_in(fresh: Visit, people: list[str]) -> None:
    page = fresh.page
    _sign_in(fresh, people[0])
    page.get_by_role("link", name="Set up").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    assert page.evaluate("document.querySelector('.qr').naturalWidth") > 0
    secret = page.locator("#secret").inner_text()
    _is_clean(fresh)
    # The code of half a minute ago: each code counts once, and that of now is for the sign-in.
    page.get_by_label("The code that the app shows").press_sequentially(code_of(secret, time.time() - 30))
    expect(page.locator("#recovery-codes li")).to_have_count(10)
    codes = page.locator("#recovery-codes li").all_inner_texts()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text().split()[-10:] == codes
    _is_clean(fresh)
    page.reload()
    expect(page.get_by_text("cannot be shown again")).to_be_visible()
    _sign_out(fresh)

    _sign_in(fresh, people[0])
    field = page.get_by_label(CODE_FIELD)
    field.press_sequentially(wrong_code_of(secret))
    expect(page.get_by_role("alert")).to_contain_text("That code is not right")
    _is_clean(fresh)
    field.press_sequentially(code_of(secret))  # six digits send the form by themselves
    page.wait_for_url(f"**{SECURITY}")
    _sign_out(fresh)

    _sign_in(fresh, people[0])
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").press_sequentially(codes[0])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{SECURITY}")
    expect(page.get_by_text("9 left")).to_be_visible()
    _is_clean(fresh)


def test_a_security_key_is_added_and_lets_in(fresh: Visit, people: list[str]) -> None:
    page = fresh.page
    _add_virtual_key(fresh)
    _sign_in(fresh, people[1])
    page.get_by_role("link", name="Add").click()
    page.get_by_label("What you call it").fill("Blue <b>key</b>")
    _is_clean(fresh)
    page.get_by_role("button", name="Add the key").click()
    expect(page.locator("#recovery-codes li")).to_have_count(10)
    fresh.go(SECURITY)
    expect(page.get_by_text("Blue <b>key</b>")).to_be_visible()
    _sign_out(fresh)
    _sign_in(fresh, people[1])
    expect(page.get_by_role("button", name="Use your security key")).to_be_visible()
    _is_clean(fresh)
    page.get_by_role("button", name="Use your security key").click()
    page.wait_for_url(f"**{SECURITY}")
    fresh.go("/accounts/confirm/key/?next=/settings/")
    page.get_by_role("button", name="Use your security key").click()
    # Not "**/settings/": the address that asks for the key ends so too.
    page.wait_for_url(re.compile(r"^[^?]*/settings/$"))
    assert fresh.faults() == []


def test_a_browser_without_a_key_says_so(fresh: Visit, people: list[str]) -> None:
    page = fresh.page
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")  # and no authenticator in it
    _sign_in(fresh, people[2])
    page.get_by_role("link", name="Add").click()
    page.evaluate(
        "document.getElementById('key-request').textContent = "
        "document.getElementById('key-request').textContent.replace('\"rp\"', '\"timeout\": 300, \"rp\"')"
    )
    page.get_by_role("button", name="Add the key").click()
    expect(page.get_by_role("alert")).to_contain_text("The browser was given no key", timeout=30_000)
    expect(page.get_by_role("button", name="Add the key")).to_be_enabled()


def test_a_session_elsewhere_is_ended(fresh: Visit, open_visit: Opener, people: list[str]) -> None:
    other = open_visit(storage_state=None, user_agent="Mozilla/5.0 (X11; Linux) Gecko/20100101 Firefox/140.0")
    _sign_in(other, people[2], "/")
    _sign_in(fresh, people[2])
    row = fresh.page.locator("li").filter(has_text="Firefox on Linux")
    row.get_by_role("button", name=re.compile("^End the session")).click()
    expect(fresh.page.get_by_text("The session with Firefox on Linux has ended.")).to_be_visible()
    other.page.get_by_role("link", name="Inbox").first.click()
    expect(other.page.get_by_role("heading", name="Sign in")).to_be_visible()
    _is_clean(fresh)


def _add_virtual_key(visit: Visit) -> None:
    cdp: Any = visit.context.new_cdp_session(visit.page)
    cdp.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": False, "hasUserVerification": False}
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
