"""What an authenticator app shows, for the tests: the codes of a secret, one half minute at a time."""

from __future__ import annotations

import base64
import hmac
import re
import struct
import time
from typing import Any

APP = "/settings/security/app/"


def code_of(secret: str, at: float | None = None) -> str:
    """Six digits (RFC 6238), now or at a time."""
    step = struct.pack(">Q", int(time.time() if at is None else at) // 30)
    digest = hmac.digest(base64.b32decode(secret), step, "sha1")
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def wrong_code_of(secret: str) -> str:
    """A code that is right at no time near now."""
    near = {code_of(secret, time.time() + 30 * step) for step in range(-5, 6)}
    return next(code for code in (f"{number:06}" for number in range(100)) if code not in near)


def set_up_app(client: Any) -> str:
    """Set up an authenticator app for who is signed in with a fresh proof; gives its secret.

    Uses the code of half a minute ago, so that the one of now is left for a sign-in.
    """
    page = client.get(APP)
    assert page.status_code == 200, page.headers
    found = re.search(r'id="secret">([A-Z2-7]+)<', page.content.decode())
    assert found
    done = client.post(APP, {"code": code_of(found[1], time.time() - 30)})
    assert done.status_code == 302, done.content.decode()
    return found[1]


def recovery_codes_of(client: Any) -> list[str]:
    """The codes as the page shows them, once."""
    return re.findall(r"<li>(\d{8})</li>", client.get("/settings/security/codes/").content.decode())
