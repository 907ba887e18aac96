"""An SMS is told while the person looks elsewhere: by title, sound and notification, once, and to whom it concerns."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dashboard.sandbox import Sandbox
from dashboard.sandbox.records import Booking
from tests.browser.conftest import PLAIN_HOST, Opener
from tests.browser.relay import Relay
from tests.browser.visits import Visit
from tests.stack import Stack

pytestmark = pytest.mark.browser

# Notes what the page tells. A tab is in the background when `leave` says so: Chromium without a screen shows all tabs.
LISTEN = """
window.told = []; window.tones = 0; window.asked = 0; window.elsewhere = false;
Object.defineProperty(Document.prototype, 'hidden', { get: () => window.elsewhere });
Document.prototype.hasFocus = () => !window.elsewhere;
window.Notification = class extends Notification {
  constructor(title, options) { super(title, options); window.told.push({ title, ...options }); window.latest = this; }
  static requestPermission() { window.asked++; return super.requestPermission(); }
};
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...at) { window.tones++; return start.apply(this, at); };
"""
LOST = re.compile("reconnecting|offline")
ALONE = "delete window.SharedWorker;"


class Listener:
    """A person's browser with tabs that note what they tell. All of them stand in the background until one is seen."""

    def __init__(self, opener: Opener, **options: Any) -> None:
        self.visit: Visit = opener(**options)
        self.visit.context.add_init_script(LISTEN)

    def choose(self, about: str, sound: str = "Off", notify: bool = False, text: bool = False) -> None:
        """Make the choices by the bell's dialog, and close it."""
        page = self.visit.page
        page.get_by_role("button", name="Notifications").click()
        dialog = page.get_by_role("dialog", name="Notifications")
        chosen = dialog.get_by_role("radio", name=about)
        if not chosen.is_checked():
            with page.expect_response("**/inbox/news/about/"):
                chosen.check()
        dialog.get_by_role("radio", name=sound).check()
        dialog.get_by_label("Show a notification").set_checked(notify)
        if notify:
            dialog.get_by_label("Also what it says").set_checked(text)
        dialog.get_by_role("button", name="Close").click()
        page.evaluate("window.tones = 0")

    def tab(self, path: str) -> Page:
        page = self.visit.new_page()
        page.goto(path)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        return page


@pytest.fixture
def listener(open_visit: Opener) -> Listener:
    listener = Listener(open_visit, permissions=["notifications"])
    listener.visit.go_live("/")
    return listener


def leave(*pages: Page) -> None:
    for page in pages:
        page.evaluate("window.elsewhere = true; document.dispatchEvent(new Event('visibilitychange'))")


def see(page: Page) -> None:
    page.evaluate("window.elsewhere = false; document.dispatchEvent(new Event('visibilitychange'))")


def told(*pages: Page) -> list[dict[str, Any]]:
    return [note for page in pages for note in page.evaluate("window.told")]


def expect_told(count: int, *pages: Page) -> list[dict[str, Any]]:
    """What these tabs have told by notifications, as soon as it is so much."""
    for _ in range(100):
        if len(told(*pages)) >= count:
            break
        pages[0].wait_for_timeout(100)
    found = told(*pages)
    assert len(found) == count
    return found


def by_end(provider: Sandbox) -> list[Booking]:
    """Running bookings, the longest first."""
    rows = [row for row in provider.world.running() if row.extends is None]
    return sorted(rows, key=lambda row: row.ends_at, reverse=True)


def assign(visit: Visit, booking: Booking, person: str) -> None:
    """Let the person look after the booking, by its form."""
    visit.go(f"/bookings/?q={booking.number.removeprefix('+')}")
    href = str(visit.page.locator("main a[data-open]").first.get_attribute("href"))
    visit.go(f"{href}notes/")
    visit.page.get_by_label("Assigned to").select_option(label=person)
    visit.page.get_by_role("button", name="Save").click()
    visit.page.wait_for_url(f"**{href}")


@pytest.fixture
def mine(listener: Listener, provider: Sandbox) -> Booking:
    """A booking that is assigned to the person."""
    booking = by_end(provider)[0]
    assign(listener.visit, booking, "ada")
    listener.visit.go_live("/")
    return booking


@pytest.fixture
def foreign(listener: Listener, provider: Sandbox) -> Booking:
    """One that is nobody's."""
    booking = by_end(provider)[1]
    assign(listener.visit, booking, "nobody")
    listener.visit.go_live("/")
    return booking


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
    provider.world.receive_sms(mine.id, "Code 118811", "Bank")
    expect(page).to_have_title("(1) Overview · ANOSIM dashboard")
    provider.world.receive_sms(mine.id, "Code 118812", "Bank")
    expect(page).to_have_title("(2) Overview · ANOSIM dashboard")
    see(page)
    expect(page).to_have_title("Overview · ANOSIM dashboard")
    assert icon(page) == plain
    assert page.evaluate("[window.told.length, window.tones, window.asked]") == [0, 0, 0]
    assert listener.visit.faults() == []


def test_of_two_tabs_both_count_and_only_the_one_that_was_looked_at_last_speaks(
    listener: Listener, provider: Sandbox, foreign: Booking
) -> None:
    first = listener.visit.page
    listener.choose("All bookings", "Chime", notify=True)
    second = listener.tab("/catalog/")
    leave(second, first)
    see(second)
    leave(second)
    provider.world.receive_sms(foreign.id, "Two tabs 220011", "Bank")
    expect_told(1, second, first)
    for page in (first, second):
        expect(page).to_have_title(re.compile(r"^\(1\) "))
    see(first)
    expect(second).to_have_title(re.compile("^Catalogue"))
    provider.world.receive_sms(foreign.id, "Two tabs 220012", "Bank")
    expect_told(2, first, second)
    assert [len(told(page)) for page in (first, second)] == [1, 1]
    tones = [page.evaluate("window.tones") for page in (first, second)]
    assert tones[0] == tones[1] > 0
    assert listener.visit.faults() == []


