"""What an answer means: data, "nothing there", or one of the errors. Judged by status and content.

The Content-Type is not asked: maintenance pages come with status 200, JSON comes as text (wild fact 5).
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from dashboard.anosim.errors import AnosimError, BadKey, Refused, TryLater, Unreadable
from dashboard.anosim.records import Listing, Order, Row, flag, money, parse_order, pick
from dashboard.anosim.wire import Answer

T = TypeVar("T")

LONGEST_WAIT = 900.0  # seconds; a longer Retry-After is cut (reliability.md 4.9)
LONGEST_WORDS = 300
_ERROR_FIELDS = ("message", "error", "errors")
_WRAPPERS = ("data", "result", "value", "order", "orderBooking", "booking", "product")

# Wild fact 2: how the provider says "this list is empty", with status 400.
_NOTHING_THERE = re.compile(
    r"no\s+(order\s?bookings?|orders?|bookings?|sms|messages?|sim\s?cards?|products?|countr(?:y|ies))"
    r"(?:\s+(?:was|were))?\s+found[\s.!]*",
    re.IGNORECASE,
)


def listing(answer: Answer, parse: Callable[[Row], T | None], *, of_object: bool = False) -> Listing[T]:
    """The rows of a list, read one by one. Raises what `failure` returns, or Unreadable (another shape)."""
    if answer.status == 400 and _NOTHING_THERE.fullmatch(words_of(answer)):
        rows: list[object] | None = []
    else:
        _raise_failure(answer, of_object)
        rows = _rows(payload(answer), parse)
    if rows is None:
        raise Unreadable(f"The answer of {answer.host} is not a list.", passing=True)
    parsed = [parse(row) if isinstance(row, Mapping) else None for row in rows]
    kept = tuple(record for record in parsed if record is not None)
    digest = hashlib.sha256(answer.body).hexdigest()
    return Listing(kept, len(rows), len(rows) - len(kept), digest, _moment(answer.headers.get("Date", "")))


def single(answer: Answer, parse: Callable[[Row], T | None], wanted: int | None = None) -> T:
    """The one object of an answer, bare, in a list or in a wrapper; with `wanted`, the one that has this id.

    Raises what `failure` returns, and Unreadable for another shape or another id.
    """
    _raise_failure(answer, wanted is not None)
    record = _object(payload(answer), parse, wanted)
    if record is None:
        raise Unreadable(f"The answer of {answer.host} does not hold what was asked for.", passing=True)
    return record


def balance(answer: Answer) -> Decimal:
    """US dollars, below zero too (#1). Raises what `failure` returns, or Unreadable if it is not exact."""
    return single(answer, lambda row: money(pick(row, "accountBalanceInUSD"), below_zero=True))


def new_order(answer: Answer) -> Order:
    """The order in the answer to a call that spent money (#5, #15, #16), maybe without bookings (fact 3).

    Raises Unreadable unless there is exactly one order with an id and no word of an error beside it.
    """

    def parse(row: Row) -> Order | None:
        failed = pick(row, "error", "errors") or flag(pick(row, "success")) is False
        return None if failed else parse_order(row)

    return single(answer, parse)


def succeeded(answer: Answer) -> bool:
    """The `success` of an answer (#14). Raises Unreadable if it says neither yes nor no."""
    return single(answer, lambda row: flag(pick(row, "success")))


def failure(answer: Answer, of_object: bool) -> AnosimError | None:
    """The error that the status of an answer stands for; None for 2xx.

    A 404 may speak of the thing that the path names (`of_object`); without one only the address can be meant.
    """
    status, host = answer.status, answer.host
    if 200 <= status <= 299:
        return None
    if status in (401, 403):
        said = words_of(answer)
        return BadKey(f"{host} does not accept the API key ({status})" + (f": {said}" if said else "."))
    if status == 429:
        return TryLater(f"{host} asks for fewer calls (429).", retry_after(answer), throttled=True)
    if status >= 500 or status == 408:
        wait = retry_after(answer)
        return TryLater(f"{host} is out of order at the moment ({status}).", wait, passing=wait is None)
    if 300 <= status <= 399:
        return Unreadable(f"{host} redirects elsewhere ({status}{_target(answer)}); check the base URL.")
    if status < 200:
        return Unreadable(f"{host} answered with an unexpected status ({status}).")
    said = words_of(answer)
    if status in (404, 405) and not (said and of_object):
        return Unreadable(f"{host} does not know this address ({status}); the base URL may be wrong.")
    return Refused(said or f"{host} refused the request without a reason ({status}).", status)


def words_of(answer: Answer) -> str:
    """The provider's own words in an error answer, JSON or plain text, cleaned; "" if there are none."""
    if len(answer.body) > 64_000:
        return ""
    content = _decode(answer.body).strip()
    try:
        content = _message(json.loads(content, strict=False))
    except (ValueError, RecursionError):
        if content[:1] in ("<", "{", "[") or "\ufffd" in content:
            return ""
    return clean(content, answer.hide)


def clean(words: str, hide: Callable[[str], str]) -> str:
    """Foreign words in one line of at most 300: no key, no URL query, no control or invisible characters."""
    words = hide(words[:2_000])
    words = re.sub(r"(\b[a-z][a-z0-9+.-]*://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", r"\1", words, flags=re.IGNORECASE)
    words = "".join(_visible(character) for character in words)
    words = " ".join(words.split())
    if not any(character.isalnum() for character in words):
        return ""
    return words if len(words) <= LONGEST_WORDS else words[: LONGEST_WORDS - 1] + "…"


def _visible(character: str) -> str:
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    return character if character.isprintable() else ""


def most_telling(answers: list[Answer]) -> Answer:
    """Of several 404 and 405 answers the one that speaks of the object, not of the path; else the first."""

    def rank(answer: Answer) -> int:
        said = words_of(answer).lower().rstrip(".! ")
        generic = said in ("not found", "method not allowed") or said.startswith("no http resource")
        return (2 if answer.status == 404 else 1) if said and not generic else 0

    return max(answers, key=rank)


def payload(answer: Answer) -> object:
    """The JSON of a body; numbers with a point are Decimal. Raises Unreadable."""
    data, problem = _parsed(answer.body)
    if problem:
        raise Unreadable(f"The answer of {answer.host} {problem}.", passing=True)
    return data


def retry_after(answer: Answer) -> float | None:
    """Seconds to wait by the Retry-After header (number or date), 0 to 900; None for none and for rubbish."""
    value = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?", value):
        seconds = float(value)
    elif moment := _moment(value):
        # The provider's own clock, if it tells it, so that a wrong clock here does not count.
        seconds = (moment - (_moment(answer.headers.get("Date", "")) or datetime.now(UTC))).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _raise_failure(answer: Answer, of_object: bool) -> None:
    error = failure(answer, of_object)
    if error is not None:
        raise error


def _decode(body: bytes) -> str:
    # One bad byte in one message must not make a whole window of messages unreadable.
    return body.decode(json.detect_encoding(body), "replace")


def _parsed(body: bytes) -> tuple[object, str]:
    """The data, or what is wrong with it. Not in `payload`, so that no traceback holds the foreign text."""
    content = _decode(body).strip()
    if not content:
        return None, "is empty"
    try:
        return json.loads(content, parse_float=_exact, parse_constant=_refuse, strict=False), ""
    except (ValueError, RecursionError):
        if content.startswith("<"):
            return None, "is a web page instead of data, as during maintenance or with a wrong base URL"
        return None, "cannot be read"


def _exact(number: str) -> Decimal | str:
    # An exponent is no way to write money: kept as text, no field reads it as a number.
    return number if "e" in number.lower() else Decimal(number)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _rows(data: object, parse: Callable[[Row], object], depth: int = 3) -> list[object] | None:
    if isinstance(data, list):
        if len(data) == 1 and isinstance(data[0], list) and depth:
            return _rows(data[0], parse, depth - 1)
        return data
    if not isinstance(data, Mapping) or not depth or pick(data, *_ERROR_FIELDS) is not None:
        return None
    if parse(data) is not None:
        return [data]
    inner: list[object] = [value for value in data.values() if isinstance(value, list)]
    inner = inner or [value for value in data.values() if isinstance(value, Mapping)]
    return _rows(inner[0], parse, depth - 1) if len(inner) == 1 else None


def _object(data: object, parse: Callable[[Row], T | None], wanted: int | None, depth: int = 3) -> T | None:
    if isinstance(data, list):
        found = [_object(each, parse, wanted, depth - 1) for each in data] if depth else []
        found = [record for record in found if record is not None]
        # Without an id to look for, a second row, readable or not, makes it anybody's guess.
        return found[0] if len(found) == 1 and (wanted is not None or len(data) == 1) else None
    if not isinstance(data, Mapping):
        return None
    record = parse(data)
    if record is not None:
        return record if wanted in (None, getattr(record, "id", None)) else None
    inner = pick(data, *_WRAPPERS) if depth else None
    return None if inner is None else _object(inner, parse, wanted, depth - 1)


def _message(data: object, depth: int = 3) -> str:
    if isinstance(data, str):
        return data
    if isinstance(data, list) and data and depth:
        return _message(data[0], depth - 1)
    if isinstance(data, Mapping) and depth:
        return _message(pick(data, "message", "error", "detail", "title", "errors"), depth - 1)
    return ""


def _target(answer: Answer) -> str:
    try:
        host = urlsplit(answer.headers.get("Location", "")).hostname or ""
    except ValueError:
        return ""
    return f" to {answer.hide(host)}" if re.fullmatch(r"[a-z0-9.:-]{1,100}", host) else ""


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
