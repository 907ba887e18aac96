"""In which language somebody is spoken to: whose choice counts, how numbers look, what was kept in English."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone, translation

from dashboard.alerts import telling
from dashboard.languages import of_person
from dashboard.local_time import Clock, pace_words
from dashboard.models import Account, Alert, AlertChannel, AlertNotice, AuditEvent, User
from dashboard.sayings import said
from dashboard.views.activity_words import sentence_of
from dashboard.wording import duration_text, left_text, usd, whole

from .exported import exporting, file_of
from .factories import make_booking, make_product, make_sms

GERMAN: dict[str, Any] = {"headers": {"Accept-Language": "de-DE,de;q=0.9,en;q=0.5"}}


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
        (
            "2 rentals renew in Shop within 3 days for $10.00; the balance is not enough.",
            "2 Mieten in Shop verlängern sich innerhalb von 3 Tagen für 10,00\N{NO-BREAK SPACE}$; das",
        ),
        (
            "Waiting: The database was away before anything was sent.",
            "Wartet: Die Datenbank war nicht erreichbar, bevor etwas gesendet wurde.",
        ),
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
