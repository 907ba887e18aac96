"""Messages of people who attack whoever reads them: on every page inert, whole, and answered by nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from playwright.sync_api import Page, expect

from dashboard.foreign_text import visible
from dashboard.sandbox import Sandbox
from dashboard.sandbox.hostile import HOSTILE
from tests.browser.arrivals import receive
from tests.browser.visits import Visit

pytestmark = pytest.mark.browser

CANARY = "window.canary = true; document.title = 'owned'"
# (sender, text). Beside the sandbox's own: each of these would set the canary, leave the page, or swap it away.
ATTACKS = (
    ("<script>", f"<script>{CANARY}</script> 100001"),
    ("<img src=x onerror='window.canary = true'>", f'<img src="/canary/" onerror="{CANARY}"> 100002'),
    ("svg", f'<svg><animate onbegin="{CANARY}" attributeName=x></svg></p></li></ul></section> 100003'),
    ("hx", '<div hx-get="/canary/" hx-trigger="load" hx-target="#main">100004</div>'),
    ("on", '"><b data-panel id="main" data-topics="sms" hx-get="/canary/" hx-trigger="load, every 1s">100005'),
    ('" autofocus onfocus="window.canary = true', f"' autofocus onfocus='{CANARY}' x=' 100006"),
    ("javascript:window.canary=true", f'javascript:{CANARY} <a href="javascript:{CANARY}">100007</a>'),
    ("{{7*7}}", "{{7*7}} {% now 'U' %} ${7*7} 100008"),
    ("style", "<style>body{display:none}</style><link rel=stylesheet href=/canary/> 100009"),
    ("meta", '<meta http-equiv="refresh" content="0;url=/canary/"><base href="/canary/"> 100010'),
)
MESSAGES = (*ATTACKS, *((sender, text) for sender, text in HOSTILE if text))
# Reads the tree: what the browser parsed, not what it was sent.
READ = """
(wanted) => {
  const found = new Set();
  for (const row of document.querySelectorAll('[data-feed] > li')) {
    const [text, sender] = [row.querySelector('p'), row.querySelector('.who bdi')];
    if (text.children.length || sender.children.length) continue;
    found.add(JSON.stringify([sender.textContent, text.textContent]));
  }
  return wanted.every((pair) => found.has(JSON.stringify(pair)));
}
"""
UNHARMED = """
window.canary === undefined && !document.title.includes('owned') && document.querySelectorAll('#main').length === 1
  && !document.querySelector('main :is(script, style, link, meta, base, img, iframe, object, [onerror], [onfocus])')
  && [...document.querySelectorAll('a[href]')].every((link) => link.protocol === location.protocol)
  && !document.querySelector(':is([hx-get*=canary], [hx-get*=logout], [hx-get*=admin])')
"""
SHOWN = 8  # messages on the overview
OURS = ("/inbox/", "/bookings/", "/panels/", "/static/", "/live/")
ROWS = "[data-feed] > li"


def stored(text: str) -> str:
    """How a message reads on a page: controls as visible signs; a NUL is stored as its own sign."""
    return visible(text.replace("\0", "\u2400"))


def test_hostile_messages_arrive_whole_and_inert_on_overview_inbox_and_booking(visit: Visit, provider: Sandbox) -> None:
    visit.page.on("dialog", lambda dialog: visit.complaints.append(f"dialog: {dialog.message}"))
    overview, inbox, thread = visit.page, visit.new_page(), visit.new_page()
    visit.go_live("/")
    inbox.goto("/inbox/")
    for batch in (MESSAGES[at : at + SHOWN] for at in range(0, len(MESSAGES), SHOWN)):
        for sender, text in batch:
            receive(provider, text, sender)
        _wait_for(overview, batch)
    _wait_for(inbox, MESSAGES)
    thread.goto(str(inbox.locator(ROWS + " a[data-open]").first.get_attribute("href")))
    _wait_for(thread, MESSAGES)

    # Time for what a swapped-in attribute would do, and one more swap.
    receive(provider, "All is still well", "Shop")
    for page in (overview, inbox, thread):
        expect(page.locator(ROWS).filter(has_text="All is still well")).to_have_count(1)
        assert _is_unharmed(page)
    assert visit.faults() == []
    asked = {url.removeprefix(visit.url) for url in visit.requests if not url.startswith("data:")}
    assert [path for path in asked if path != "/" and not path.startswith(OURS)] == []


def _wait_for(page: Page, messages: Sequence[tuple[str, str]]) -> None:
    """Until all of them stand on the page, whole, as text with nothing in it."""
    wanted = [[stored(sender), stored(text)] for sender, text in messages]
    page.wait_for_function(READ, arg=wanted)


def _is_unharmed(page: Page) -> bool:
    return bool(page.evaluate(UNHARMED))


def test_a_text_of_ten_thousand_characters_is_folded_and_opens_whole(visit: Visit, provider: Sandbox) -> None:
    text = "Long ago, in a shop far away. " * 333 + "7410852963"
    visit.go_live("/inbox/")
    receive(provider, text, "Novelist")
    row = visit.sms("Long ago, in a shop far away").first
    whole = row.locator("details p")
    expect(whole).to_be_hidden()
    row.locator("summary").click()
    expect(whole).to_be_visible()
    assert whole.inner_text() == text
    receive(provider, "Short and new", "Poet")
    expect(visit.sms("Short and new")).to_have_count(1)
    expect(whole).to_be_visible()
