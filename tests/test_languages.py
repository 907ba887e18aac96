"""German: that every word has its translation, and that no English is left on any page."""

from __future__ import annotations

import ast
import gettext
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template import engines
from django.test import Client
from django.utils import timezone, translation
from django.utils.translation import trans_real

from dashboard import sayings
from dashboard.local_time import MONTHS_DE, SHORT_DE, WEEKDAYS_DE
from dashboard.models import Account, AuditEvent, Invite, Purchase, SmsGap, User
from dashboard.sayings import said
from dashboard.script_words import WORDS
from dashboard.views import rows

from .access_objects import things, walk
from .factories import make_booking, make_order, make_product, make_purchase, make_sms, make_sync_states

LOCALE = settings.BASE_DIR / "locale" / "de" / "LC_MESSAGES"


# --- the catalogue is whole


def _entries() -> Iterator[tuple[str, list[str], list[str]]]:
    """Of each entry of the .po: its context, the English (and its plural), the German."""
    text = (LOCALE / "django.po").read_text()
    for block in text.split("\n\n")[1:]:
        found = {"msgctxt": [""], "msgid": [], "msgid_plural": [], "msgstr": []}
        for line in block.strip().splitlines():
            if not line.startswith("#"):
                name, _, value = line.partition(" ")
                found[re.sub(r"\[\d\]", "", name)].append(json.loads(value))
        yield found["msgctxt"][-1], found["msgid"] + found["msgid_plural"], found["msgstr"]


ENTRIES = list(_entries())


def _holes(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)[sd]|\{\w+\}|</?\w+[^>]*>", text))


def test_every_text_has_a_translation_with_the_same_holes() -> None:
    assert "fuzzy" not in (LOCALE / "django.po").read_text()
    for _, english, german in ENTRIES:
        assert len(english) == len(german), english
        for one, other in zip(english, german, strict=True):
            assert other.strip(), one
            assert _holes(one) == _holes(other), one
            assert (one[-1:] == ".") == (other[-1:] == "."), one


