"""Reading `.env` and typed variables: one sentence for whoever wrote a wrong one, and no secret in it."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anosim_dashboard.environment import (
    BadEnvironment,
    env,
    env_bool,
    env_int,
    env_list,
    env_mail,
    env_networks,
    env_origins,
    env_secret,
    env_secret_url,
    env_time_zone,
    load_dotenv,
)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A_NAME", "A_NAME_FILE", "B_NAME"):
        # Set first, so that what load_dotenv writes is taken back too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    file = folder / ".env"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A_NAME=plain", "plain"),
        ("  export A_NAME = with blanks  ", "with blanks"),
        ("A_NAME=before # a comment", "before"),
        ("A_NAME=p#ss", "p#ss"),
        ("A_NAME=# only a comment", ""),
        ("A_NAME='as $it \\n stands # here'", "as $it \\n stands # here"),
        ('A_NAME="two\\nlines, a \\"quote\\" and \\\\" # why', 'two\nlines, a "quote" and \\'),
        ("A_NAME=postgresql://u:p=w@h/db?sslmode=require", "postgresql://u:p=w@h/db?sslmode=require"),
        ("\ufeffA_NAME=after a byte order mark", "after a byte order mark"),
        ("A_NAME=\r", ""),
    ],
)
def test_a_line_of_dotenv_gives_the_value_people_mean(tmp_path: Path, line: str, value: str) -> None:
    load_dotenv(write(tmp_path, f"{line}\n"))
    assert env("A_NAME") == value


def test_a_variable_that_is_set_wins_over_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_NAME", "from outside")
    load_dotenv(write(tmp_path, "A_NAME=from the file\nB_NAME=only in the file\n"))
    assert (env("A_NAME"), env("B_NAME")) == ("from outside", "only in the file")


def test_no_dotenv_is_fine(tmp_path: Path) -> None:
    before = dict(os.environ)
    load_dotenv(tmp_path / "nothing here" / ".env")
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"A_NAME=1\nno equals sign\n", "line 2: write it as NAME=value"),
        (b"A_NAME='open\n", "line 1: the quote ' is not closed"),
        (b"A_NAME=\xff\xfe\n", "it is not UTF-8 text"),
    ],
)
def test_a_broken_dotenv_is_told_with_its_line(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(BadEnvironment, match=told):
        load_dotenv(tmp_path / ".env")


def test_a_dotenv_that_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match="cannot be read"):
        load_dotenv(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("Yes", True), ("ON", True), ("0", False), ("false", False), (" ", True)]
)
def test_a_switch_takes_the_usual_words(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv("A_NAME", text)
    assert env_bool("A_NAME", True) is value


def test_a_switch_refuses_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_NAME", "maybe")
    with pytest.raises(BadEnvironment, match="A_NAME must be 1 or 0, not 'maybe'"):
        env_bool("A_NAME", True)


@pytest.mark.parametrize("text", ["x", "1.5", "0", "65536", "٣", "1_0", "9" * 30])
def test_a_number_outside_its_limits_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("A_NAME", text)
    with pytest.raises(BadEnvironment, match="A_NAME must be a whole number from 1 to 65535"):
        env_int("A_NAME", 8000, minimum=1, maximum=65535)


def test_a_number_has_a_default_and_may_have_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env_int("A_NAME", 8000) == 8000
    monkeypatch.setenv("A_NAME", " -3 ")
    assert env_int("A_NAME", 8000) == -3
    with pytest.raises(BadEnvironment, match="of at least 0"):
        env_int("A_NAME", 8000, minimum=0)
    monkeypatch.setenv("A_NAME", "3")
    with pytest.raises(BadEnvironment, match="of at most 2"):
        env_int("A_NAME", 1, maximum=2)


def test_a_list_loses_blanks_and_empty_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env_list("A_NAME", ("x",)) == ["x"]
    monkeypatch.setenv("A_NAME", " a, ,b ,")
    assert env_list("A_NAME", ("x",)) == ["a", "b"]


def test_a_secret_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.setenv("A_NAME_FILE", str(tmp_path / "secret"))
    assert env_secret("A_NAME") == "from the file"


def test_a_secret_that_cannot_be_had_is_told_without_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_NAME_FILE", str(tmp_path / "missing"))
    with pytest.raises(BadEnvironment, match=r"A_NAME_FILE points at .*missing, which cannot be read"):
        env_secret("A_NAME")
    (tmp_path / "missing").touch()
    with pytest.raises(BadEnvironment, match="which is empty"):
        env_secret("A_NAME")
    monkeypatch.setenv("A_NAME", "the-secret-itself")
    with pytest.raises(BadEnvironment, match="not both") as told:
        env_secret("A_NAME")
    assert "the-secret-itself" not in str(told.value)


@pytest.mark.parametrize("zone", ["Nowhere", "Europe", "../etc/passwd", "x" * 300])
def test_an_unknown_time_zone_is_told(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    assert env_time_zone("A_NAME", "UTC") == "UTC"
    monkeypatch.setenv("A_NAME", zone)
    with pytest.raises(BadEnvironment, match="A_NAME must be the name of a time zone such as Europe/Berlin"):
        env_time_zone("A_NAME", "UTC")


def test_origins_need_their_scheme_and_lose_a_slash_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_NAME", "https://a.example/, http://b.example:8000")
    assert env_origins("A_NAME") == ["https://a.example", "http://b.example:8000"]
    for wrong in ("example.org", "https://", "ftp://example.org", "https://example.org/path"):
        monkeypatch.setenv("A_NAME", wrong)
        with pytest.raises(BadEnvironment, match=r"such as https://numbers\.example\.org"):
            env_origins("A_NAME")


def test_a_secret_url_is_told_by_its_schemes_and_never_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env_secret_url("A_NAME", ("redis", "rediss")) == ""
    monkeypatch.setenv("A_NAME", "rediss://:very-secret@host/0")
    assert env_secret_url("A_NAME", ("redis", "rediss")) == "rediss://:very-secret@host/0"
    monkeypatch.setenv("A_NAME", "http://:very-secret@host/0")
    with pytest.raises(BadEnvironment) as told:
        env_secret_url("A_NAME", ("redis", "rediss"))
    assert str(told.value) == "A_NAME must begin with redis:// or rediss://."


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 25, "", "", False, False)),
        ("smtp://me%40x:s%2Fe@mail?tls=starttls", ("mail", 587, "me@x", "s/e", False, True)),
        ("smtps://me:word@mail", ("mail", 465, "me", "word", True, False)),
        ("smtps://mail:2465", ("mail", 2465, "", "", True, False)),
    ],
)
def test_a_mail_server_is_a_url(monkeypatch: pytest.MonkeyPatch, value: str, expected: tuple[Any, ...]) -> None:
    assert env_mail("A_NAME") is None
    monkeypatch.setenv("A_NAME", value)
    mail = env_mail("A_NAME")
    assert mail is not None
    assert (mail.host, mail.port, mail.user, mail.password, mail.ssl, mail.starttls) == expected


@pytest.mark.parametrize(
    "wrong", ["mail.example.org", "http://very-secret@mail", "smtp://", "smtp://u:very-secret@h?tls=x", "smtp://h:port"]
)
def test_a_wrong_mail_server_is_told_without_being_quoted(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("A_NAME", wrong)
    with pytest.raises(BadEnvironment, match="smtps://USER") as told:
        env_mail("A_NAME")
    assert "very-secret" not in str(told.value)


def test_networks_are_single_addresses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_NAME", "10.0.0.5, 172.16.0.0/12,2001:db8::/32")
    assert [str(found) for found in env_networks("A_NAME")] == ["10.0.0.5/32", "172.16.0.0/12", "2001:db8::/32"]
    monkeypatch.setenv("A_NAME", "proxy.example.org")
    with pytest.raises(BadEnvironment, match="must be networks"):
        env_networks("A_NAME")


def test_every_variable_that_is_read_is_explained_in_the_example() -> None:
    root = Path(__file__).resolve().parent.parent
    read = re.compile(r"\b(?:env\w*|secret_or_stored)\(\s*\"([A-Z_]+)\"")
    names = {
        name
        for folder in ("anosim_dashboard", "dashboard")
        for file in (root / folder).rglob("*.py")
        for name in read.findall(file.read_text(encoding="utf-8"))
    }
    # Nobody sets these by hand: the supervisor tells prepare the first two, the containers make the others.
    names -= {"SANDBOX_URL", "SANDBOX_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    explained = set(re.findall(r"^([A-Z_]+)=", (root / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert len(names) > 15
    assert explained - names == {"SITE", "HTTP_PORT", "HTTPS_PORT"}
    assert names - explained == set()


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])))
def test_a_double_quoted_value_comes_back_as_it_was_written(text: str) -> None:
    written = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_NAME", "")  # so that the context puts it back to absent
        del os.environ["A_NAME"]
        load_dotenv(write(Path(folder), f'A_NAME="{written}"\n'))
        assert os.environ["A_NAME"] == text
