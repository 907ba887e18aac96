"""An SMS is told while the person looks elsewhere: by title, sound and notification, to whom it concerns."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from dashboard.sandbox import Sandbox
from dashboard.sandbox.records import Booking
from tests.browser.conftest import PLAIN_HOST, Opener
from tests.browser.listening import Listener, by_end, expect_told, leave, see
from tests.stack import Stack

pytestmark = pytest.mark.browser


def icon(page: Page) -> str:
    return str(page.locator('link[rel="icon"]').get_attribute("href"))


def test_a_tab_in_the_background_counts_mine_and_marks_others_until_it_is_looked_at(
    listener: Listener, provider: Sandbox, mine: Booking, foreign: Booking
) -> None:
    page = listener.visit.page
    listener.choose("My bookings")
    plain = icon(page)
    leave(page)
    provider.world.receive_sms(foreign.id, "For a colleague", "Bank")
    expect(page).to_have_title("● Overview · ANOSIM dashboard")
    assert icon(page) != plain
    assert page.evaluate("window.badge") == "dot"
    provider.world.receive_sms(mine.id, "Code 118811", "Bank")
    expect(page).to_have_title("(1) Overview · ANOSIM dashboard")
    provider.world.receive_sms(mine.id, "Code 118812", "Bank")
    expect(page).to_have_title("(2) Overview · ANOSIM dashboard")
    assert page.evaluate("window.badge") == 2
    see(page)
    expect(page).to_have_title("Overview · ANOSIM dashboard")
    assert icon(page) == plain
    assert page.evaluate("window.badge") is None
    assert page.evaluate("[window.told.length, window.tones, window.asked]") == [0, 0, 0]
    assert listener.visit.faults() == []


def test_a_notification_names_the_booking_and_never_the_text_and_leads_there(
    listener: Listener, provider: Sandbox, foreign: Booking
) -> None:
    page = listener.visit.page
    listener.choose("All bookings", notify=True)
    leave(page)
    provider.world.receive_sms(foreign.id, "Secret code 440044", "Sesame")
    (note,) = expect_told(1, page)
    assert re.sub(r"\D", "", note["title"]) == foreign.number.removeprefix("+")
    assert note["title"].startswith("SMS for +")
    assert "440044" not in str(note)
    assert "Sesame" not in str(note)
    assert not any("text=1" in url for url in listener.visit.requests)
    assert note["silent"] is True
    page.evaluate("window.latest.onclick()")
    page.wait_for_url("**/bookings/*/")
    expect(page.locator("main")).to_contain_text("440044")


def test_where_it_was_turned_on_a_notification_has_the_text_which_stays_inert(
    listener: Listener, provider: Sandbox, foreign: Booking
) -> None:
    page = listener.visit.page
    listener.choose("All bookings", notify=True, text=True)
    leave(page)
    text = "<img src=x onerror=alert(1)> \u202e440055\nsecond line " + "W" * 500
    provider.world.receive_sms(foreign.id, text, "<b>Sesame</b>")
    (note,) = expect_told(1, page)
    assert "<b>Sesame</b>: <img src=x onerror=alert(1)> [U+202E]440055 second line WWW" in note["body"]
    assert len(note["body"]) < 350
    assert listener.visit.faults() == []


def test_whose_sms_are_told_is_as_the_person_chose(
    listener: Listener, provider: Sandbox, mine: Booking, foreign: Booking
) -> None:
    page = listener.visit.page
    listener.choose("My bookings", "Bell", notify=True)
    provider.world.receive_sms(foreign.id, "Not mine 550051", "Bank")
    expect(listener.visit.sms("550051").first).to_be_visible()
    provider.world.receive_sms(mine.id, "Mine 550052", "Bank")
    (note,) = expect_told(1, page)
    assert re.sub(r"\D", "", note["title"]) == mine.number.removeprefix("+")
    tones = page.evaluate("window.tones")
    assert tones > 0
    listener.choose("Nothing", "Bell", notify=True)
    leave(page)
    provider.world.receive_sms(mine.id, "Mine, and not wanted 550053", "Bank")
    see(page)
    expect(listener.visit.sms("550053").first).to_be_visible()
    leave(page)
    listener.choose("All bookings", "Bell", notify=True)
    provider.world.receive_sms(foreign.id, "Anybody's 550054", "Bank")
    found = expect_told(2, page)
    assert re.sub(r"\D", "", found[1]["title"]) == foreign.number.removeprefix("+")
    expect(page).to_have_title(re.compile(r"^\(1\) "))


def test_a_page_on_plain_http_says_why_it_cannot_notify_and_still_counts_and_sounds(
    open_visit: Opener, provider: Sandbox, stack: Stack
) -> None:
    origin = f"http://{PLAIN_HOST}:{stack.port()}"
    listener = Listener(open_visit, base_url=origin, storage_state=None)
    page = listener.visit.page
    listener.visit.sign_in("/")
    listener.visit.expect_state("live")
    page.get_by_role("button", name="Notifications").click()
    dialog = page.get_by_role("dialog", name="Notifications")
    expect(dialog.get_by_label("Show a notification")).to_be_disabled()
    expect(dialog).to_contain_text(f"only on pages with HTTPS, and on localhost. This page is on {origin}")
    page.keyboard.press("Escape")
    listener.choose("All bookings", "Chime")
    leave(page)
    provider.world.receive_sms(by_end(provider)[1].id, "Plain 880088", "Bank")
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    page.wait_for_function("window.tones > 0")
    assert page.evaluate("window.asked") == 0
    # Chromium says that a header of ours counts for nothing on such a page.
    assert [text for text in listener.visit.faults() if "Cross-Origin-Opener-Policy" not in text] == []


def test_a_sound_that_the_browser_blocks_is_said_plainly(listener: Listener, provider: Sandbox) -> None:
    page = listener.visit.page
    # As in a browser that wants a click first.
    page.evaluate("Object.defineProperty(AudioContext.prototype, 'state', { get: () => 'suspended' })")
    listener.choose("All bookings", "Chime")
    leave(page)
    provider.world.receive_sms(by_end(provider)[1].id, "Unheard 131313", "Bank")
    expect(page).to_have_title(re.compile(r"^\(\d+\) "))  # an earlier test's may come with it
    page.wait_for_function("!document.querySelector('[data-heard]').hidden")
    see(page)
    expect(page.locator("#toasts")).to_contain_text("SMS came, but this browser lets the page make no sound before you")
    page.get_by_role("button", name="Notifications").click()
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("#toasts")).to_contain_text("There was no sound: this browser lets the page make no sound")
    assert page.evaluate("window.tones") == 0


def test_permission_is_asked_for_by_a_click_only_and_a_refusal_is_explained(open_visit: Opener) -> None:
    listener = Listener(open_visit)
    page = listener.visit.page
    listener.visit.go_live("/")
    page.get_by_role("button", name="Notifications").click()
    dialog = page.get_by_role("dialog", name="Notifications")
    expect(dialog).to_contain_text("Your browser will ask")
    assert page.evaluate("window.asked") == 0
    dialog.get_by_label("Show a notification").click()
    expect(dialog).to_contain_text("Your browser blocks notifications of this page. To allow them")
    expect(dialog.get_by_label("Show a notification")).not_to_be_checked()
    assert page.evaluate("window.asked") == 1


def test_the_choices_are_made_by_keyboard_and_kept_on_this_device(listener: Listener) -> None:
    page = listener.visit.page
    bell = page.get_by_role("button", name="Notifications")
    bell.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Notifications")
    sound = dialog.get_by_role("radio", name="Off")
    sound.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("window.tones > 0")  # heard at once
    dialog.get_by_label("Show a notification").focus()
    page.keyboard.press("Space")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert listener.visit.barriers() == []
    page.keyboard.press("Escape")
    expect(bell).to_be_focused()
    expect(bell).to_have_attribute("aria-label", re.compile(r"by the title and a chime and a notification$"))
    page.reload()
    expect(bell).to_have_attribute("aria-label", re.compile(r"by the title and a chime and a notification$"))
    listener.visit.go("/settings/")
    expect(page.locator("main").get_by_role("radio", name="Chime")).to_be_checked()
    assert listener.visit.faults() == []


def test_a_page_without_a_list_tells_screen_readers_politely(listener: Listener, provider: Sandbox) -> None:
    listener.visit.go_live("/catalog/")
    booking = by_end(provider)[1]
    provider.world.receive_sms(booking.id, "Your code is 990099", "Bank")
    region = listener.visit.page.locator("[aria-live=polite]#announce")
    expect(region).to_have_text(re.compile(r"^New SMS for \+[\d ]+, with a code$"))
    assert "990099" not in region.inner_text()
