"""A booking's conversation while somebody waits for a code, and the file of what the inbox shows."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dashboard.sandbox import Sandbox
from dashboard.sandbox.records import Booking
from tests.browser.arrivals import receive, receiver
from tests.browser.conftest import Opener
from tests.browser.visits import Visit

pytestmark = pytest.mark.browser

CLIPBOARD = "navigator.clipboard.readText()"
ROWS = ".thread [data-feed] > li"


def open_booking(visit: Visit, booking: Booking) -> Page:
    """The page of this booking, live."""
    visit.go(f"/bookings/?q={booking.id}")
    link = visit.page.locator("main a[data-open]").first
    expect(link).to_be_visible(timeout=20_000)
    link.click()
    visit.page.wait_for_url("**/bookings/*/")
    visit.expect_state("live")
    return visit.page


def waiting(provider: Sandbox) -> Booking:
    """An Activation that has heard nothing yet, just bought from elsewhere."""
    products = provider.world.products.values()
    row = next(
        row for row in products if row.rental_type == "Activation" and any(each.available for each in row.providers)
    )
    return provider.world.find_booking(provider.world.order(row.id).bookings[0])


def receive_all(provider: Sandbox, texts: list[str]) -> Booking:
    """These messages arrive, each a second after the one before it; gives the booking that received them."""
    booking, now = receiver(provider), datetime.now(UTC)
    for age, text in enumerate(reversed(texts)):
        provider.world.receive_sms(booking.id, text, "Shop", at=now - timedelta(seconds=age))
    return booking


def test_a_waiting_booking_counts_down_and_its_offer_opens_the_question(visit: Visit, provider: Sandbox) -> None:
    page = open_booking(visit, waiting(provider))
    ending = page.locator("#ending")
    expect(ending).to_contain_text(re.compile(r"No SMS yet, \d+:\d\d left"))
    left = ending.locator("[data-left]")
    before = left.inner_text()
    expect(left).not_to_have_text(before)
    ending.get_by_role("link", name=re.compile(r"Cancel for \$\d+\.\d\d back")).click()
    dialog = page.get_by_role("dialog", name="Cancel the booking")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name=re.compile(r"Cancel, get \$"))).to_be_visible()
    page.keyboard.press("Escape")
    assert visit.barriers() == []
    assert visit.faults() == []


@pytest.mark.parametrize(("seconds", "mood"), [(200, "warn"), (60, "end"), (-5, "over")])
def test_the_countdown_turns_amber_then_red_then_stands(
    visit: Visit, provider: Sandbox, seconds: int, mood: str
) -> None:
    page = open_booking(visit, waiting(provider))
    # What moves at the provider must not set it right meanwhile.
    page.route("**/panels/booking/**", lambda route: route.fulfill(status=204))
    ends = page.evaluate(f"new Date(Date.now() + {seconds} * 1000).toISOString()")
    page.evaluate("(ends) => { document.getElementById('ending').dataset.ends = ends }", ends)
    expect(page.locator("#ending")).to_have_class(re.compile(rf"\b{mood}\b"))
    if mood == "over":
        expect(page.locator("#ending [data-left]")).to_have_text("0:00")


def test_a_countdown_that_ends_asks_once_what_became_of_it(visit: Visit) -> None:
    visit.go_live("/")
    # A panel of its own, which nothing else asks to look anew.
    visit.page.evaluate("""() => {
      const panel = document.createElement('div'), count = document.createElement('p');
      panel.dataset.panel = '';
      count.dataset.ends = new Date(Date.now() + 1200).toISOString();
      panel.append(count);
      panel.addEventListener('nudge', () => { panel.dataset.asked = Number(panel.dataset.asked || 0) + 1; });
      document.querySelector('main').append(panel);
    }""")
    panel = visit.page.locator("main > [data-asked]")
    expect(panel).to_have_attribute("data-asked", "1")
    expect(panel.locator("p.over")).to_have_count(1)
    visit.page.wait_for_timeout(2500)
    expect(panel).to_have_attribute("data-asked", "1")


def test_the_code_that_comes_stands_on_a_small_phone_without_scrolling_and_is_told_and_copied_by_a_key(
    open_visit: Opener, provider: Sandbox
) -> None:
    visit = open_visit(
        viewport={"width": 360, "height": 640}, color_scheme="dark", permissions=["clipboard-read", "clipboard-write"]
    )
    booking = waiting(provider)
    page = open_booking(visit, booking)
    provider.world.receive_sms(booking.id, "Your code: 604 271", "Bank")
    code = page.locator(".hero [data-code]")
    expect(code).to_have_attribute("data-copy", "604271")
    expect(code).to_be_in_viewport(ratio=1)
    expect(page.locator("#announce")).to_have_text("1 new message")
    expect(page.locator(ROWS)).to_have_count(1)
    expect(page.locator("#ending")).to_contain_text("Waiting for another SMS")
    expect(page.locator("#ending a")).to_have_count(0)
    page.keyboard.press("c")
    page.wait_for_function(f"{CLIPBOARD}.then((text) => text === '604271')")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert visit.barriers() == []
    assert visit.faults() == []


def test_j_k_c_and_o_work_in_the_conversation(open_visit: Opener, provider: Sandbox) -> None:
    visit = open_visit(permissions=["clipboard-read", "clipboard-write"])
    long = "A long story " * 80
    booking = receive_all(provider, [long, "Key one: code 118822", "Key two: code 118823"])
    page = open_booking(visit, booking)
    expect(page.locator(ROWS).filter(has_text="Key two")).to_have_count(1)
    expect(page.locator(ROWS).filter(has_text="A long story")).to_have_count(1)
    for key, code in (("j", "118823"), ("j", "118822"), ("k", "118823"), ("j", "118822")):
        page.keyboard.press(key)
        page.keyboard.press("c")
        page.wait_for_function(f"{CLIPBOARD}.then((text) => text === '{code}')")
    page.keyboard.press("j")
    story = page.locator(ROWS).filter(has_text="A long story").locator("details")
    expect(story).not_to_have_attribute("open", "")
    page.keyboard.press("o")
    expect(story).to_have_attribute("open", "")
    # What is open stays so when something arrives.
    receive(provider, "Key three: code 118824", "Bank")
    expect(page.locator(ROWS).filter(has_text="Key three")).to_have_count(1)
    expect(story).to_have_attribute("open", "")
    assert visit.faults() == []


def test_earlier_messages_are_put_below_and_an_arrival_leaves_what_is_read_where_it_is(
    visit: Visit, provider: Sandbox
) -> None:
    booking = receive_all(provider, ["Earliest of the long thread", *(f"Long thread {at}" for at in range(60))])
    page = open_booking(visit, booking)
    expect(page.locator(ROWS).first).to_contain_text("Long thread 59", timeout=20_000)
    expect(page.locator(ROWS)).to_have_count(50)
    page.get_by_role("link", name="Earlier SMS").click()
    earliest = page.locator(ROWS).filter(has_text="Earliest of the long thread")
    expect(earliest).to_have_count(1)
    assert "back=" in page.url
    earliest.scroll_into_view_if_needed()
    top = earliest.bounding_box()
    receive(provider, "While reading 515151", "Shop")
    expect(page.get_by_role("button", name="1 new message")).to_be_visible()
    after = earliest.bounding_box()
    assert top
    assert after
    assert abs(after["y"] - top["y"]) < 2
    page.reload()
    expect(earliest).to_have_count(1)
    assert visit.faults() == []


def test_what_the_filters_show_is_downloaded_and_opens_as_csv(visit: Visit, provider: Sandbox, tmp_path: Path) -> None:
    receive_all(provider, ["=Export(1), code 727001", "Größe; 尺寸, code 727002"])
    visit.go_live("/inbox/")
    page = visit.page
    page.locator("[data-search]").fill("72700")
    page.wait_for_url("**q=72700**")
    expect(page.locator("[data-feed] > li")).to_have_count(2)
    link = page.get_by_role("link", name="Export")
    expect(link).to_have_attribute("href", re.compile("q=72700"))
    link.click()
    dialog = page.get_by_role("dialog", name="Export SMS")
    expect(dialog).to_contain_text("2 SMS")
    assert visit.barriers() == []
    with page.expect_download() as coming:
        dialog.get_by_role("button", name="Export 2 SMS").click()
    expect(dialog).to_be_hidden()
    assert re.fullmatch(r"sms-\d{4}-\d\d-\d\d-.+\.csv", coming.value.suggested_filename)
    coming.value.save_as(tmp_path / "export.csv")
    with (tmp_path / "export.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Text"] for row in rows] == ["Größe; 尺寸, code 727002", "'=Export(1), code 727001"]
    assert {row["Code"] for row in rows} == {"727001", "727002"}
    assert page.url.endswith("/inbox/?q=72700")
    assert visit.faults() == []


def test_a_long_file_reaches_the_browser_whole(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.go("/inbox/export/")
    count = re.search(r"Export ([\d,]+) SMS", page.locator("main form button").inner_text())
    assert count
    with page.expect_download() as coming:
        page.locator("main form button").click()
    coming.value.save_as(tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) >= int(count[1].replace(",", ""))
