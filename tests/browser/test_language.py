"""What the scripts write in a German page, beside what the server wrote in it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.browser.test_buying import open_product

pytestmark = pytest.mark.browser
DOLLARS = r"\d+,\d\d\u00a0\$"


def test_scripts_speak_the_language_of_the_page(open_visit: Opener) -> None:
    visit = open_visit(locale="de-DE")
    page = open_product(visit, "WhatsApp")
    buy = page.locator("#order [data-buy]")
    expect(buy).to_have_text(re.compile(rf"1 Nummer bestellen · {DOLLARS}"))
    page.locator("#order-amount").fill("2")
    expect(buy).to_have_text(re.compile(rf"2 Nummern bestellen · {DOLLARS}"))
    page.locator("#order-amount").fill("0")
    expect(page.locator("[data-short]")).to_have_text(re.compile("Auf einmal lassen sich 1 bis"))
    expect(page.locator("#live")).to_have_attribute("title", re.compile("aktualisiert sich von selbst"))
    expect(page.locator("main time[data-rel='ago']").first).to_have_text(
        re.compile(r"^(vor \d+ (s|min)|um \d\d:\d\d)$")
    )
