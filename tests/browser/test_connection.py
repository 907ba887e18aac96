"""The connection is lost, the server dies, the session ends: the page says so and is right again by itself."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Browser, expect

from dashboard.sandbox import Sandbox
from tests.browser.arrivals import receive
from tests.browser.conftest import Opener
from tests.browser.visits import Visit
from tests.stack import Stack
from tests.streaming import wait_until

pytestmark = pytest.mark.browser

RIGHT_AGAIN = 5.0  # seconds after the connection could be made again
LOST = re.compile("reconnecting|offline")


def test_a_page_that_was_offline_says_so_and_is_right_soon_after(visit: Visit, provider: Sandbox) -> None:
    visit.go_live("/inbox/")
    visit.context.set_offline(True)
    visit.expect_state(LOST)
    expect(visit.page.locator("#live")).to_have_text(re.compile("Reconnecting|Offline"))
    receive(provider, "Sent while you were away 810810")
    visit.page.wait_for_timeout(2500)
    assert visit.sms("810810").count() == 0
    visit.context.set_offline(False)
    expect(visit.sms("810810")).to_have_count(1, timeout=RIGHT_AGAIN * 1000)
    visit.expect_state("live", RIGHT_AGAIN)
    receive(provider, "And live again 810811")
    expect(visit.sms("810811")).to_have_count(1)


def test_a_killed_web_process_leaves_a_page_that_is_right_soon_after(
    visit: Visit, provider: Sandbox, stack: Stack
) -> None:
    visit.go_live("/inbox/")
    stack.kill("anosim_dashboard.web")
    receive(provider, "Sent while no server ran 820820")
    visit.expect_state(LOST)
    wait_until(lambda: stack.get("/healthz")[0] == 200, 30)
    back = time.monotonic()
    expect(visit.sms("820820")).to_have_count(1, timeout=RIGHT_AGAIN * 1000)
    visit.expect_state("live", max(0.1, RIGHT_AGAIN - (time.monotonic() - back)))


def test_a_page_leaves_for_the_sign_in_when_its_session_was_ended_elsewhere(
    open_visit: Opener, chromium: Browser, stack: Stack, provider: Sandbox
) -> None:
    visit = open_visit(storage_state=None)
    visit.sign_in("/inbox/?code=1")
    visit.expect_state("live")
    with Visit(chromium, stack.port(), storage_state=visit.context.storage_state()) as elsewhere:
        elsewhere.go("/")
        elsewhere.page.get_by_role("button", name="Sign out").click()
        elsewhere.page.wait_for_url("**/accounts/login/**")
    receive(provider, "Not for everybody 830830")
    # The address and not a navigation: the browser may break one off for the next.
    expect(visit.page).to_have_url(re.compile(r"/accounts/login/\?next=%2Finbox%2F%3Fcode%3D1$"), timeout=30_000)
    expect(visit.page.get_by_text("830830")).to_have_count(0)
