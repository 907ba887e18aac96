"""Searching messages: any script, part of a word, number and note; the index stays right whatever is written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, models
from django.http import QueryDict
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dashboard import search_index
from dashboard.models import Account, Booking, Sms, User
from dashboard.search_form import document_of, wanted, words_of
from dashboard.views.paging import Sort, first_rows, page_of

from .factories import make_account, make_booking, make_sms
from .query_plans import sorts, whole_reads

NEWEST = (Sort("newest", "Newest", "received_at"), Sort("oldest", "Oldest", "received_at", descending=False))
ORDER = ("-received_at", "-id")


def found(account: Account, typed: str) -> list[int]:
    """Ids that the search gives, newest first; as a page asks for them, and as one statement does."""
    rows = Sms.objects.of_accounts([account.pk]).matching(typed)
    ids = [sms.pk for sms in first_rows(rows, ORDER, 50)]
    assert ids == [sms.pk for sms in rows.order_by(*ORDER)]
    return ids


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("Your verification code is 482913", "verification"),
        ("Your verification code is 482913", "ERIFICATIO"),
        ("Your verification code is 482913", "code 482913"),
        ("Your verification code is 482913", "482913 your"),
        ("Your verification code is 482913", "8291"),
        ("Your verification code is 482913", "is"),
        ("Your verification code is 482913", "on code i"),
        ("Ваш код подтверждения: 482913", "ПОДТВЕРЖД"),
        ("Ваш код подтверждения: 482913", "твержден"),
        ("Ещё раз", "еще"),
        ("您的验证码是482913，请勿泄露", "验证码"),
        ("您的验证码是482913，请勿泄露", "证码"),
        ("您的验证码是482913，请勿泄露", "码"),
        ("您的验证码是482913，请勿泄露", "验证 482"),
        ("認証コードは482913です", "コード"),
        ("본인인증번호는 482913입니다", "인증번호"),
        ("رمز التحقق الخاص بك هو ٤٨٢٩١٣", "التحقق"),
        ("رمز التحقق الخاص بك هو ٤٨٢٩١٣", "482913"),
        ("رَمْزُ التَّحَقُّقِ", "رمز التحقق"),
        ("קוד האימות שלך", "אימות"),
        ("รหัสยืนยันของคุณคือ 482913", "ยืนยัน"),
        ("आपका सत्यापन कोड 482913 है", "सत्यापन"),
        ("Κωδικός επιβεβαίωσης", "ΕΠΙΒΕΒΑΊΩΣΗΣ"),
        ("Code de vérification à usage unique", "verification a usage"),
        ("Code de verification", "vérifi"),
        ("Bestätigungscode für Straße", "STRASSE"),
        ("KAPI İstanbul Łódź", "kapı istanbul łodz"),
        ("ＣＯＤＥ　４８２９１３", "code 482913"),
        ("Code 482 913 bitte", "482913"),
        ("Code 482-913 bitte", "482 913"),
        ("Code 482913 bitte", "482-913"),
        ("G-482913 is your code", "g-482913"),
        ("Total: 5 € 👍", "👍"),
        ("5 €", "€"),
        ("100% off_now", "% off"),
        ("can\u00adcel\u200b now", "cancel"),
    ],
)
def test_any_script_and_part_of_a_word_is_found(account: Account, text: str, typed: str) -> None:
    booking = make_booking(account, number="+15550000001")
    sms = make_sms(booking, text, sender="Shop")
    make_sms(booking, "Something else", sender="Other")
    assert found(account, typed) == [sms.pk]


@pytest.mark.parametrize(
    "typed",
    ["verifcation", "482914", "x", "验码", "证", "код", "erificatio code now", "s your", "Googlecode",
     "482913 Google 9", "%%%", "\x00"],
)  # fmt: skip
def test_what_does_not_stand_there_is_not_found(account: Account, typed: str) -> None:
    make_sms(make_booking(account, number="+15550000001"), "Your verification code is 482913", sender="Google")
    assert found(account, typed) == []


@pytest.mark.parametrize(
    "typed",
    ["+420734118902", "+420 734 118 902", "00420 734-118-902", "420734118902", "(734) 118.902", "734 118", "8902"],
)
def test_a_number_is_found_in_any_grouping_as_receiver_sender_and_in_the_text(account: Account, typed: str) -> None:
    other = make_booking(account, number="+15550000001")
    at = timezone.now()
    here = [
        make_sms(make_booking(account, number="+420734118902"), "One", received_at=at),
        make_sms(other, "Two", sender="+420734118902", received_at=at - timedelta(minutes=1)),
        make_sms(other, "Call +420 734 118 902 now", received_at=at - timedelta(minutes=2)),
    ]
    make_sms(other, "Four", received_at=at)
    assert found(account, typed) == [sms.pk for sms in here]


@pytest.mark.parametrize(
    "typed",
    [
        '"', '""', "'", '" OR "', 'code" OR "x', "NEAR(code x)", "code NOT your", "code*", "^code", "document: code",
        "-code", "(code", "code)", "code AND", "{document}: code", "c_de", "c%e", "\\", "%", "_", "code\\", "co\\de",
        "'; DROP TABLE dashboard_sms; --", "%s", "%(x)s", "{}", "\ud800", "a" * 10_000, "code " * 2_000, "[" * 500,
    ],
)  # fmt: skip
def test_nothing_typed_is_taken_for_a_command(account: Account, typed: str) -> None:
    sms = make_sms(make_booking(account), "Your code: near and or not document drop")
    words = [" ".join(re.findall(r"\w+", part.replace("_", " ").casefold())) for part in typed.split()]
    expected = [sms.pk] if any(words) and all(word in sms.text.casefold() for word in words) else []
    assert found(account, typed) == expected


@pytest.mark.parametrize(
    "typed", ["code " * 2_000, "验证" * 3_000, "\x00" * 10_000, "%" * 10_000, '"' * 10_000, "a b " * 2_500]
)
def test_ten_thousand_characters_typed_give_a_page(client: Client, viewer: User, account: Account, typed: str) -> None:
    make_sms(make_booking(account))
    client.force_login(viewer)
    assert client.get("/inbox/", {"q": typed}).status_code == 200


def test_the_note_of_a_booking_finds_its_messages(account: Account) -> None:
    booking = make_booking(account, note="Магазин: Café № 7")
    noted = [make_sms(booking, received_at=timezone.now() - timedelta(minutes=at)) for at in range(3)]
    in_text = make_sms(make_booking(account), "Das Café hat zu", received_at=timezone.now() - timedelta(seconds=90))
    assert found(account, "магазин") == [sms.pk for sms in noted]
    assert found(account, "cafe") == [noted[0].pk, noted[1].pk, in_text.pk, noted[2].pk]
    Booking.objects.filter(pk=booking.pk).update(note="Other")
    assert found(account, "магазин") == []
    booking.refresh_from_db()
    booking.note = "Shop"
    booking.save()
    assert found(account, "shop") == [sms.pk for sms in noted]
    Sms.objects.filter(pk=noted[1].pk).update(booking=None)
    assert found(account, "shop") == [noted[0].pk, noted[2].pk]


def test_the_list_of_bookings_finds_notes_in_any_script_and_case(
    client: Client, viewer: User, account: Account
) -> None:
    client.force_login(viewer)
    booking = make_booking(account, note="Магазин Café")
    make_booking(account, note="Other")
    for typed in ("МАГАЗИН", "cafe", "газ"):
        content = client.get("/bookings/", {"q": typed}).content.decode()
        assert re.findall(r'id="booking-(\d+)"', content) == [str(booking.pk)]


def test_a_word_of_very_many_notes_finds_all_their_messages(account: Account, monkeypatch: Any) -> None:
    monkeypatch.setattr("dashboard.models.sms.NOTED", 2)
    at = timezone.now()
    made = [make_sms(make_booking(account, note="shop"), received_at=at - timedelta(seconds=n)) for n in range(5)]
    make_sms(make_booking(account, note="other"))
    assert found(account, "shop") == [sms.pk for sms in made]


def test_what_is_written_later_is_found_by_its_new_words_only(account: Account) -> None:
    sms = make_sms(make_booking(account), "First words")
    sms.text = "Second thoughts"
    sms.save()
    assert (found(account, "first"), found(account, "second")) == ([], [sms.pk])
    sms.received_at = datetime(2020, 1, 1, tzinfo=UTC)
    sms.save()
    assert found(account, "second") == [sms.pk]
    (copy,) = Sms.objects.bulk_create(
        [Sms(account=account, text="Third", received_at=timezone.now(), fingerprint="3" * 64, ordinal=1)]
    )
    Sms.objects.bulk_create(
        [Sms(account=account, text="Third", received_at=timezone.now(), fingerprint="3" * 64, ordinal=1)],
        ignore_conflicts=True,
    )
    assert found(account, "third") == [copy.pk]
    Sms.objects.filter(pk=sms.pk).delete()
    assert found(account, "second") == []


def test_a_blanked_message_is_found_by_sender_and_number_only(account: Account) -> None:
    sms = make_sms(make_booking(account, number="+15551234567"), "Secret words 482913", sender="Shop")
    Sms.objects.filter(pk=sms.pk).blank(timezone.now())
    for typed in ("secret", "482913", "words"):
        assert found(account, typed) == []
    assert found(account, "shop") == found(account, "5551234") == [sms.pk]


def test_nothing_of_a_foreign_account_is_found(account: Account, foreign_account: Account, stranger: User) -> None:
    sms = make_sms(make_booking(account), "shared words")
    theirs = make_booking(foreign_account, note="shared note")
    make_sms(theirs, "shared words")
    for typed in ("shared", "shared words", theirs.number):
        assert set(found(account, typed)) <= {sms.pk}
    assert first_rows(Sms.objects.visible_to(stranger).matching("shared"), ORDER, 5) == []
    assert list(Sms.objects.visible_to(stranger).matching("shared")) == []


@pytest.fixture
def many(account: Account) -> list[Sms]:
    """60 messages of three accounts with one word, some by note, many within a span of the index; newest first."""
    accounts = [account, make_account("Second"), make_account("Third")]
    foreign = make_booking(make_account("Foreign"))
    start = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    made = []
    for number in range(60):
        booking = make_booking(accounts[number % 3], note="needle" if number % 7 == 0 else "")
        text = "hay" if number % 7 == 0 else "a needle in hay"
        # Ids fall as times rise, and several share their microsecond.
        moment = start - timedelta(seconds=number // 2 * (1 if number < 40 else 5000), microseconds=number // 3)
        made.append(make_sms(booking, text, received_at=moment))
        make_sms(foreign, "a needle", received_at=moment)
        make_sms(booking, "hay", received_at=moment)
    Sms.objects.filter(text="hay", booking__note="").update(search_text=document_of("other"))
    wanted_rows = models.Q(text__contains="needle") | ~models.Q(booking__note="")
    ids = Sms.objects.exclude(account=foreign.account).filter(wanted_rows).values("pk")
    return sorted(Sms.objects.filter(pk__in=ids), key=lambda sms: (sms.received_at, sms.pk), reverse=True)


@pytest.mark.parametrize("accounts", [1, 3])
@pytest.mark.parametrize("sort", ["newest", "oldest"])
@pytest.mark.parametrize("read", [0, 10, 1000])
def test_pages_of_a_search_hold_every_message_once_in_both_directions(
    many: list[Sms], accounts: int, sort: str, read: int, monkeypatch: Any
) -> None:
    """Whether SQLite's table gives few messages to read, or all in order."""
    monkeypatch.setattr("dashboard.models.search_fts.READ", read)
    ids = sorted({sms.account_id for sms in many})[:accounts]
    rows = Sms.objects.of_accounts(ids).matching("needle")
    expected = [sms.pk for sms in many if sms.account_id in ids][:: 1 if sort == "newest" else -1]
    link, there, links = f"?sort={sort}", [], []
    while link:
        page = page_of(rows, QueryDict(link[1:]), NEWEST, 7)
        there.append([sms.pk for sms in page.rows])
        links.append(page.newer)
        link = page.older
    assert [pk for ids_of_page in there for pk in ids_of_page] == expected
    assert len(there[0]) == 7
    back = page_of(rows, QueryDict(links[-1][1:]), NEWEST, 7)
    assert [sms.pk for sms in back.rows] == there[-2]


