"""A real Chromium for the measurements, signed in to a stack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import Browser, BrowserContext, sync_playwright

if TYPE_CHECKING:
    from .stack import Stack

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@contextmanager
def browser() -> Iterator[Browser]:
    """The system's Chromium (or the one of CHROMIUM), headless; playwright's own where there is none."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


def signed_in(started: Browser, stack: Stack, url: str = "") -> BrowserContext:
    """A browser profile of its own, with an empty cache and the admin's session. `url`: where it is to go instead."""
    context = started.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": stack.session, "url": url or stack.url}])
    return context
