"""German: whose choice counts, that every word has its translation, and that no English is left on any page."""

from __future__ import annotations

import ast
import gettext
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core import mail
from django.template import engines
from django.test import Client
from django.utils import timezone, translation
from django.utils.translation import trans_real

from dashboard import sayings
from dashboard.alerts import telling
from dashboard.languages import of_person
from dashboard.local_time import MONTHS_DE, SHORT_DE, WEEKDAYS_DE, Clock, pace_words
from dashboard.models import Account, Alert, AlertChannel, AlertNotice, AuditEvent, Invite, Purchase, SmsGap, User
from dashboard.sayings import said
from dashboard.script_words import WORDS
from dashboard.views import rows
from dashboard.views.activity_words import sentence_of
from dashboard.wording import duration_text, left_text, usd, whole

from .access_objects import things, walk
from .factories import make_booking, make_order, make_product, make_purchase, make_sms, make_sync_states
from .test_export import exporting, file_of

GERMAN: dict[str, Any] = {"headers": {"Accept-Language": "de-DE,de;q=0.9,en;q=0.5"}}
LOCALE = settings.BASE_DIR / "locale" / "de" / "LC_MESSAGES"


# --- whose choice counts


def test_before_the_sign_in_the_browser_says_which_language(client: Client, db: None) -> None:
    page = client.get("/accounts/login/", **GERMAN)
    assert "Anmelden" in page.content.decode()
    assert '<html lang="de"' in page.content.decode()
    assert page["Content-Language"] == "de"
    assert "Accept-Language" in page["Vary"]

    for other in ("fr-FR,fr", "", "en-GB,en;q=0.8,de;q=0.2", "*"):
        english = client.get("/accounts/login/", headers={"Accept-Language": other})
        assert '<html lang="en"' in english.content.decode()