@pytest.mark.parametrize("accounts", [1, 3])
def test_a_search_is_a_fixed_number_of_queries_by_index(
    many: list[Sms], accounts: int, django_assert_max_num_queries: Any
) -> None:
    ids = sorted({sms.account_id for sms in many})[:accounts]
    for typed, queries in (("needle", 6), ("hay", 3), ("absent", 6)):
        with django_assert_max_num_queries(queries) as captured:
            rows = Sms.objects.of_accounts(ids).matching(typed).exclude(code="x").for_list()
            page_of(rows, QueryDict("sort=newest"), NEWEST, 5)
        statements = [each["sql"] for each in captured.captured_queries]
        assert whole_reads(statements) == []
        if accounts == 1 and typed != "needle":
            assert sorts(statements) == []


def test_the_last_instant_of_a_span_of_the_index_belongs_to_it(account: Account) -> None:
    edge = datetime.fromtimestamp(1_700_000 * 2**10, UTC)
    times = [edge - timedelta(microseconds=1), edge, edge - timedelta(days=20_000)]
    last, first, early = (make_sms(make_booking(account), "edges", received_at=at).pk for at in times)
    rows = Sms.objects.of_accounts([account.pk])
    for typed in ("edge", "edg"):
        assert [sms.pk for sms in first_rows(rows.matching(typed), ORDER, 5)] == [first, last, early]
        before = rows.filter(received_at__lte=times[0]).matching(typed)
        assert [sms.pk for sms in first_rows(before, ORDER, 5)] == [last, early]
        after = rows.filter(received_at__gte=edge).matching(typed)
        assert [sms.pk for sms in first_rows(after, ORDER, 5)] == [first]


