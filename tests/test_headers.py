"""The headers of every answer, and that Django's own deployment check has nothing to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.production import manage

PRODUCTION = {
    "CSRF_TRUSTED_ORIGINS": "https://numbers.example.org",
    "ALLOWED_HOSTS": "numbers.example.org",
    "SECRET_KEY": "kq3-XJ0mV9r7Yt2Wz8Lb5Nc4Hd6Gf1Ps-aQeRuTiOpSdFgHjKlZxCvBnM",
    "FIELD_KEYS": "another-long-random-text-of-its-own-0123456789",
}
PATHS = (
    "/",
    "/inbox/",
    "/panels/shell/",
    "/accounts/login/",
    "/settings/security/",
    "/admin/",
    "/nowhere/",
    "/healthz",
)


def test_the_deployment_check_is_silent(tmp_path: Path) -> None:
    checked = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert checked.returncode == 0, checked.stderr + checked.stdout
    assert checked.stderr == ""
    assert checked.stdout.startswith("System check identified no issues")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_them(client: Client, admin: Any, path: str, settings: Any) -> None:
    settings.SECURE_HSTS_SECONDS = 31_536_000
    client.force_login(admin)
    for answer in (client.get(path, secure=True), Client().get(path, secure=True)):
        headers = {name.lower(): value for name, value in answer.headers.items()}
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["strict-transport-security"] == "max-age=31536000"


def test_the_stream_has_them_too(settings: Any) -> None:
    from dashboard.live.stream import _common_headers

    settings.SECURE_HSTS_SECONDS = 31_536_000
    headers = dict(_common_headers())
    for name in (b"content-security-policy", b"x-content-type-options", b"x-frame-options", b"permissions-policy"):
        assert headers[name]
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"strict-transport-security"] == b"max-age=31536000"
    settings.SECURE_HSTS_SECONDS = 0
    assert b"strict-transport-security" not in dict(_common_headers())
