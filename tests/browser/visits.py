"""One person's browser: a profile of its own with one page, and all that the browser complained about."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response, expect

PERSON, PASSWORD = "ada", "correct-horse-battery"
AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1.min.js"

# Runs before anything of a page: the policy reports what it stopped here, whatever the console says of it.
LISTEN = """
window.stopped = [];
document.addEventListener('securitypolicyviolation', (event) => window.stopped.push(
  `${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Visit:
    """`options` go to the browser's new context, as `viewport`, `storage_state`, `java_script_enabled`."""

    def __init__(self, browser: Browser, port: int, **options: Any) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.context = browser.new_context(
            **{"base_url": self.url, "viewport": {"width": 1440, "height": 900}, **options}
        )
        self.context.set_default_timeout(15_000)
        self.context.add_init_script(LISTEN)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = self.new_page()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.context.close()

    def new_page(self) -> Page:
        """One more tab of the same profile."""
        page = self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def sign_in(self, path: str = "/") -> None:
        self.go(path)
        self.give_password(PERSON, PASSWORD)
        self.page.wait_for_url(lambda url: "/login/" not in url)

    def give_password(self, person: str, password: str) -> None:
        """Fill in the sign-in page, which is open, and send it."""
        self.page.get_by_label("User name").fill(person)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def go(self, path: str) -> Response:
        """Open a page; on the way, confirm who it is where the page asks for that."""
        response = self.page.goto(path)
        if "/accounts/confirm/" in self.page.url and "/confirm/" not in path:
            self.page.get_by_label("Password").fill(PASSWORD)
            self.page.get_by_role("button", name="Confirm").click()
            self.page.wait_for_url(lambda url: "/confirm/" not in url)
            response = self.page.goto(path)
        assert response is not None
        return response

    def go_live(self, path: str) -> None:
        """Open a page and wait until its stream is open."""
        self.go(path)
        self.expect_state("live")

    def expect_state(self, state: str | re.Pattern[str], seconds: float = 10) -> None:
        """What the mark in the header says."""
        expect(self.page.locator("#live")).to_have_attribute("data-state", state, timeout=seconds * 1000)

    def sms(self, words: str) -> Locator:
        """Messages on the page that hold these words, in every panel."""
        return self.page.locator("[data-feed] > li").filter(has_text=words)

    def faults(self) -> list[str]:
        """What the browser complained about so far, and what the policy stopped on this page."""
        return self.complaints + [f"policy: {text}" for text in self.page.evaluate("window.stopped")]

    def barriers(self) -> list[str]:
        """What axe-core finds on the page as it stands: rule, elements and why."""
        # By the debugger, which the policy does not bind; a script element would be stopped.
        if not self.page.evaluate("Boolean(window.axe)"):
            self.page.evaluate(axe_source() + "\n;0")
        return list(self.page.evaluate(RUN_AXE))


# A change of theme may fade: only its end is judged.
RUN_AXE = """
document.getAnimations().filter((each) => each.effect.getComputedTiming().endTime < Infinity)
  .forEach((each) => each.finish());
axe.run(document, { resultTypes: ['violations'] }).then((result) => result.violations.map((rule) =>
  `${rule.id} (${rule.impact}): ` + rule.nodes.slice(0, 5).map((node) =>
    `${node.target.join(' ')} ${node.any.concat(node.all, node.none).map((check) => check.message).join('; ')}`
  ).join(' | ')))
"""


@cache
def axe_source() -> str:
    return AXE.read_text(encoding="utf-8")