def test_a_search_goes_together_with_other_conditions(many: list[Sms]) -> None:
    ids = {sms.account_id for sms in many}
    rows = Sms.objects.of_accounts(ids).matching("needle")
    start = many[10].received_at
    later = rows.filter(received_at__gte=start, booking__service="WhatsApp")
    assert [sms.pk for sms in first_rows(later, ORDER, 50)] == [sms.pk for sms in many if sms.received_at >= start]
    some = rows.filter(models.Q(pk=many[3].pk) | models.Q(pk=many[50].pk))
    assert [sms.pk for sms in first_rows(some, ORDER, 50)] == [many[3].pk, many[50].pk]


@pytest.mark.parametrize("accounts", [1, 3])
def test_filters_by_part_of_sender_or_number_use_the_index(
    client: Client, viewer: User, many: list[Sms], accounts: int
) -> None:
    ids = sorted({sms.account_id for sms in many})[:accounts]
    for pk in ids:
        viewer.memberships.get_or_create(account_id=pk, defaults={"role": "viewer"})
    client.force_login(viewer)
    one = make_sms(many[1].booking or make_booking(many[1].account), "hay", sender="Rare sender №9")
    for query in ("sender=re sen", "sender=№9", f"number={one.number[3:]}", f"number={one.number}", "sender=re&q=hay"):
        response = client.get(f"/inbox/?{query}")
        assert f'id="sms-{one.pk}"' in response.content.decode()
    assert 'id="sms-' not in client.get("/inbox/?sender=hay").content.decode()
    assert 'id="sms-' not in client.get("/inbox/?number=needle").content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_index_survives_a_table_that_is_made_anew() -> None:
    account = make_account("Shop")
    before = make_sms(make_booking(account), "Before the change", received_at=timezone.now() - timedelta(hours=1))
    field = Sms._meta.get_field("code")
    wider = models.CharField(max_length=33, blank=True)
    wider.set_attributes_from_name("code")
    wider.model = Sms
    with connection.schema_editor() as editor:
        editor.alter_field(Sms, field, wider)
    with connection.schema_editor() as editor:
        editor.alter_field(Sms, wider, field)
    # What is written before `migrate` has come to its end.
    after = make_sms(make_booking(account), "After the change")
    search_index.ensure()
    assert found(account, "the change") == [after.pk, before.pk]
    Sms.objects.all().delete()
    assert found(account, "the change") == []


