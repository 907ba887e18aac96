"""Which base URLs are accepted: the key must not travel in the clear, nor to a place nobody meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.anosim import check_base_url


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://www.anosim.net/api/v1", "https://www.anosim.net/api/v1"),
        ("  https://www.anosim.net/api/v1/ \n", "https://www.anosim.net/api/v1"),
        ("HTTPS://WWW.ANOSIM.NET/api", "HTTPS://WWW.ANOSIM.NET/api"),
        ("https://192.0.2.7:8443", "https://192.0.2.7:8443"),
        ("https://[2001:db8::1]/api", "https://[2001:db8::1]/api"),
        ("https://bücher.example", "https://bücher.example"),
        ("http://localhost:8001/api/v1", "http://localhost:8001/api/v1"),
        ("http://provider.localhost", "http://provider.localhost"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://[::1]:1/x", "http://[::1]:1/x"),
        ("http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]"),
        ("http://sandbox:8001/api/v1", "http://sandbox:8001/api/v1"),
        ("http://my_sandbox", "http://my_sandbox"),
        ("http://10.1.2.3", "http://10.1.2.3"),
        ("http://192.168.0.9/", "http://192.168.0.9"),
        ("http://[fd00::7]", "http://[fd00::7]"),
    ],
)
def test_good_base_urls_are_kept(url: str, kept: str) -> None:
    assert check_base_url(url) == kept


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("www.anosim.net/api/v1", "must begin with https"),
        ("ftp://www.anosim.net", "must begin with https"),
        ("file:///etc/passwd", "must begin with https"),
        ("javascript:alert(1)", "must begin with https"),
        ("//www.anosim.net", "must begin with https"),
        ("https://", "no host"),
        ("https:///api/v1", "no host"),
        ("https://:443/api", "no host"),
        ("https://host:0/api", "no host"),
        ("https://user@www.anosim.net", "name or a password"),
        ("https://user:pass@www.anosim.net", "name or a password"),
        ("https://@www.anosim.net", "name or a password"),
        ("https://www.anosim.net/api?apikey=X", "before any"),
        ("https://www.anosim.net/api?", "before any"),
        ("https://www.anosim.net/api#top", "before any"),
        ("https://www.anosim.net/a b", "space"),
        ("https://www.anosim\n.net/", "space"),
        ("https://www.anosim.net\\@evil.test", "space, a backslash"),
        ("https://host:99999", "cannot be"),
        ("https://host:port", "cannot be"),
        ("https://[::1", "cannot be"),
        ("https://[nonsense]/", "cannot be|not a host name"),
        ("https://a..b", "not a host name"),
        ("https://-a.test", "not a host name"),
        ("https://a%2eb.test", "not a host name"),
        (f"https://{'a' * 64}.test", "not a host name"),
        ("http://www.anosim.net/api/v1", "unencrypted"),
        ("http://8.8.8.8", "unencrypted"),
        ("http://[2606:4700::1]", "unencrypted"),
        ("http://169.254.169.254/latest", "unencrypted"),
        ("http://[fe80::1]", "unencrypted"),
        ("http://[::ffff:169.254.169.254]", "unencrypted"),
        ("http://0.0.0.0", "unencrypted"),
        ("http://2852039166/", "looks like a number"),
        ("http://0xa9fea9fe/", "looks like a number"),
        ("http://127.1", "looks like a number"),
        ("http://0177.0.0.1", "looks like a number"),
        ("http://1.2.3.4.5", "looks like a number"),
        ("http://localhost.evil.test", "unencrypted"),
    ],
)
def test_bad_base_urls_say_why(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        check_base_url(url)
    assert type(caught.value) is ValueError
    assert str(caught.value).endswith(".")
    assert "pass@" not in str(caught.value)


@given(url=st.text() | st.text(":/?#[]@.%\\ a1é").map("https://".__add__))
def test_any_text_is_kept_or_refused_in_words(url: str) -> None:
    try:
        assert check_base_url(url) == url.strip().rstrip("/")
    except ValueError as error:
        text = str(error)
        assert type(error) is ValueError and text.startswith("The ")  # noqa: PT017, PT018  kept or refused, both are good