def test_the_compiled_catalogue_holds_what_the_text_says() -> None:
    with (LOCALE / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    wanted: dict[Any, str] = {}
    for context, english, german in ENTRIES:
        key = f"{context}\x04{english[0]}" if context else english[0]
        wanted |= {(key, at): text for at, text in enumerate(german)} if len(german) > 1 else {key: german[0]}
    assert {key: text for key, text in compiled.items() if key} == wanted


def test_german_says_sie() -> None:
    for _, _, german in ENTRIES:
        assert not re.search(r"\b(du|dein|deine|dir|dich|euch)\b", " ".join(german), re.IGNORECASE), german


def test_scripts_say_only_what_the_list_holds() -> None:
    scripts = "".join(path.read_text() for path in Path(settings.BASE_DIR, "static", "dashboard").glob("*.js"))
    called = re.findall(r"phrase\(((?:'(?:[^'\\]|\\.)*'|[^'(){]|\([^()]*\))*)", scripts)
    named = {text for call in called for text in re.findall(r"'([^']*[A-Za-z]{2}[^']*)'", call)}
    assert len(named) > 60
    assert named <= {*WORDS, "Order"}
    for text in WORDS:
        assert f"'{text}'" in scripts, f"no script says {text!r} any more"


# --- no English is left: every text is marked, and what is seen without a mark was never looked up


class Marked(trans_real.DjangoTranslation):
    """A German whose every text is the English one between marks."""

    def __init__(self) -> None:
        self._catalog: Any = {}

    def to_language(self) -> str:
        return "de"

    def gettext(self, message: str) -> str:
        return f"⟦{message.rpartition(chr(4))[2]}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def _forget() -> None:
    """What is remembered in a language, in templates and elsewhere."""
    for cached in (sayings._said, rows._markup, rows._kind_text):
        cached.cache_clear()
    for loader in engines["django"].engine.template_loaders:  # type: ignore[attr-defined]
        loader.reset()


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:

    # Their names are the same for everybody.
    monkeypatch.setattr("dashboard.views.personal.zones", list)
    monkeypatch.setitem(trans_real._translations, "de", Marked())  # type: ignore[attr-defined]
    _forget()
    yield
    _forget()


SEEN = frozenset({"title", "aria-label", "placeholder", "alt", "data-copied", "data-over", "data-label", "label"})
# Names, and what is the same in both languages.
WORDS_IN_BOTH = """
SMS ANOSIM UTC API USD Live SIM min CSV Admin Deutsch English dashboard admin ada Shop Theirs Enter Esc Status Redis
sqlite postgresql JavaScript manager stranger viewer member Acme GET WhatsApp
"""
# What the provider calls something, ends of keys, names of actions and of rows: they stay as they came.
AS_IT_CAME = """
Germany Active Activation RentalService cdef access denied metrics True False None Order Booking Gap account asked
purchase
"""
SAME = frozenset(f"{WORDS_IN_BOTH} {AS_IT_CAME}".split()) | {
    *(*MONTHS_DE, *WEEKDAYS_DE),
    *(each.strip(".") for each in SHORT_DE),
}
# Django's own page has two sentences that it never translates; the record is shown there as it is stored.
NOT_OURS = frozenset({"admin:auth_user_password_change", "admin:dashboard_auditevent_change"})


class Shown(HTMLParser):
    """What a person sees or hears of a page: its texts, and the attributes that are read out or shown."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self.inside.append(tag)
        values = dict(attrs)
        self.texts += [value or "" for name, value in attrs if name in SEEN]
        if tag == "input" and values.get("type") == "submit":
            self.texts.append(values.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.texts.append(data)


def _english(page: str) -> set[str]:
    """Words of a page that stand outside of all marks and are none of SAME."""
    shown = Shown()
    shown.feed(page)
    found: set[str] = set()
    for text in _whole(shown.texts):
        plain = re.sub(r"[0-9a-f]{8,}(-[0-9a-f]{4,})*|\S+[@/_]\S*", "", text)
        found |= {word for word in re.findall(r"[A-Za-z]{3,}", plain) if word not in SAME and not word.isupper()}
    return found


def _whole(texts: list[str]) -> Iterator[str]:
    """The texts without what is marked; a text with markup in it is marked across several."""
    depth = 0
    for text in texts:
        outside = ""
        for sign in text:
            depth += (sign == "⟦") - (sign == "⟧")
            outside += sign if depth == 0 else " "
        yield outside


def _data(account: Account, admin: User, manager: User) -> None:
    """One of everything, in many states, with names that are no words."""
    now = timezone.now()
    make_sync_states(account, last_success_at=now - timedelta(days=1), error="Acme: 5", failures=3, error_since=now)
    make_product(account, service="WhatsApp", country="", rental_type="Activation")
    rental = make_product(account, service="WhatsApp", country="", rental_type="RentalService", duration_minutes=10_080)
    order = make_order(account)
    bookings = [
        make_booking(account, service="", country="", rental_type="RentalService", auto_renewal=True, order=order),
        make_booking(account, service="", country="", number="", sms_count=0),
        make_booking(account, service="", country="", ends_at=now - timedelta(hours=1), assignee=manager),
        make_booking(account, service="", country="", rental_type="RentalFull", ends_at=now + timedelta(minutes=5)),
    ]
    for booking in bookings:
        make_sms(booking, text="482913", sender="8")
    # An account sends one at a time.
    for status in set(Purchase.Status.values) - {"sending"}:
        make_purchase(account, manager, product=rental, status=status, sent_at=now, words="Nothing was sent.")
    for lost in (True, False):
        SmsGap.objects.create(account=account, from_at=now - timedelta(days=2), to_at=now, found_at=now, lost=lost)
    for action in ("purchase.asked", "purchase.declined", "purchase.decided", "booking.change_ended", "sign_in.failed"):
        details = {"kind": "extend", "price_usd": "3.20", "reason": "The booking has ended.", "change": "cancel"}
        AuditEvent(action=action, user=manager, user_name="ada", account=account, details=details).save()
    Invite.make(invited_by=admin, account=account, role="viewer")


@pytest.mark.parametrize("full", [False, True])
def test_no_english_is_left_on_any_page(
    full: bool,
    marked: None,
    account: Account,
    admin: User,
    manager: User,
    viewer: User,
    stranger: User,
    confirmed: Any,
) -> None:
    if full:
        _data(account, admin, manager)
    found: dict[str, set[str]] = {}
    pages = 0
    # The manager asks as a script does, which gets dialogs in place of pages.
    for person in (None, stranger, viewer, manager, admin):
        headers = {"Accept-Language": "de", **({"HX-Request": "true"} if person == manager else {})}
        client = Client()
        if person is not None:
            client.force_login(person)
            confirmed(client)
        for url in walk():
            assert url.row is not None
            about = things(url.row.about, account, manager) if url.row.about else None
            address = url.path(**({about.parameter: about.value} if about else {}))
            answer = client.get(address, headers=headers)
            if answer.streaming or not answer["Content-Type"].startswith("text/html"):
                continue
            pages += 1
            # Its picture of a magnifying glass is called "Search" in every language.
            content = answer.content.decode().replace('alt="Search"', "")
            if url.name not in NOT_OURS and (left := _english(content)):
                found[url.name] = found.get(url.name, set()) | left
    assert "\n".join(f"{name}: {sorted(words)}" for name, words in found.items()) == ""
    assert pages > 200


# --- whoever writes a sentence down writes one of the list

WRITERS = (
    *("purchases/*.py", "sync/*.py", "anosim/*.py", "alerts/*.py"),
    *("backups/restoring.py", "storage_trouble.py", "encryption.py"),
)
# What may stand in a hole: a value, another sentence, a count of rentals.
FILLED = ("7 s", "Asked for.", "Asked for", "3 rentals")
# For the operator of the server, or put together from words that the list has in all their forms.
ELSEWHERE = re.compile(
    r"^FIELD_KEYS is empty|^A purchase does not go from|^Auto-renewal is 7 s|^The answer of 7 s 7 s"
    r"|^The database is not empty|^The backup |^The dashboard is running on|^Table 7 s"
)


def _sentences_of(path: Path) -> Iterator[list[str]]:
    """What looks like a sentence in a module's code, with FILLED in its holes; no docstring, no log line."""
    tree = ast.parse(path.read_text())
    passed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in ast.walk(node) if part is not node}
        if isinstance(node, ast.Call) and re.match(r"logger\.|_\(", ast.unparse(node.func) + "("):
            passed |= {id(part) for part in ast.walk(node)}
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        texts = ["".join(_text(part, filled) for part in parts) for filled in FILLED]
        if id(node) not in passed and re.match(r"[A-Z7].* .*\.$", texts[0]):
            yield texts


def _text(part: ast.AST, filled: str) -> str:
    if isinstance(part, ast.Constant):
        return part.value if isinstance(part.value, str) else ""
    return filled if isinstance(part, ast.FormattedValue) else ""


def _unsaid(text: str) -> str:
    """What stands outside the marks: nothing if all of it was found in the list."""
    while (inner := re.sub(r"⟦[^⟦⟧]*⟧", "", text)) != text:
        text = inner
    return text.strip()


def test_every_sentence_that_is_kept_can_be_said_in_german(marked: None) -> None:
    root = Path(settings.BASE_DIR, "dashboard")
    files = [file for name in WRITERS for file in root.glob(name)]
    written = [texts for file in files for texts in _sentences_of(file)]
    assert len(written) > 60
    with translation.override("de"):
        left = [texts[0] for texts in written if all(_unsaid(said(text)) for text in texts)]
    assert [text for text in left if not ELSEWHERE.search(text)] == []
