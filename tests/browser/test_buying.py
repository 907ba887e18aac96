"""Buying and changing numbers as a person does it, and what the provider's ledger says of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dashboard.sandbox import Sandbox
from tests.browser.conftest import Opener
from tests.browser.visits import Visit
from tests.streaming import wait_until

pytestmark = pytest.mark.browser
BOUGHT = re.compile(r"\bBought\b")


def sold(provider: Sandbox) -> list[dict[str, Any]]:
    return [row for row in provider.ledger if row["origin"] == "api"]


def open_product(visit: Visit, service: str, country: str = "Germany", kind: str = "Activation") -> Page:
    """The page of a product, with its free numbers read."""
    visit.go(f"/catalog/?type={kind}&country={country}&service={service}")
    visit.page.locator("main a[data-open]").first.click()
    visit.page.wait_for_url("**/catalog/*/")
    expect(visit.page.locator(".offer .badge, main .badge").first).to_be_visible(timeout=20_000)
    return visit.page


def order(visit: Visit) -> Page:
    visit.page.locator("#order [data-buy]").click()
    visit.page.wait_for_url("**/purchases/**", timeout=20_000)
    return visit.page


def number_on(page: Page) -> str:
    """The first number that the purchase's page shows, as the provider writes it."""
    copy = page.locator("main [data-copy^='+']").first
    expect(copy).to_be_attached(timeout=25_000)
    return copy.get_attribute("data-copy") or ""


def booking_of(provider: Sandbox, number: str) -> int:
    return max(row.id for row in provider.world.bookings.values() if row.number == number)


def test_an_ordered_number_appears_its_sms_comes_and_the_code_is_copied(open_visit: Opener, provider: Sandbox) -> None:
    visit = open_visit(permissions=["clipboard-read", "clipboard-write"])
    open_product(visit, "WhatsApp")
    expect(visit.page.locator("#order [data-buy]")).to_have_text(re.compile(r"Order 1 number · \$\d+\.\d\d"))
    page = order(visit)
    number = number_on(page)
    provider.world.receive_sms(booking_of(provider, number), "Your WhatsApp code: 731-904", "WhatsApp")
    code = page.locator("main [data-code]").first
    expect(code).to_have_attribute("data-copy", "731904", timeout=20_000)
    code.click()
    assert page.evaluate("navigator.clipboard.readText()") == "731904"
    assert visit.faults() == []


def test_a_double_click_is_one_purchase_and_one_sale(visit: Visit, provider: Sandbox) -> None:
    before = len(sold(provider))
    open_product(visit, "Telegram")
    visit.page.locator("#order [data-buy]").dblclick()
    visit.page.wait_for_url("**/purchases/**", timeout=20_000)
    number_on(visit.page)
    assert len(sold(provider)) == before + 1


def test_an_activation_without_sms_is_cancelled_and_the_money_comes_back(visit: Visit, provider: Sandbox) -> None:
    open_product(visit, "Amazon")
    page = order(visit)
    number = number_on(page)
    balance = provider.world.balance
    page.locator("main a[data-open]").first.click()
    page.wait_for_url("**/bookings/*/")
    page.get_by_role("link", name=re.compile("^Cancel")).or_(
        page.get_by_role("button", name=re.compile("^Cancel"))
    ).first.click()
    page.locator("#ask-dialog").get_by_role("button", name=re.compile(r"Cancel, get \$")).click()
    expect(page.locator("main")).to_contain_text(re.compile(r"Cancelled"), timeout=25_000)
    assert provider.world.balance > balance
    assert not [row for row in provider.world.running() if row.number == number]


def test_a_rental_is_extended_for_the_price_on_the_button(visit: Visit, provider: Sandbox) -> None:
    open_product(visit, "WhatsApp", kind="RentalService")
    page = order(visit)
    number = number_on(page)
    booking = provider.world.find_booking(booking_of(provider, number))
    end = booking.ends_at
    page.locator("main a[data-open]").first.click()
    page.wait_for_url("**/bookings/*/")
    page.get_by_role("link", name=re.compile("^Extend")).or_(
        page.get_by_role("button", name=re.compile("^Extend"))
    ).first.click()
    page.locator("#ask-dialog").get_by_role("button", name=re.compile(r"Extend for \$")).first.click()
    page.wait_for_url("**/purchases/**", timeout=20_000)
    expect(page.locator("main")).to_contain_text(BOUGHT, timeout=25_000)
    assert sold(provider)[-1]["kind"] == "extend"
    mine = [row for row in provider.world.bookings.values() if row.number == number]
    # ANOSIM takes the extension in some seconds later.
    wait_until(lambda: any(row.ends_at > end for row in mine), 20)


def test_a_refused_order_says_so_in_the_providers_words(visit: Visit, provider: Sandbox) -> None:
    before = len(sold(provider))
    page = open_product(visit, "PayPal")
    remote_id = int(page.locator("dl .mono").first.inner_text())
    for each in provider.world.find_product(remote_id).providers:
        each.available = 0
    order(visit)
    expect(page.locator("main")).to_contain_text("Not enough numbers available", timeout=25_000)
    assert len(sold(provider)) == before


def test_an_unknown_purchase_warns_and_settles_by_itself(visit: Visit, provider: Sandbox) -> None:
    before = len(sold(provider))
    open_product(visit, "Discord")
    faults = {
        "reset-after": {"rate": 1, "only": "spends", "times": 1},
        # Its lists are slow, so that the page has something to say meanwhile.
        "latency": {"rate": 1, "only": "reads", "seconds": 1.5, "path": "/Orders"},
    }
    provider.set_faults(faults)
    try:
        page = order(visit)
        page.evaluate("window.neverReloaded = true")
        expect(page.locator("main")).to_contain_text("do not order again", timeout=25_000)
        expect(page.locator("main")).to_contain_text(BOUGHT, timeout=40_000)
        assert page.evaluate("window.neverReloaded")
    finally:
        provider.set_faults({})
    number_on(page)
    assert len(sold(provider)) == before + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ordering_fits_a_phone_and_has_no_barriers(open_visit: Opener, scheme: str) -> None:
    visit = open_visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = open_product(visit, "Instagram")
    assert visit.barriers() == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    order(visit)
    number_on(page)
    assert visit.barriers() == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert visit.faults() == []
