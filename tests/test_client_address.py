"""Where a request comes from: nobody's word counts but that of a proxy that the operator named."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from django.test import RequestFactory

from dashboard.client_address import address_of, network_of
from tests.production import setting

CLIENT, PROXY, OUTER = "203.0.113.9", "10.0.0.5", "10.0.0.6"


@pytest.mark.parametrize(
    ("other_end", "said", "expected"),
    [
        (CLIENT, "", CLIENT),
        (CLIENT, "198.51.100.1", CLIENT),  # not a proxy of ours
        (PROXY, "", PROXY),
        (PROXY, CLIENT, CLIENT),
        (PROXY, f"1.2.3.4, {CLIENT}", CLIENT),  # what the client itself wrote before
        (PROXY, f"{CLIENT}, {OUTER}", CLIENT),  # two of ours, one behind the other
        (PROXY, f"1.2.3.4, {CLIENT}, {OUTER}", CLIENT),
        (PROXY, "nonsense", PROXY),
        (PROXY, f"nonsense, {CLIENT}", CLIENT),
        (PROXY, f"{CLIENT}, unknown", PROXY),
        (PROXY, "2001:db8::7", "2001:db8::7"),
        (f"::ffff:{PROXY}", CLIENT, CLIENT),
        ("fe80::1%eth0", "", "fe80::1"),
        ("", CLIENT, None),
    ],
)
def test_it_is_the_nearest_end_that_is_no_proxy_of_ours(
    settings: Any, other_end: str, said: str, expected: str | None
) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/24")]
    request = RequestFactory().get("/", REMOTE_ADDR=other_end, headers={"X-Forwarded-For": said})
    assert address_of(request) == expected


def test_by_default_nobody_is_believed(settings: Any) -> None:
    assert settings.TRUSTED_PROXIES == []
    request = RequestFactory().get("/", REMOTE_ADDR="127.0.0.1", headers={"X-Forwarded-For": CLIENT})
    assert address_of(request) == "127.0.0.1"


def test_the_web_process_leaves_the_header_alone(tmp_path: Any) -> None:
    """uvicorn believes it of 127.0.0.1 unless told otherwise."""
    from tests.production import ROOT

    assert "proxy_headers=False" in (ROOT / "anosim_dashboard" / "web.py").read_text()
    assert 'CMD ["python", "-m", "anosim_dashboard.web"]' in (ROOT / "Dockerfile").read_text()


def test_addresses_that_one_household_has_are_one_place() -> None:
    assert network_of("203.0.113.9") == "203.0.113.9"
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"


def test_the_proxies_come_from_the_environment(tmp_path: Any) -> None:
    said = setting("TRUSTED_PROXIES", tmp_path, TRUSTED_PROXIES="127.0.0.1, 172.16.0.0/12")
    assert said == "[IPv4Network('127.0.0.1/32'), IPv4Network('172.16.0.0/12')]"
