"""The provider's values in words, text of strangers made visible, times in the person's zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from dashboard import wording
from dashboard.foreign_text import FOLD_OVER, beginning, visible
from dashboard.local_time import Clock, iso, zone_named
from dashboard.models import Booking

NOW = datetime(2026, 11, 23, 14, 31, 7, tzinfo=UTC)
SPRITE = Path(__file__).parent.parent / "static/dashboard/flags.svg"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CzechRepublic", "Czech Republic"),
        ("UnitedKingdom", "United Kingdom"),
        ("BosniaAndHerzegovina", "Bosnia and Herzegovina"),
        ("USA", "USA"),
        ("Czech Republic", "Czech Republic"),
        ("", ""),
    ],
)
def test_a_country_is_written_as_people_write_it(name: str, words: str) -> None:
    assert wording.country_name(name) == words


def test_every_flag_is_in_the_sprite() -> None:
    drawn = set(re.findall(r'id="([a-z]{2})"', SPRITE.read_text()))
    assert {wording.flag_code(name) for name in wording._ISO} <= drawn
    assert wording.flag_code("Atlantis") == "xx"
    assert "xx" in drawn


@pytest.mark.parametrize(
    ("number", "words", "flag"),
    [
        ("+420734118902", "+420 734 118 902", "cz"),
        ("4915234477190", "+49 1523 4477190", "de"),
        ("+37061244908", "+370 612 44908", "lt"),
        ("Google", "Google", "xx"),
        ("+1", "+1", "xx"),
        ("", "", "xx"),
        ("a\x00b\u202e", "a[U+0000]b[U+202E]", "xx"),
    ],
)
def test_a_number_is_grouped_and_anything_else_stays_as_it_came(number: str, words: str, flag: str) -> None:
    assert wording.number_text(number) == words
    assert wording.flag_of_number(number) == flag


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("+49 (1523) 447-7190", "+4915234477190"),
        ("00420 734 118 902", "+420734118902"),
        ("734 118", ""),
        ("4915234477190", ""),
        ("+49", ""),
        ("+", ""),
        ("00", ""),
        ("code", ""),
    ],
)
def test_only_a_whole_number_is_taken_for_one(typed: str, whole: str) -> None:
    assert wording.full_number(typed) == whole


def test_kinds_services_lengths_money_and_countdowns_are_in_words() -> None:
    assert wording.rental_type_text("RentalFull") == "Full SIM"
    assert wording.rental_type_text("Novelty") == "Novelty"
    assert wording.service_text("", "RentalFull") == "Every service"
    assert wording.service_text("Google, Gmail", "Activation") == "Google, Gmail"
    assert [wording.duration_text(minutes) for minutes in (20, 60, 90, 1440, 43_200)] == [
        "20 min", "1 h", "1 h 30 min", "1 day", "30 days",
    ]  # fmt: skip
    assert [wording.usd(Decimal(amount)) for amount in ("3418.4", "-0.5")] == ["$3,418.40", "-$0.50"]
    assert wording.usd(None) == "–"
    lefts = [744, 11_520, 100_800, 2_000_000, 0]
    assert [wording.left_text(timedelta(seconds=left)) for left in lefts] == [
        "12:24", "3 h 12 min", "1 d 4 h", "23 d", "ended",
    ]  # fmt: skip
    assert [wording.code_halves(code) for code in ("482913", "51890", "12345678")] == [
        ("482", "913"), ("51890", ""), ("1234", "5678"),
    ]  # fmt: skip


def test_controls_and_turns_of_direction_become_visible_signs() -> None:
    assert visible("a\x00b\x1b[31m\x7f\x85") == "a[U+0000]b[U+001B][31m[U+007F][U+0085]"
    assert visible("abc\u202egpj.exe\u202c \u2066x\u2069") == "abc[U+202E]gpj.exe[U+202C] [U+2066]x[U+2069]"
    assert visible("two\r\nlines\n\tand a tab, 👩‍👩‍👧 \u200fرمز") == "two\nlines\n\tand a tab, 👩‍👩‍👧 \u200fرمز"


@given(st.text(max_size=200))
def test_making_visible_loses_nothing_and_is_done_once(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert len(shown) >= len(text.replace("\r\n", "\n"))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


def test_only_a_long_text_has_a_beginning() -> None:
    assert beginning("x" * FOLD_OVER) == ""
    assert beginning("word " * 400) == ("word " * 60).rstrip() + "…"
    assert beginning("x" * 10_000) == "x" * 300 + "…"


@pytest.mark.parametrize(
    ("age", "relative", "ago"),
    [
        (timedelta(seconds=-5), "0 s", "0 s ago"),
        (timedelta(seconds=12), "12 s", "12 s ago"),
        (timedelta(minutes=59), "59 min", "59 min ago"),
        (timedelta(hours=2), "13:31", "at 13:31"),
        (timedelta(hours=20), "yesterday 19:31", "yesterday 19:31"),
        (timedelta(days=2), "21 Nov 15:31", "21 Nov 15:31"),
        (timedelta(days=400), "19 Oct 2025", "19 Oct 2025"),
    ],
)
def test_an_age_is_told_in_the_zone_of_the_person(age: timedelta, relative: str, ago: str) -> None:
    clock = Clock(NOW, ZoneInfo("Europe/Berlin"))
    assert clock.relative(NOW - age) == relative
    assert clock.ago(NOW - age) == ago


def test_a_moment_is_told_exactly_and_days_have_names() -> None:
    clock = Clock(NOW, ZoneInfo("Europe/Berlin"))
    assert clock.clock(NOW) == "15:31:07"
    assert clock.clock(NOW - timedelta(days=1)) == "yesterday 15:31"
    assert clock.clock(NOW - timedelta(days=2)) == "21 Nov 15:31"
    assert clock.full(NOW) == "23 Nov 2026, 15:31"
    assert iso(NOW) == "2026-11-23T14:31:07Z"
    assert [clock.day_name(clock.today - timedelta(days=days)) for days in (0, 1, 2, 365)] == [
        "Today", "Yesterday", "Saturday, 21 November", "Sunday, 23 November 2025",
    ]  # fmt: skip


def test_day_and_month_begin_at_midnight_of_the_zone() -> None:
    clock = Clock(datetime(2026, 11, 30, 23, 30, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    assert clock.day_start() == clock.month_start() == datetime(2026, 11, 30, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Nowhere/City", "../../etc/passwd", "/etc/localtime", "a\x00b", ""])
def test_a_zone_that_does_not_exist_is_none(name: str) -> None:
    assert zone_named(name) is None


@pytest.mark.parametrize("state", sorted(Booking.CLOSED_STATES))
def test_every_state_that_ends_a_booking_has_words_in_each_language(state: str) -> None:
    english = wording.state_text(state.upper())
    with translation.override("de"):
        german = wording.state_text(state.upper())
    assert english[0].isupper()
    assert english != state.upper()
    assert german not in (english, state.upper())


def test_a_state_that_nobody_knows_is_shown_as_it_came_and_made_safe() -> None:
    assert wording.state_text("Hibernating\u202e") == visible("Hibernating\u202e")
