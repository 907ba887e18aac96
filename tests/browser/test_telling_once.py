"""Each SMS is told once: with several tabs, after a lost connection, after a sign-out."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from dashboard.sandbox import Sandbox
from dashboard.sandbox.records import Booking
from tests.browser.conftest import Opener
from tests.browser.listening import Listener, by_end, expect_told, leave, see, told
from tests.browser.relay import Relay
from tests.browser.visits import Visit
from tests.stack import Stack

pytestmark = pytest.mark.browser

LOST = re.compile("reconnecting|offline")
ALONE = "delete window.SharedWorker;"


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
    stack.kill("anosim_dashboard.web")
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


def test_who_signs_in_next_in_the_same_browser_gets_neither_news_nor_choices_of_the_one_before(
    open_visit: Opener, provider: Sandbox
) -> None:
    listener = Listener(open_visit, permissions=["notifications"], storage_state=None)
    visit, page = listener.visit, listener.visit.page
    visit.sign_in("/")
    visit.go("/admin/dashboard/user/add/")
    page.get_by_label("Username").fill("ben")
    for label in ("Password:", "Password confirmation:"):
        page.get_by_label(label, exact=True).fill("another-correct-horse")
    page.get_by_label("Superuser status").check()
    page.get_by_role("button", name="Save", exact=True).click()
    visit.go_live("/")
    listener.choose("All bookings", "Chime", notify=True, text=True)
    leave(page)
    other = listener.tab("/catalog/")
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/accounts/login/**")
    other.get_by_label("User name").fill("ben")
    other.get_by_label("Password").fill("another-correct-horse")
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url(lambda url: "/login/" not in url)
    other.goto("/")
    expect(other.locator("#live")).to_have_attribute("data-state", "live")
    bell = other.get_by_role("button", name="Notifications")
    expect(bell).to_have_attribute("aria-label", "Notifications: Told of your bookings by the title")
    # The line of ada's tab has been opened anew, as ben's.
    listener.visit.expect_state("live")
    listener.choose("All bookings", notify=True, page=other)
    for number in (1, 2):
        provider.world.receive_sms(by_end(provider)[1].id, f"For ben alone 12121{number}", "Bank")
        expect_told(number, other)
    assert told(page) == []
    assert page.title() == "Overview · ANOSIM dashboard"


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
