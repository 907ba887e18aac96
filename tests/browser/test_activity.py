"""The Activity page in a browser: deeds arrive by themselves, filters work with and without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.browser.test_buying import open_product, order
from tests.browser.visits import Visit

pytestmark = pytest.mark.browser


def test_a_purchase_and_its_steps_arrive_while_the_page_is_open_and_what_is_unfolded_stays_so(
    visit: Visit, open_visit: Opener
) -> None:
    visit.go("/activity/")
    first = visit.page.locator("#activity-panel tr[data-row]").first
    expect(first).to_contain_text("signed in")
    first.locator("summary").click()
    expect(first.locator("dl")).to_be_visible()
    unfolded = visit.page.locator(f"#{first.get_attribute('id')}")

    other = open_visit()
    open_product(other, "WhatsApp")
    order(other)

    panel = visit.page.locator("#activity-panel")
    expect(panel).to_contain_text(re.compile(r"ordered 1 × WhatsApp, Germany for \$\d"), timeout=20_000)
    expect(panel).to_contain_text(re.compile(r"The dashboard By itself bought 1 × WhatsApp"), timeout=30_000)
    expect(unfolded.locator("dl")).to_be_visible()
    assert visit.faults() == []


def test_a_filter_narrows_the_list_at_once_and_stands_in_the_address(visit: Visit) -> None:
    visit.go("/activity/")
    visit.page.locator("select[name=kind]").select_option("exports")
    visit.page.wait_for_url("**/activity/?*kind=exports*")
    expect(visit.page.locator("#activity-panel")).to_contain_text("Nothing fits these filters")
    visit.page.get_by_role("link", name="Clear filters").click()
    expect(visit.page.locator("#activity-panel tr[data-row]").first).to_be_visible()
    assert visit.faults() == []


def test_it_is_read_and_filtered_without_scripts(open_visit: Opener) -> None:
    visit = open_visit(java_script_enabled=False)
    visit.go("/activity/")
    visit.page.locator("summary").first.click()
    expect(visit.page.locator("dl").first).to_be_visible()
    visit.page.locator("select[name=kind]").select_option("sign-in")
    visit.page.get_by_role("button", name="Apply").click()
    expect(visit.page.locator("#activity-panel")).to_contain_text("signed in")


def test_the_history_of_a_booking_is_one_click_from_it(visit: Visit) -> None:
    visit.go("/bookings/")
    visit.go(str(visit.page.locator("a[data-open]").first.get_attribute("href")))
    visit.page.get_by_role("link", name="All activity of this booking").click()
    visit.page.wait_for_url("**/activity/?booking=*")
    expect(visit.page.locator("#activity-panel .summary")).to_contain_text("about +")
    assert visit.faults() == []
