"""A team comes together: an admin invites, the invited sign up, buy within their cap, and all of it can be read."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from dashboard.sandbox import Sandbox
from tests.browser.conftest import Opener
from tests.browser.test_buying import BOUGHT, open_product, order, sold
from tests.browser.visits import PASSWORD, Visit
from tests.second_factors import code_of

pytestmark = pytest.mark.browser

WORD = "a-word-that-nobody-guesses"


def invite(admin: Visit, role: str, cap: str = "") -> str:
    """The link that the admin is shown, once."""
    admin.go("/invites/")
    page = admin.page
    page.get_by_label("For whom").fill(f"The {role.lower()}")
    page.get_by_label("Role").select_option(label=role)
    page.get_by_label("Cap per day").fill(cap)
    page.get_by_role("button", name="Make the link").click()
    if "/accounts/confirm/" in page.url:
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
    link = page.locator("#invite-link")
    expect(link).to_be_visible()
    assert admin.barriers() == []
    return link.inner_text()


def join(visit: Visit, link: str, name: str) -> Page:
    """Sign up by the link, and set up an authenticator app."""
    page = visit.page
    page.goto(link)
    expect(page.locator("main")).to_contain_text("invites you to")
    assert visit.barriers() == []
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(WORD)
    page.get_by_label("The password again").fill(WORD)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_text("Welcome, you are in.")).to_be_visible()
    page.get_by_role("link", name="Set up").click()
    page.get_by_label("The code that the app shows").press_sequentially(code_of(page.locator("#secret").inner_text()))
    expect(page.locator("#recovery-codes li")).to_have_count(10)
    return page


def test_from_the_first_admin_to_what_the_manager_reads(visit: Visit, open_visit: Opener, provider: Sandbox) -> None:
    price = min(
        row.price
        for row in provider.world.products.values()
        if row.country == "Germany" and row.rental_type == "Activation" and row.service == "Instagram"
    )
    operator_link = invite(visit, "Operator", cap=f"{price * 3 / 2:.2f}")
    manager_link = invite(visit, "Manager")
    operator, manager = open_visit(storage_state=None), open_visit(storage_state=None)
    join(operator, operator_link, "olga")
    join(manager, manager_link, "mia")
    again = open_visit(storage_state=None)
    again.page.goto(operator_link)
    expect(again.page.get_by_text("This link does not work any more")).to_be_visible()

    # Within the cap it is bought; then the cap leaves too little, and nothing is sent.
    open_product(operator, "Instagram")
    page = order(operator)
    expect(page.locator("main")).to_contain_text(BOUGHT, timeout=25_000)
    count = len(sold(provider))
    open_product(operator, "Instagram")
    expect(page.locator("#order")).to_contain_text(re.compile(r"cap", re.IGNORECASE))
    expect(page.locator("#order [data-buy]")).to_be_disabled()
    # Somebody who gets around the page is refused by the server.
    page.evaluate("document.querySelector('#order [data-buy]').disabled = false")
    page.evaluate("document.querySelector('#order form, form#order, form[data-order]').requestSubmit()")
    expect(page.locator("main")).to_contain_text(re.compile("cap", re.IGNORECASE))
    assert len(sold(provider)) == count

    manager.go("/activity/")
    seen = manager.page.locator("main")
    expect(seen).to_contain_text("olga")
    expect(seen).to_contain_text(re.compile(r"ordered 1 × .*Instagram"))
    expect(seen).to_contain_text(re.compile(r"refused|declined", re.IGNORECASE))
    assert manager.barriers() == []
    for each in (visit, operator, manager):
        assert [fault for fault in each.faults() if "422" not in fault] == []
