"""An admin pastes an API key and reads in words what the provider says to it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from dashboard.sandbox import Sandbox
from tests.browser.arrivals import receive
from tests.browser.visits import Visit

pytestmark = pytest.mark.browser

ACCOUNT = "/admin/dashboard/account/1/change/"


def test_a_wrong_key_is_told_by_itself_and_the_right_one_works_again(visit: Visit, provider: Sandbox) -> None:
    visit.go(ACCOUNT)
    try:
        _paste(visit, "a-key-with-one-letter-wrong")
        _expect_verdict(visit, "ANOSIM refuses the key.")
    finally:
        _paste(visit, provider.key)
    _expect_verdict(visit, "The key works")
    assert provider.key not in visit.page.content()
    assert visit.faults() == []
    visit.go_live("/")
    receive(provider, "After the right key 909909")
    expect(visit.sms("909909").first).to_be_visible()


def _paste(visit: Visit, key: str) -> None:
    visit.page.get_by_role("textbox", name="API key").fill(key)
    visit.page.get_by_role("button", name="Save and continue editing").click()
    visit.page.wait_for_load_state()


def _expect_verdict(visit: Visit, words: str) -> None:
    expect(visit.page.locator("#key-verdict")).to_contain_text(re.compile(re.escape(words)), timeout=15_000)