def test_a_tab_that_is_closed_leaves_the_turn_to_the_other(
    listener: Listener, provider: Sandbox, foreign: Booking
) -> None:
    listener.choose("All bookings", notify=True)
    page, other = listener.visit.page, listener.tab("/catalog/")
    leave(page)
    other.close()
    provider.world.receive_sms(foreign.id, "Still told 220013", "Bank")
    expect_told(1, page)


def test_without_a_shared_worker_still_only_one_of_two_tabs_speaks(
    open_visit: Opener, listener: Listener, provider: Sandbox, foreign: Booking
) -> None:
    listener.choose("All bookings", notify=True)
    state = listener.visit.context.storage_state()
    listener.visit.close()
    alone = Listener(open_visit, permissions=["notifications"], storage_state=state)
    alone.visit.context.add_init_script(ALONE)
    alone.visit.go_live("/")
    first, second = alone.visit.page, alone.tab("/inbox/")
    for number in (1, 2):
        provider.world.receive_sms(foreign.id, f"Nobody gives turns 33000{number}", "Bank")
        for page in (first, second):
            expect(page.locator("[data-feed] > li").filter(has_text=f"33000{number}")).to_have_count(1)
        expect_told(number, first, second)
    assert alone.visit.faults() == []


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


def test_what_came_while_there_was_no_connection_is_one_piece_of_news(
    open_visit: Opener, provider: Sandbox, stack: Stack
) -> None:
    elsewhere = open_visit()
    elsewhere.go_live("/inbox/")
    with Relay(stack.port()) as relay:
        listener = Listener(open_visit, port=relay.port, permissions=["notifications"])
        page = listener.visit.page
        listener.visit.go_live("/")
        listener.choose("All bookings", "Knock", notify=True)
        leave(page)
    listener.visit.expect_state(LOST)
    for at, booking in enumerate(by_end(provider)[:5]):
        provider.world.receive_sms(booking.id, f"Meanwhile 66000{at}", "Bank")
    expect(elsewhere.sms("Meanwhile 66000")).to_have_count(5)
    with Relay(stack.port(), at=relay.port):
        (note,) = expect_told(1, page)
        assert note["title"] == "5 SMS came while you were away"
        assert "66000" not in str(note)
        expect(page).to_have_title(re.compile(r"^\(5\) "))
        assert page.evaluate("window.tones") == 2  # one knock
        listener.visit.close()


def test_after_the_server_was_killed_news_is_told_again(
    listener: Listener, provider: Sandbox, stack: Stack, foreign: Booking
) -> None:
    page = listener.visit.page
    listener.choose("All bookings", notify=True)
    os.kill(stack.child("anosim_dashboard.web"), signal.SIGKILL)
    listener.visit.expect_state(LOST)
    provider.world.receive_sms(foreign.id, "Meanwhile 670001", "Bank")
    listener.visit.expect_state("live", 30)
    expect_told(1, page)


def test_after_a_sign_out_the_tabs_that_stay_are_told_nothing(
    open_visit: Opener, provider: Sandbox, stack: Stack
) -> None:
    listener = Listener(open_visit, permissions=["notifications"], storage_state=None)
    page = listener.visit.page
    listener.visit.sign_in("/")
    listener.visit.expect_state("live")
    listener.choose("All bookings", notify=True)
    other = listener.tab("/catalog/")
    leave(page)
    with other.expect_navigation(url="**/accounts/login/**"):
        other.get_by_role("button", name="Sign out").click()
    provider.world.receive_sms(by_end(provider)[1].id, "Nobody is here 770077", "Bank")
    with Visit(listener.visit.context.browser, stack.port()) as elsewhere:  # type: ignore[arg-type]
        elsewhere.sign_in("/inbox/")
        expect(elsewhere.sms("770077").first).to_be_visible()
    assert told(page) == []
    assert page.title() == "Overview · ANOSIM dashboard"


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


def test_a_page_on_which_nothing_happens_asks_nothing(
    open_visit: Opener, listener: Listener, provider: Sandbox, stack: Stack
) -> None:
    with Relay(stack.port()) as relay:
        visit = open_visit(relay.port)
        visit.go_live("/settings/")
        assert relay.count(b"GET /inbox/news/") == 0
        provider.world.receive_sms(by_end(provider)[1].id, "One question 101101", "Bank")
        expect(visit.page.locator("#announce")).to_have_text(re.compile("^New SMS for"))
        assert relay.count(b"GET /inbox/news/") == 1
        visit.close()


def test_a_tab_that_the_browser_has_frozen_passes_its_turn_on(
    listener: Listener, provider: Sandbox, foreign: Booking
) -> None:
    listener.choose("All bookings", notify=True)
    page, frozen = listener.visit.page, listener.tab("/catalog/")
    leave(page)
    # It was looked at last, and takes no message any more.
    frozen.evaluate("document.addEventListener('live:news', (event) => event.stopImmediatePropagation(), true)")
    provider.world.receive_sms(foreign.id, "Passed on 111111", "Bank")
    expect_told(1, page)
    assert told(frozen) == []
