"""The key stands in the Authorization header and nowhere else, whatever goes wrong."""

import base64
import copy
import json
import logging
import socket
import traceback
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import pytest

from dashboard.anosim import AnosimError, BadKey, Client, OutcomeUnknown, Refused, TryLater, answers, client
from dashboard.anosim.secret import Key
from tests.scripted_server import Reply, ScriptedServer, reply
from tests.test_client import CALLS, KEY
from tests.test_client_spending import DOUBTFUL, seconds_for

PIECES = {KEY[at : at + 8].lower() for at in range(len(KEY) - 7)}
ECHOES: dict[str, Reply] = {
    "key in a 401": reply(f"Key {KEY} is unknown", "401 Unauthorized"),
    "key in a 403": reply({"message": f"Bearer {KEY.upper()} is blocked"}, "403 Forbidden"),
    "key in a 400": reply({"error": {"message": f"{KEY[:12]}... may not"}}, "400 Bad Request"),
    "url in a 404": reply(f"No resource at http://x.test/Orders?apikey={KEY}&a=1", "404 Not Found"),
    "key in a redirect": reply("", "302 Found", Location=f"http://{KEY}.test/?apikey={KEY}"),
    "key in a page": reply(f"<html>{KEY}</html>"),
    "key in half json": reply('{"message": "' + KEY),
    "key in a header": lambda line: line.send(f"HTTP/1.1 200 OK\r\n{KEY}: {KEY}\r\nbroken {KEY}\r\n\r\n{KEY}".encode()),
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def assert_clean(words: str) -> None:
    lowered = words.lower()
    assert not [piece for piece in PIECES if piece in lowered]
    assert base64.b64encode(KEY.encode()).decode()[:12] not in words


def everything_said(error: AnosimError) -> str:
    """The text, the repr, the attributes, and the traceback with the variables of our own frames."""
    assert error.__cause__ is None
    assert error.__context__ is None
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True)
    ours = [str(sorted((frame.locals or {}).items())) for frame in frames if "/tests/" not in frame.filename]
    return "\n".join([str(error), repr(error), error.text, repr(vars(error)), *ours])


@pytest.mark.parametrize("fault", [*DOUBTFUL, *ECHOES])
@pytest.mark.parametrize("number", [1, 15])
def test_no_fault_shows_the_key(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, number: int, fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3")
    server.replies = [{**DOUBTFUL, **ECHOES}[fault]]
    seconds = seconds_for(fault)
    asked = Client(server.url, KEY, tries=2, read_deadline=seconds / 2, spend_deadline=seconds)
    with asked, pytest.raises(AnosimError) as caught:
        CALLS[number][4](asked)
    assert_clean(everything_said(caught.value) + caplog.text)
    assert "urllib3" in caplog.text or fault == "not http"
    assert all(KEY in seen.headers["authorization"] and KEY not in seen.target for seen in server.seen)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "https://nowhere.invalid"])
@pytest.mark.parametrize("number", CALLS)
def test_no_failed_connection_shows_the_key_or_a_query(caplog: pytest.LogCaptureFixture, number: int, url: str) -> None:
    caplog.set_level(logging.DEBUG)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with Client(url.format(port=port), KEY, tries=2) as asked, pytest.raises(TryLater) as caught:
        CALLS[number][4](asked)
    assert_clean(everything_said(caught.value) + caplog.text)
    assert "?" not in caught.value.text
    assert "/" not in caught.value.text


def test_the_client_and_its_parts_do_not_show_the_key() -> None:
    asked = Client("http://localhost/api", KEY)
    assert repr(asked) == "<Client http://localhost/api>"
    assert_clean(repr(vars(asked)) + repr(vars(asked._wire)) + repr(Key(KEY)) + repr(copy.copy(asked)))
    with pytest.raises(TypeError):
        json.dumps(vars(asked))


def test_the_message_of_an_answer_is_freed_of_the_key(server: ScriptedServer) -> None:
    server.replies = [reply({"success": True, "message": f"Set for {KEY}\x00\u202e!"})]
    with Client(server.url, KEY) as asked:
        assert asked.set_auto_renewal(True).message == "Set for [key] !"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (f"Key {KEY} is bad", "Key [key] is bad"),
        (f"{KEY}{KEY}", "[key]"),
        (f"began with {KEY[:9]}", "began with [key]"),
        (f"began with {KEY[:7]}", f"began with {KEY[:7]}"),
        (quote("a/b+c=d%e f@g", safe=""), "[key]"),
        ("nothing of it", "nothing of it"),
        ("", ""),
    ],
)
def test_foreign_words_are_freed_of_the_key(words: str, shown: str) -> None:
    key = Key("a/b+c=d%e f@g") if "%" in words else Key(KEY)
    assert key.hide(words) == shown


def test_an_encoded_key_is_hidden_too() -> None:
    assert Key(KEY).hide(base64.b64encode(KEY.encode()).decode().rstrip("=")) == "[key]"


def test_a_key_too_short_to_be_one_does_not_eat_the_words() -> None:
    assert Key("abc").hide("abc of errors") == "abc of errors"
    assert Key("").hide("words") == "words"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Line one\r\n\tline two\0", "Line one line two"),
        ("abc\u202edef\u200b", "abcdef"),
        ("see https://x.test/a/b?apikey=1&c=2#d now", "see https://x.test/a/b now"),
        ("x" * 400, "x" * 299 + "…"),
        ("…!", ""),
    ],
)
def test_the_providers_words_are_cleaned(said: str, shown: str) -> None:
    assert answers.clean(said, lambda words: words) == shown


def test_a_refusal_is_at_most_300_characters(server: ScriptedServer) -> None:
    server.replies = [reply({"message": "no " * 5_000}, "400 Bad Request")]
    with Client(server.url, KEY) as asked, pytest.raises(Refused) as caught:
        asked.place_order(1, 1)
    assert len(caught.value.text) <= 300


def test_a_refusal_that_is_too_long_to_read_is_no_refusal_of_a_spend(server: ScriptedServer) -> None:
    server.replies = [reply("no " * 50_000, "400 Bad Request")]
    with Client(server.url, KEY) as asked, pytest.raises(OutcomeUnknown):
        asked.place_order(1, 1)


def test_a_bad_key_says_what_the_provider_said(server: ScriptedServer) -> None:
    server.replies = [reply({"message": "Key expired"}, "401 Unauthorized")]
    with Client(server.url, KEY) as asked, pytest.raises(BadKey) as caught:
        asked.balance()
    assert caught.value.text == "127.0.0.1 does not accept the API key (401): Key expired"
