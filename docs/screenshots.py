"""Takes the pictures of README.md from a dashboard on the sandbox, after `script/test` has installed what it needs:

.venv/bin/python -m docs.screenshots
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.stack import Stack

FOLDER = Path(__file__).resolve().parent / "screenshots"
PASSWORD = "only for the pictures"  # noqa: S105
# Long enough for the sync to have read everything, and for the sandbox to have sent some SMS.
SECONDS = 60
PAGES = ("inbox", "bookings", "catalog", "orders", "sim-cards", "status")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")


def shoot(page: Page, address: str, name: str) -> None:
    page.goto(address)
    page.wait_for_timeout(800)
    page.screenshot(path=FOLDER / f"{name}.png")


def first_booking(page: Page, address: str) -> str:
    """The address of the booking that received the newest SMS."""
    page.goto(f"{address}inbox/")
    link = page.locator("main a[href^='/bookings/']").first
    return address.rstrip("/") + (link.get_attribute("href") or "/bookings/")


def order(page: Page, address: str) -> None:
    """The order form of a product, and the purchase that it becomes."""
    page.goto(f"{address}catalog/?type=Activation&q=WhatsApp")
    page.locator("main a[data-open]").first.click()
    page.wait_for_url("**/catalog/*/")
    page.wait_for_timeout(2500)
    page.fill("input[name=note]", "Support line")
    page.screenshot(path=FOLDER / "order.png")
    page.locator("#order button[type=submit]").click()
    page.wait_for_url("**/purchases/**")
    page.locator("main a[data-open]").first.wait_for()
    page.wait_for_timeout(800)
    page.screenshot(path=FOLDER / "purchase.png")


def take(address: str) -> None:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or sys.exit("Set CHROMIUM to a Chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        wide = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page = wide.new_page()
        page.goto(address)
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(address)
        shoot(page, address, "overview")
        for name in PAGES:
            shoot(page, f"{address}{name}/", name)
        shoot(page, first_booking(page, address), "booking")
        order(page, address)
        for name, options in (
            ("overview-dark", {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"}),
            ("inbox-phone", {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"}),
        ):
            other = browser.new_context(storage_state=wide.storage_state(), **options)  # type: ignore[arg-type]
            shoot(other.new_page(), address + ("inbox/" if "inbox" in name else ""), name)
        browser.close()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data", ADMIN_USERNAME="admin", ADMIN_PASSWORD=PASSWORD)
        try:
            stack.wait_ready()
            time.sleep(SECONDS)
            take(stack.said().split("Ready: ")[1].split()[0])
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