@pytest.mark.django_db(transaction=True)
def test_rows_from_before_the_search_get_their_documents() -> None:
    account = make_account("Shop")
    sms = make_sms(make_booking(account, note="Noted"), "Old Text")
    Sms.objects.update(search_text="")
    models.QuerySet.update(Booking.objects.all(), note_search="")
    assert found(account, "old") == found(account, "noted") == []
    search_index.drop(connection)
    search_index.ensure()
    assert found(account, "old") == found(account, "noted") == [sms.pk]
    assert Sms.objects.get().search_text == document_of("Old Text", "Google", sms.number)


def test_the_index_that_is_there_is_left_alone(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        search_index.ensure()


def test_the_columns_of_old_rows_are_filled_as_the_models_fill_them() -> None:
    fields = {
        each.attname: each for each in (Sms._meta.get_field("search_text"), Booking._meta.get_field("note_search"))
    }
    for table, column, sources, longest in search_index.DOCUMENTS:
        field: Any = fields[column]
        assert (field.model._meta.db_table, field.sources, field.longest) == (table, sources, longest)


ALPHABET = st.sampled_from(
    "abcdefgh ABC éüñßıŁ 0123456789 .,:-+()%_'\"*\n абвгдЁЙ мирЩ 验证码登录密 رمزتحق٤٥٦ إأَُ אבגד κωδικός Ελ กขคงจ์ै "
    "कखगा 한국어 カナｶﾞ １２ａ € 👍 ²ﬁ"
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(ALPHABET, min_size=3, max_size=60), st.data())
def test_any_part_of_a_text_with_three_letters_finds_it(text: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(text) - 3))
    part = text[first : data.draw(st.integers(first + 3, len(text)))]
    assume(sum(len(word) for word in words_of(part)) >= 3)
    document = document_of(text, "Google", "+4915112345678")
    assert all(piece in document for piece in wanted(part))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30), st.text(max_size=30))
def test_whatever_is_stored_and_typed_the_index_agrees_with_the_text(account: Account, text: str, typed: str) -> None:
    booking = make_booking(account, number="+15550000001")
    sms = make_sms(booking, text, sender="Google")
    pieces = wanted(typed)
    expected = bool(pieces) and all(piece in sms.search_text for piece in pieces)
    assert (sms.pk in found(account, typed)) is expected
    sms.delete()
