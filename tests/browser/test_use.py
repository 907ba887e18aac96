"""What a person does on the pages: sign in, filter, copy, keys, theme; and reading without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from dashboard.sandbox import Sandbox
from tests.browser.arrivals import receive
from tests.browser.conftest import Opener
from tests.browser.visits import Visit

pytestmark = pytest.mark.browser

ROWS = "[data-feed] > li"
CLIPBOARD = "navigator.clipboard.readText()"


def test_a_sign_in_leads_to_the_page_that_was_asked_for(open_visit: Opener) -> None:
    visit = open_visit(storage_state=None)
    visit.go("/bookings/?show=running")
    visit.page.get_by_label("User name").fill("ada")
    visit.page.get_by_label("Password").fill("not the password")
    visit.page.get_by_role("button", name="Sign in").click()
    expect(visit.page.get_by_role("alert")).to_be_visible()
    visit.sign_in("/bookings/?show=running")
    assert visit.page.url == visit.url + "/bookings/?show=running"
    visit.page.get_by_role("button", name="Sign out").click()
    visit.page.wait_for_url("**/accounts/login/**")
    assert visit.go("/inbox/").url.endswith("/accounts/login/?next=/inbox/")


def test_filters_live_in_the_url_and_survive_going_back(visit: Visit) -> None:
    page = visit.page
    visit.go("/inbox/")
    everything = page.locator(ROWS).count()
    page.get_by_role("checkbox", name="With code").check()
    page.wait_for_url("**/inbox/?code=1")
    expect(page.locator(ROWS).filter(has_not=page.locator("[data-code]"))).to_have_count(0)
    # Some senders are hostile, and nothing of them can be searched for.
    word = str(page.locator(ROWS + " bdi").filter(has_text=re.compile(r"^[A-Za-z]{4,}$")).first.inner_text())
    page.locator("[data-search]").press_sequentially(word)
    page.wait_for_url(lambda url: "q=" in url and "code=1" in url)
    expect(page.locator(ROWS)).not_to_have_count(everything)
    narrow = _ids(page)
    page.locator(ROWS + " a[data-open]").first.click()
    page.wait_for_url("**/bookings/*/")
    page.go_back()
    page.wait_for_url(lambda url: "q=" in url and "code=1" in url)
    expect(page.locator("[data-search]")).to_have_value(word)
    expect(page.get_by_role("checkbox", name="With code")).to_be_checked()
    assert _ids(page) == narrow
    page.reload()
    assert _ids(page) == narrow
    page.get_by_role("link", name="Clear", exact=True).click()
    page.wait_for_url("**/inbox/")
    expect(page.locator(ROWS)).to_have_count(everything)
    expect(page.locator("[data-search]")).to_have_value("")


def _ids(page: Page) -> list[str]:
    return [str(row.get_attribute("id")) for row in page.locator(ROWS).all()]


def test_a_code_is_copied_by_a_click_and_by_the_key_c(visit: Visit, provider: Sandbox) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.go_live("/inbox/")
    booking = receive(provider, "Your login code is 640913")
    receive(provider, "Your login code is 640914")
    first, second = visit.sms("640913"), visit.sms("640914")
    expect(second).to_be_visible()
    first.locator("button[data-code]").click()
    expect(visit.page.locator("#toasts")).to_contain_text("Code copied")
    assert visit.page.evaluate(CLIPBOARD) == "640913"
    second.locator("a[data-open]").focus()
    visit.page.keyboard.press("c")
    visit.page.wait_for_function(f"{CLIPBOARD}.then((text) => text === '640914')")
    first.locator("button.copy").click()
    visit.page.wait_for_function(f"{CLIPBOARD}.then((text) => text === '{booking.number}')")


def test_the_keys_search_go_step_and_help(visit: Visit) -> None:
    page = visit.page
    visit.go_live("/")
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/inbox/")
    page.keyboard.press("/")
    expect(page.locator("[data-search]")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("[data-search]")).to_have_value("j")
    page.keyboard.press("Backspace")
    page.keyboard.press("Escape")
    expect(page.locator("[data-search]")).not_to_be_focused()
    links = page.locator(ROWS + " a[data-open]")
    for key, row in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(links.nth(row)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help and keys")).to_be_visible()
    assert visit.barriers() == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Help and keys")).to_be_hidden()
    page.keyboard.press("o")
    page.wait_for_url("**/bookings/*/")
    assert visit.faults() == []


def test_the_theme_that_is_switched_stays(visit: Visit) -> None:
    page = visit.page
    page.emulate_media(color_scheme="light")
    visit.go("/")
    light = _background(page)
    switch = page.get_by_role("button", name="Switch theme")
    switch.click()
    expect(switch).to_have_attribute("title", "Theme: light")
    switch.click()
    expect(switch).to_have_attribute("title", "Theme: dark")
    dark = _background(page)
    assert dark != light
    for path in ("/inbox/", "/nowhere/"):
        visit.go(path)
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert _background(page) == dark
    visit.go("/admin/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def _background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_reading_works_without_javascript(open_visit: Opener) -> None:
    visit = open_visit(storage_state=None, java_script_enabled=False)
    page = visit.page
    visit.sign_in("/inbox/")
    before = _ids(page)
    page.get_by_role("link", name="Older").click()
    page.wait_for_url(re.compile(r"/inbox/\?.+"))
    assert _ids(page)
    assert not set(_ids(page)) & set(before)
    visit.go("/inbox/")
    page.get_by_role("checkbox", name="With code").check()
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/inbox/?*code=1*")
    expect(page.locator(ROWS + " [data-code]")).to_have_count(page.locator(ROWS).count())
    visit.go("/catalog/")
    page.locator("select[name=country]").select_option("Germany")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/catalog/?*country=Germany*")
    expect(page.locator("tbody tr").first).to_contain_text("Germany")
    expect(page.locator("tbody tr").filter(has_not_text="Germany")).to_have_count(0)
    for path in ("/", "/bookings/", "/orders/", "/sim-cards/", "/status/"):
        assert visit.go(path).status == 200
        expect(page.get_by_role("heading", level=1)).to_be_visible()
