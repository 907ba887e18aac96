"""The inbox as it is used all day: what arrives moves nothing, older rows come by themselves, and back is back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from dashboard.sandbox import Sandbox
from tests.browser.arrivals import receive
from tests.browser.conftest import Opener
from tests.browser.visits import Visit

pytestmark = pytest.mark.browser

ROWS = "[data-feed] > li"
CLIPBOARD = "navigator.clipboard.readText()"
# A row in the middle of the screen, and where it stands.
MIDDLE = """() => {
  const row = document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest('[data-row]');
  return [row.id, Math.round(row.getBoundingClientRect().top)];
}"""
PLACE = "(id) => Math.round(document.getElementById(id).getBoundingClientRect().top)"


def scroll_to_more(page: Page) -> None:
    """Down to where rows of the second page stand."""
    page.mouse.move(700, 500)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.locator("#inbox-more [data-row]").first).to_be_attached()
    page.evaluate("document.querySelectorAll('#inbox-more [data-row]')[8].scrollIntoView({ block: 'center' })")


def row_of(page: Page, row_id: str) -> Locator:
    return page.locator(f"#{row_id}")


def same_place(page: Page, place: list[Any]) -> None:
    page.wait_for_function(
        "([id, top]) => Math.abs(document.getElementById(id)?.getBoundingClientRect().top - top) <= 2", arg=place
    )


def test_an_arrival_moves_nothing_that_is_read_and_a_bar_tells_of_it(visit: Visit, provider: Sandbox) -> None:
    page = visit.page
    visit.go_live("/inbox/")
    scroll_to_more(page)
    loaded = page.locator("#inbox-more [data-row]").count()
    place = page.evaluate(MIDDLE)
    for at in range(3):
        receive(provider, f"While you read further down {at}")
    bar = page.locator("[data-newbar]")
    expect(bar).to_have_text(re.compile(r"^3 new messages$"))
    same_place(page, place)
    assert page.locator("#inbox-more [data-row]").count() == loaded
    ids = [row.get_attribute("id") for row in page.locator(ROWS).all()]
    assert len(ids) == len(set(ids))
    expect(page.locator("#announce")).to_have_text(re.compile("new message"))
    bar.click()
    expect(visit.sms("While you read further down 2")).to_be_in_viewport()
    expect(bar).to_be_hidden()
    assert visit.faults() == []


def test_what_arrives_under_a_filter_is_only_what_it_finds(visit: Visit, provider: Sandbox) -> None:
    visit.go_live("/inbox/?code=1&sender=Bank")
    receive(provider, "Filtered arrival without any", sender="Bank")
    receive(provider, "Filtered arrival of another 771177", sender="Elsewhere")
    receive(provider, "Filtered arrival code 771178", sender="Bank")
    expect(visit.sms("Filtered arrival")).to_have_count(1)
    expect(visit.sms("771178")).to_have_count(1)
    assert visit.page.url.endswith("/inbox/?code=1&sender=Bank")


def test_older_rows_come_by_themselves_each_once_and_in_order(visit: Visit) -> None:
    page = visit.page
    visit.go_live("/inbox/")
    for _ in range(20):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(150)
        if page.locator("#inbox-more .pager").count() == 0 and page.locator("#inbox-more [data-row]").count():
            break
    ids = [row.get_attribute("id") for row in page.locator(ROWS).all()]
    times = page.evaluate(f"[...document.querySelectorAll('{ROWS} time')].map((each) => each.dateTime)")
    assert len(ids) >= 100
    assert len(ids) == len(set(ids))
    assert times == sorted(times, reverse=True)
    heads = [head.inner_text() for head in page.locator(".day").all()]
    assert len(heads) == len(set(heads))
    assert visit.faults() == []


def test_back_from_a_booking_leads_to_the_same_rows_place_and_focus(visit: Visit, provider: Sandbox) -> None:
    page = visit.page
    visit.go_live("/inbox/?code=1")
    scroll_to_more(page)
    link = page.locator("#inbox-more a[data-open][href^='/bookings/']").nth(6)
    row = str(link.evaluate("(link) => link.closest('[data-row]').id"))
    link.focus()
    # As a click does it, which scrolls a link that the header covers into sight first.
    link.scroll_into_view_if_needed()
    link.hover()
    top = page.evaluate(PLACE, row)
    count = page.locator(ROWS).count()
    link.click()
    page.wait_for_url("**/bookings/*/")
    receive(provider, "While a booking was open 484848")
    page.go_back()
    page.wait_for_url("**/inbox/?code=1")
    same_place(page, [row, top])
    expect(row_of(page, row).locator("a[data-open]")).to_be_focused()
    assert page.locator(ROWS).count() >= count
    # No text of a message is kept in the browser.
    kept = page.evaluate("JSON.stringify([{ ...sessionStorage }, { ...localStorage }, history.state])")
    assert not re.search("code|kod|parcel|\\+\\d{9}", kept.replace("?code=1", ""), re.IGNORECASE)
    page.locator("[data-nav=inbox]").click()
    page.wait_for_url("**/inbox/")
    assert page.evaluate("scrollY") == 0


def test_focus_survives_what_arrives(visit: Visit, provider: Sandbox) -> None:
    page = visit.page
    visit.go_live("/inbox/")
    for _ in range(3):
        page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.closest('[data-row]').id")
    receive(provider, "Arrives while a row has the focus")
    expect(visit.sms("Arrives while a row has the focus")).to_have_count(1)
    assert page.evaluate("document.activeElement.closest('[data-row]').id") == focused
    # What an earlier test sent may have come in the same moment.
    above = page.evaluate(
        "(id) => [...document.querySelectorAll('[data-row]')].findIndex((row) => row.id === id)", focused
    )
    for _ in range(above):
        page.keyboard.press("k")
    expect(visit.sms("Arrives while a row has the focus").locator("a[data-open]")).to_be_focused()


def test_a_message_is_read_by_copying_by_opening_and_by_the_key_u(visit: Visit, provider: Sandbox) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.page
    visit.go_live("/inbox/")
    texts = ("Your first code is 910001", "Your second code is 910002", "Your third code is 910003")
    for text in texts:
        receive(provider, text)
    first, second, third = (visit.sms(text) for text in texts)
    unread = ""
    for row in (first, second, third):
        expect(row).to_have_attribute("data-unread", unread)
        expect(row.get_by_text("Unread", exact=True)).to_be_attached()
    first.locator("button[data-code]").click()
    expect(first).not_to_have_attribute("data-unread", unread)
    second.locator("a[data-open]").focus()
    page.keyboard.press("c")
    page.wait_for_function(f"{CLIPBOARD}.then((text) => text === '910002')")
    expect(second).not_to_have_attribute("data-unread", unread)
    third.locator("a[data-open]").focus()
    page.keyboard.press("u")
    expect(third).not_to_have_attribute("data-unread", unread)
    expect(page.locator("#announce")).to_have_text("Marked as read")
    expect(third.locator("a[data-open]")).to_be_focused()
    with page.expect_response(lambda response: response.url.endswith("/inbox/read/")):
        page.keyboard.press("u")
    expect(third).to_have_attribute("data-unread", unread)
    page.reload()
    for row, is_unread in ((first, False), (second, False), (third, True)):
        wanted = expect(row).to_have_attribute if is_unread else expect(row).not_to_have_attribute
        wanted("data-unread", unread)
    third.locator("a[data-open]").click()
    page.wait_for_url("**/bookings/*/")
    page.go_back()
    page.wait_for_url("**/inbox/")
    expect(third).not_to_have_attribute("data-unread", unread)


def test_a_booking_that_is_looked_at_reads_its_messages(visit: Visit, provider: Sandbox) -> None:
    booking = receive(provider, "Read on the page of its booking")
    visit.go_live("/inbox/")
    row = visit.sms("Read on the page of its booking")
    expect(row).to_have_attribute("data-unread", "")
    other = visit.new_page()
    other.goto(str(row.locator("a[data-open]").get_attribute("href")))
    expect(other.locator("[data-feed]").get_by_text("Read on the page of its booking")).to_be_visible()
    visit.page.bring_to_front()
    expect(row).not_to_have_attribute("data-unread", "")
    assert booking.number


def test_all_found_are_read_at_once_and_that_is_taken_back_in_every_window(visit: Visit, provider: Sandbox) -> None:
    page, other = visit.page, visit.new_page()
    for at in range(2):
        receive(provider, f"Read with all others {at}", sender="Collective")
    for each in (page, other):
        each.goto("/inbox/?sender=Collective")
        expect(each.locator(ROWS + "[data-unread]")).to_have_count(2)
    page.bring_to_front()
    page.get_by_role("button", name="Mark all read").click()
    expect(page.locator("#toasts")).to_contain_text("2 SMS marked as read.")
    for each in (page, other):
        expect(each.locator(ROWS + "[data-unread]")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text("Unread again.")
    for each in (page, other):
        expect(each.locator(ROWS + "[data-unread]")).to_have_count(2)
    assert visit.faults() == []


def test_filters_stand_in_a_panel_and_as_chips_that_take_them_away(visit: Visit) -> None:
    page = visit.page
    visit.go("/inbox/")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Sender").fill("o")
    page.get_by_label("Sender").press("Enter")
    page.wait_for_url("**/inbox/?sender=o")
    page.keyboard.press("Escape")
    page.get_by_role("checkbox", name="Unread").check()
    page.wait_for_url(lambda url: "sender=o" in url and "unread=1" in url)
    expect(page.locator("#filters-count")).to_have_text(re.compile("^1"))
    page.get_by_role("link", name="Take away the filter Sender o").click()
    page.wait_for_url("**/inbox/?unread=1")
    expect(page.get_by_role("checkbox", name="Unread")).to_be_checked()
    visit.go("/inbox/?from=soon&booking=999999")
    expect(page.get_by_text("The date under “From” cannot be read, so it was left out.")).to_be_visible()
    expect(page.get_by_text("There is no such booking in your accounts.")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_inbox_in_use_has_no_barriers_on_a_phone_or_a_desk(open_visit: Opener, theme: str) -> None:
    visit = open_visit(color_scheme=theme, viewport={"width": 390, "height": 844}, has_touch=True)
    page = visit.page
    visit.go_live("/inbox/?from=x&number=4")
    assert visit.barriers() == []
    visit.go_live("/inbox/")
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_label("Service")).to_be_visible()
    assert visit.barriers() == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1440, "height": 900})
    scroll_to_more(page)
    page.get_by_role("button", name="Mark all read").scroll_into_view_if_needed()
    assert visit.barriers() == []
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_label("Service")).to_be_visible()
    assert visit.barriers() == []
    assert [text for text in visit.faults() if "yyyy-MM-dd" not in text] == []
