"""A person who listens: tabs that note what they tell, and what is told about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from dashboard.sandbox import Sandbox
from dashboard.sandbox.records import Booking
from tests.browser.visits import Visit

# Notes what the page tells. A tab is in the background when `leave` says so: Chromium without a screen shows all tabs.
LISTEN = """
window.told = []; window.tones = 0; window.asked = 0; window.elsewhere = false;
Object.defineProperty(Document.prototype, 'hidden', { get: () => window.elsewhere });
Document.prototype.hasFocus = () => !window.elsewhere;
window.Notification = class extends Notification {
  constructor(title, options) { super(title, options); window.told.push({ title, ...options }); window.latest = this; }
  static requestPermission() { window.asked++; return super.requestPermission(); }
};
window.badge = null;
navigator.setAppBadge = async (count = 'dot') => { window.badge = count; };
navigator.clearAppBadge = async () => { window.badge = null; };
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...at) { window.tones++; return start.apply(this, at); };
"""


class Listener:
    """A person's browser with tabs that note what they tell. All of them stand in the background until one is seen."""

    def __init__(self, opener: Callable[..., Visit], **options: Any) -> None:
        self.visit: Visit = opener(**options)
        self.visit.context.add_init_script(LISTEN)

    def choose(
        self, about: str, sound: str = "Off", notify: bool = False, text: bool = False, page: Page | None = None
    ) -> None:
        """Make the choices by the bell's dialog of a tab (default: the first), and close it."""
        page = page or self.visit.page
        page.get_by_role("button", name="Notifications").click()
        dialog = page.get_by_role("dialog", name="Notifications")
        chosen = dialog.get_by_role("radio", name=about)
        if not chosen.is_checked():
            with page.expect_response("**/inbox/news/about/"):
                chosen.check()
        dialog.get_by_role("radio", name=sound).check()
        dialog.get_by_label("Show a notification").set_checked(notify)
        if notify:
            dialog.get_by_label("Also show its text").set_checked(text)
        dialog.get_by_role("button", name="Close").click()
        page.evaluate("window.tones = 0")

    def tab(self, path: str) -> Page:
        page = self.visit.new_page()
        page.goto(path)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        return page


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
