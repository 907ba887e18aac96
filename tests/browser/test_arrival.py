"""What happens at the provider stands on open pages by itself, whatever the person is doing there."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from dashboard.sandbox import Sandbox
from tests.browser.arrivals import receive
from tests.browser.conftest import Opener
from tests.browser.relay import Relay
from tests.browser.visits import Visit
from tests.stack import Stack

pytestmark = pytest.mark.browser

MARK = "window.neverReloaded = true"


def test_an_sms_stands_on_an_open_overview_and_an_open_inbox_without_a_reload(visit: Visit, provider: Sandbox) -> None:
    inbox = visit.new_page()
    inbox.goto("/inbox/")
    visit.go_live("/")
    for page in (visit.page, inbox):
        page.evaluate(MARK)
    receive(provider, "Parcel 4711 waits, code 550771")
    for page in (visit.page, inbox):
        row = page.locator("[data-feed] > li").filter(has_text="Parcel 4711 waits")
        expect(row).to_have_count(1)
        expect(row.get_by_role("button", name="Copy code 550 771")).to_be_visible()
        assert page.evaluate("window.neverReloaded")
    assert visit.faults() == []


def test_an_arrival_keeps_the_filter_and_the_text_that_is_being_typed(visit: Visit, provider: Sandbox) -> None:
    receive(provider, "Zebra one 118119")
    visit.go_live("/inbox/?q=Zebra")
    visit.page.get_by_role("button", name="Filters").click()
    sender = visit.page.get_by_label("Sender")
    sender.press_sequentially("Post Of")
    receive(provider, "Lion 220220")
    receive(provider, "Zebra two 118120")
    expect(visit.sms("Zebra two")).to_have_count(1)
    expect(visit.sms("Zebra one")).to_have_count(1)
    expect(visit.sms("Lion")).to_have_count(0)
    expect(sender).to_be_focused()
    expect(sender).to_have_value("Post Of")
    expect(visit.page.locator("[data-search]")).to_have_value("Zebra")
    assert visit.page.url.endswith("/inbox/?q=Zebra")


def test_a_product_shows_its_free_numbers_by_itself(visit: Visit, provider: Sandbox) -> None:
    visit.go("/catalog/?q=whatsapp")
    visit.page.locator("a[data-open]").first.click()
    badges = visit.page.locator(".offer .badge")
    expect(badges.first).to_have_text(re.compile(r"^(\d+|none) free$"))
    remote_id = int(visit.page.locator("dl .mono").inner_text())
    told = {row.name: row.available for row in provider.world.find_product(remote_id).providers}
    for name, available in told.items():
        offer = visit.page.locator(".offer").filter(has_text=name)
        expect(offer.locator(".badge")).to_have_text(f"{available} free" if available else "none free")
    assert visit.faults() == []


def test_two_tabs_of_a_browser_share_one_stream_and_both_move(
    open_visit: Opener, stack: Stack, provider: Sandbox
) -> None:
    with Relay(stack.port()) as relay:
        visit = open_visit(relay.port)
        first, second = visit.page, visit.new_page()
        for page in (first, second):
            page.goto("/inbox/")
            expect(page.locator("#live")).to_have_attribute("data-state", "live")
        receive(provider, "Both tabs 330330")
        for page in (first, second):
            expect(_rows(page, "Both tabs")).to_have_count(1)
        assert relay.count(b"GET /live/ ") == 1
        first.close()
        receive(provider, "The tab that stays 330331")
        expect(_rows(second, "The tab that stays")).to_have_count(1)
        assert relay.count(b"GET /live/ ") == 1
        visit.close()


def _rows(page: Page, words: str) -> Locator:
    return page.locator("[data-feed] > li").filter(has_text=words)