def test_a_person_who_chose_nothing_has_the_language_of_the_browser(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    assert "Übersicht" in client.get("/", **GERMAN).content.decode()
    assert "Overview" in client.get("/").content.decode()


def test_what_a_person_chose_goes_before_what_the_browser_asks_for(client: Client, viewer: User) -> None:
    User.objects.filter(pk=viewer.pk).update(language="de")
    client.force_login(viewer)
    assert "Übersicht" in client.get("/", headers={"Accept-Language": "en"}).content.decode()
    User.objects.filter(pk=viewer.pk).update(language="en")
    assert "Overview" in client.get("/", **GERMAN).content.decode()


def test_who_changes_the_language_sees_the_new_one_at_once(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    saved = client.post("/settings/", {"language": "de"}, follow=True).content.decode()
    viewer.refresh_from_db()
    assert viewer.language == "de"
    assert "Gespeichert." in saved
    assert "Einstellungen" in saved
    assert "language" in AuditEvent.objects.get(action="user.own_settings").details["fields"]

    back = client.post("/settings/", {"language": ""}, follow=True).content.decode()
    assert "Saved." in back
    assert "Settings" in back


def test_the_sign_in_and_dead_addresses_of_a_device_are_in_the_language_chosen_on_it(
    client: Client, viewer: User
) -> None:
    client.force_login(viewer)
    client.post("/settings/", {"language": "de"})
    assert "Nicht hier" in client.get("/no-such-page/").content.decode()
    client.post("/accounts/logout/")
    assert "Anmelden" in client.get("/accounts/login/").content.decode()


def test_a_language_that_is_none_of_ours_is_refused(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    assert client.post("/settings/", {"language": "xx"}).status_code == 422


def test_a_panel_asked_in_another_language_is_not_unchanged(client: Client, viewer: User, account: Account) -> None:
    make_booking(account)
    client.force_login(viewer)
    url = re.search(r'hx-get="(/panels/running/[^"]+)"', client.get("/").content.decode())
    assert url is not None
    address = url[1].replace("&amp;", "&")
    assert client.get(address).status_code == 204
    assert "Läuft jetzt" in client.get(address, **GERMAN).content.decode()


def test_rows_made_once_for_all_are_kept_apart_by_language(client: Client, viewer: User, account: Account) -> None:
    make_sms(make_booking(account))
    client.force_login(viewer)
    assert "Copy code" in client.get("/inbox/").content.decode()
    assert "Code kopieren" in client.get("/inbox/", **GERMAN).content.decode()
    assert "Copy code" in client.get("/inbox/").content.decode()


def test_what_machines_read_is_the_same_in_every_language(
    client: Client, manager: User, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "close_old_connections", lambda: None)
    product = make_product(account, price_usd=Decimal("1234.50"))
    make_sms(make_booking(account))
    client.force_login(manager)
    assert client.get("/healthz").content == client.get("/healthz", **GERMAN).content
    page = client.get(f"/catalog/{product.pk}/", **GERMAN).content.decode()
    assert 'data-price="1234.50"' in page
    assert 'name="price" value="1234.50"' in page
    files = [file_of(client.post("/inbox/export/", **more)) for more in ({}, GERMAN)]
    assert files[0] == files[1]


# --- the house format of German


def test_german_writes_money_counts_and_times_its_own_way() -> None:
    now = datetime(2026, 11, 21, 14, 31, 7, tzinfo=UTC)
    clock = Clock(now, ZoneInfo("UTC"))
    with translation.override("de"):
        assert usd(Decimal("-1234.5")) == "-1.234,50\N{NO-BREAK SPACE}$"
        assert whole(1234567) == "1.234.567"
        assert clock.relative(now - timedelta(hours=19)) == "gestern 19:31"
        assert clock.relative(now - timedelta(days=200)) == "5. Mai 14:31"
        assert clock.ago(now - timedelta(seconds=12)) == "vor 12 s"
        assert clock.ago(now - timedelta(hours=2)) == "um 12:31"
        assert clock.full(now) == "21. Nov. 2026, 14:31"
        assert clock.day_name(now.date() - timedelta(days=300)) == "Sonntag, 25. Januar"
        assert (duration_text(1440), duration_text(30 * 1440)) == ("1 Tag", "30 Tage")
        assert (left_text(timedelta(days=23)), left_text(timedelta(hours=28))) == ("23 Tage", "1 Tag 4 h")
        assert pace_words(86_400) == "1 Tag"
    assert (clock.full(now), usd(Decimal("1234.5"))) == ("21 Nov 2026, 14:31", "$1,234.50")


# --- sentences that are kept in English


@pytest.mark.parametrize(
    ("kept", "german"),
    [
        ("Nothing was sent. ANOSIM does not answer at the moment.", "Nichts wurde gesendet. ANOSIM antwortet zurzeit"),
        (
            "The price has risen to $1,234.50; you confirmed $0.99. Nothing was bought.",
            "Der Preis ist auf 1.234,50\N{NO-BREAK SPACE}$ gestiegen; bestätigt waren 0,99\N{NO-BREAK SPACE}$.",
        ),
        ("Bought. ANOSIM charged $3.10, more than was confirmed.", "Gekauft. ANOSIM hat 3,10"),
        ("Acme is not current: Balance, Running bookings.", "Acme ist nicht aktuell: Guthaben, Laufende Buchungen."),
        ("SMS of Acme before 04 Nov 07:05 UTC are lost: see Status.", "SMS von Acme vor 4. Nov. 07:05 UTC sind"),
        ("It is in no list, but the balance does not add up. A manager decides.", "geht nicht auf. Ein Verwalter"),
        ("ANOSIM refuses the key of Acme. a.example does not accept the API key (401): no", "lehnt den Schlüssel"),
    ],
)
def test_a_kept_sentence_is_said_in_the_language_of_the_reader(kept: str, german: str) -> None:
    assert said(kept) == kept
    with translation.override("de"):
        assert german in said(kept)


def test_what_the_provider_said_stays_as_it_came() -> None:
    with translation.override("de"):
        assert said("Not enough numbers in stock <b>%(x)s</b>") == "Not enough numbers in stock <b>%(x)s</b>"
        assert said("ada: it is there") == "ada: it is there"


def test_the_record_says_why_in_english_and_the_page_in_german(
    client: Client, operator: User, account: Account
) -> None:
    product = make_product(account)
    client.force_login(operator)
    page = client.post(f"/catalog/{product.pk}/order/", {"amount": "1"}, **GERMAN).content.decode()
    assert "Nichts wurde gekauft" in page
    event = AuditEvent.objects.get(action="purchase.declined")
    assert "Nothing was bought" in event.details["reason"]
    with translation.override("de"):
        assert "Nichts wurde gekauft" in sentence_of(event, is_admin=False).after


# --- alerts in the language of the person they are for


def test_an_alert_is_mailed_in_the_language_of_the_person(account: Account, manager: User, settings: Any) -> None:
    settings.MAIL = True
    User.objects.filter(pk=manager.pk).update(language="de")
    channel = AlertChannel(user=manager, name="mail")
    channel.address = "ada@example.org"
    channel.save()
    alert = Alert.objects.create(
        account=account, kind=Alert.Kind.LOW_BALANCE, words="The balance of Shop is low: under $5.00."
    )
    notice = AlertNotice.objects.create(
        alert=alert, channel=channel, what=AlertNotice.What.OPENED, next_try_at=timezone.now()
    )
    assert telling.send(notice.pk) == "sent"
    assert "Das Guthaben von Shop ist niedrig: unter 5,00" in mail.outbox[0].body
    telling.test(channel.pk)
    assert "Dies ist ein Test" in mail.outbox[1].body
    with of_person(User(language="")):
        assert translation.get_language() == "en"


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
        headers = {**GERMAN["headers"], **({"HX-Request": "true"} if person == manager else {})}
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

WRITERS = ("purchases/*.py", "sync/*.py", "anosim/*.py", "alerts/*.py", "storage_trouble.py", "encryption.py")
# What may stand in a hole: a value, another sentence, a count of rentals.
FILLED = ("7 s", "Asked for.", "3 rentals")
# For the operator of the server, or put together from words that the list has in all their forms.
ELSEWHERE = re.compile(r"^FIELD_KEYS is empty|^A purchase does not go from|^Auto-renewal is 7 s|^The answer of 7 s 7 s")


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


def test_every_sentence_that_is_kept_can_be_said_in_german(marked: None) -> None:
    root = Path(settings.BASE_DIR, "dashboard")
    files = [file for name in WRITERS for file in root.glob(name)]
    written = [texts for file in files for texts in _sentences_of(file)]
    assert len(written) > 60
    with translation.override("de"):
        left = [texts[0] for texts in written if not any("⟦" in said(text) for text in texts)]
    assert [text for text in left if not ELSEWHERE.search(text)] == []
