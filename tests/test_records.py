"""The small functions that read one field each: exact, tolerant, and never the cause of an exception."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.anosim import answers
from dashboard.anosim.records import (
    LARGEST_ID,
    Order,
    Provider,
    SimCard,
    flag,
    instant,
    integer,
    money,
    parse_booking,
    parse_country,
    parse_order,
    parse_product,
    parse_provider,
    parse_sim_card,
    parse_sms,
    pick,
    text,
)
from tests.scripted_server import SAMPLES

# Whatever JSON can hold, as the client decodes it: numbers with a point are Decimal.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIRST, LAST = datetime.fromisoformat("1970-01-03"), datetime.fromisoformat("9998-12-29")
CENTS = st.integers(-(10**12) + 1, 10**12 - 1)


def decoded(raw: str) -> object:
    """A JSON text as the client decodes it."""
    return answers._parsed(raw.encode())[0]


@given(cents=CENTS)
@example(cents=0)
@example(cents=-1)
def test_every_amount_is_read_to_the_cent(cents: int) -> None:
    amount = Decimal(cents).scaleb(-2)
    for raw in (f"{amount:.2f}", f'"{amount:.2f}"', f'" {amount:.2f}\\n"', f"{amount:.2f}00"):
        got = money(decoded(raw), below_zero=True)
        assert got == amount
        assert got is not None
        assert got.as_tuple().exponent == -2


@given(cents=CENTS)
def test_a_price_is_never_below_zero(cents: int) -> None:
    got = money(decoded(f"{Decimal(cents).scaleb(-2):.2f}"))
    assert got is None if cents < 0 else got is not None


@given(value=JSON | st.floats())
def test_money_is_an_exact_decimal_or_nothing(value: object) -> None:
    got = money(value, below_zero=True)
    assert got is None or (type(got) is Decimal and got.as_tuple().exponent == -2 and abs(got) < 10**10)
    assert got is None or (str(value).strip() != "" and Decimal(str(value).strip()) == got)


@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=5, min_value=-100, max_value=100))
def test_parts_of_a_cent_are_refused(number: Decimal) -> None:
    whole_cents = number * 100 == (number * 100).to_integral_value()
    assert (money(number, below_zero=True) is not None) == whole_cents


@pytest.mark.parametrize(
    "raw",
    [
        "1e2", "1.0E+1", "1.10e1", '"1e2"', "1.005", '"0.001"', "-1", '"-0.01"', "true", "null", '""',
        '" "', '"free"', '"1,000.00"', '"30,00"', '"$5"', '"+5"', '".5"', '"5."', '"1_000"', '"٣.٥٠"',
        '"NaN"', '"Infinity"', "[]", "{}", "[5]", "10000000000", '"99999999999.00"', '"1 000"', '"0x10"',
    ],
)  # fmt: skip
def test_what_is_not_money_is_nothing(raw: str) -> None:
    assert money(decoded(raw)) is None


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1E+2"), 1.5, b"5"])
def test_odd_values_are_not_money(value: object) -> None:
    assert money(value) is None


@pytest.mark.parametrize(("raw", "amount"), [("5", "5.00"), ('"30.0"', "30.00"), ("-0.00", "0.00"), ("007", None)])
def test_money_has_two_decimals(raw: str, amount: str | None) -> None:
    got = money(decoded(raw))
    assert (got if got is None else str(got)) == amount


@given(
    moment=st.datetimes(FIRST, LAST),
    digits=st.integers(0, 9),
    rest=st.integers(0, 999),
    minutes=st.none() | st.integers(-23 * 60, 23 * 60),
    letter=st.sampled_from("Tt "),
)
def test_every_time_is_read_to_the_microsecond_and_cut_not_rounded(
    moment: datetime, digits: int, rest: int, minutes: int | None, letter: str
) -> None:
    fraction = f"{moment.microsecond:06}{rest:03}"[:digits]
    offset = timedelta(minutes=minutes or 0)
    sign, size = ("-", -offset) if offset < timedelta(0) else ("+", offset)
    hours, left = divmod(int(size.total_seconds()) // 60, 60)
    zones = ["", "Z", "z"] if minutes is None else [f"{sign}{hours:02}:{left:02}", f"{sign}{hours:02}{left:02}"]
    for zone in zones:
        stamp = f"{moment:%Y-%m-%d}{letter}{moment:%H:%M:%S}{'.' if fraction else ''}{fraction}{zone}"
        expected = moment.replace(microsecond=int(fraction[:6].ljust(6, "0") or 0), tzinfo=timezone(offset))
        assert instant(stamp) == expected
        assert instant(stamp) == instant(f" {stamp}\n")


@given(value=JSON | st.floats() | st.text("0123456789-:TZ.+ "))
def test_an_instant_is_an_aware_utc_time_or_nothing(value: object) -> None:
    got = instant(value)
    assert got is None or (got.tzinfo is UTC and 1970 <= got.year <= 9998)


@pytest.mark.parametrize(
    "stamp",
    [
        "", "soon", "2024-05-21", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z", "2024-05-21T24:00:00Z",
        "2024-05-21T23:59:60Z", "2024-05-21T23:22:04.Z", "2024-05-21T23:22:04+25:00",
        "2024-05-21T23:22:04 CET", "0001-01-01T00:00:00", "9999-12-31T23:59:59.9999999",
        "9999-12-31T23:59:59-14:00", "٢٠٢٤-05-21T23:22:04Z", 1716333724, None, True, [],
    ],
)  # fmt: skip
def test_what_is_not_a_time_is_nothing(stamp: object) -> None:
    assert instant(stamp) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (56, 56), ("56", 56), (" 56 ", 56), (Decimal("56.0"), 56), (0, 0), (LARGEST_ID, LARGEST_ID),
        (LARGEST_ID + 1, None), (-1, None), ("-1", None), ("56.0", None), (Decimal("56.5"), None),
        (True, None), (None, None), ("", None), ("٥", None), (Decimal("NaN"), None), ("1e3", None),
        (Decimal("1E+999999"), None), ("9" * 30, None), (5.0, None), ([5], None),
    ],
)  # fmt: skip
def test_whole_numbers_come_as_numbers_or_digits(value: object, number: int | None) -> None:
    assert integer(value) == number


@given(value=JSON)
def test_a_whole_number_stays_within_its_bounds(value: object) -> None:
    got = integer(value, low=1, high=100)
    assert got is None or (type(got) is int and 1 <= got <= 100)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (0, False),
        ("True", True),
        ("1", True),
        (" false", False),
        ("yes", None),
        (2, None),
        (None, None),
    ],
)
def test_flags_come_as_booleans_numbers_or_words(value: object, expected: bool | None) -> None:
    assert flag(value) is expected


@given(value=JSON | st.text(st.characters(categories=["Cs", "Lu", "Cc"])))
def test_text_can_always_be_stored(value: object) -> None:
    assert isinstance(text(value).encode(), bytes)


@given(value=st.text())
def test_text_is_kept_to_the_letter(value: str) -> None:
    assert text(value) == value


@pytest.mark.parametrize(
    ("raw", "expected"),
    [('"\\ud83d\\ude00"', "\U0001f600"), ('"a\\ud83d"', "a\ufffd"), ('"\\ude00b"', "\ufffdb"), ("12",
    "12"), ("1.50", "1.50"),
     ("true", ""), ("null", ""), ("[1]", ""), ("1e5", "1e5"), ('"\\u0000"', "\0")],
)  # fmt: skip
def test_text_of_every_kind(raw: str, expected: str) -> None:
    assert text(decoded(raw)) == expected


def test_a_field_is_found_under_any_of_its_names() -> None:
    assert pick({"a": 1, "b": 2}, "a", "b") == 1
    assert pick({"a": None, "b": 2}, "a", "b") == 2
    assert pick({"Success": True}, "success") is True
    assert pick({"SUCCESS": 1, "success": 2}, "success") == 2
    assert pick({}, "a") is None


PARSERS = [
    parse_country,
    parse_provider,
    parse_product,
    parse_booking,
    parse_order,
    parse_sms,
    parse_sim_card,
]
FIELDS = sorted(
    {
        field
        for path in SAMPLES.glob("*.json")
        for row in [json.loads(path.read_text())]
        for each in (row if isinstance(row, list) else [row])
        if isinstance(each, dict)
        for field in each
    }
)


@given(row=st.dictionaries(st.sampled_from(FIELDS), JSON), id=st.integers(1, 10**9))
def test_no_field_loses_a_row_that_has_an_id(row: dict[str, object], id: int) -> None:
    for parse in (parse_country, parse_provider, parse_product, parse_booking):
        record = parse(row | {"id": id})
        assert record is not None
        assert record.id == id
    order = parse_order({"id": id, "bookings": [], "date": row.get("date"), "priceInUSD": row.get("priceInUSD")})
    assert order is not None


@given(row=st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_row_raises(row: dict[str, object]) -> None:
    for parse in PARSERS:
        parse(row)


@pytest.mark.parametrize("id", [None, 0, -1, "x", "", True, 1.5, [], LARGEST_ID + 1])
def test_a_row_without_a_usable_id_is_no_row(id: object) -> None:
    assert [parse({"id": id}) for parse in (parse_country, parse_product, parse_booking, parse_order)] == [None] * 4


def test_network_0_means_any_network() -> None:
    assert parse_provider({"id": 0, "name": "Any"}) == Provider(0, "Any", None)


def test_a_booking_does_not_pass_for_an_order() -> None:
    booking = json.loads((SAMPLES / "booking.json").read_text())
    assert parse_order(booking) is None
    assert parse_order({"id": 65}) == Order(65, None, None, ())


def test_bookings_are_taken_from_the_field_that_has_rows() -> None:
    rows = [{"id": 1}, {"id": "x"}, 5]
    for fields in (
        {"bookings": [], "orderBookings": rows},
        {"orderBookings": None, "bookings": rows},
        {"bookings": rows[0]},
    ):
        order = parse_order({"id": 9, **fields})
        assert order is not None
        assert [booking.id for booking in order.bookings] == [1]


def test_a_sim_card_is_known_by_its_number() -> None:
    assert parse_sim_card({"country": "Germany"}) is None
    assert parse_sim_card({"number": 49123}) == SimCard("49123", "", "", "", None, None)


def test_an_sms_without_any_of_its_fields_is_no_sms() -> None:
    assert parse_sms({"id": 5}) is None
    found = parse_sms({"messageText": ""})
    assert found is not None
    assert found.text == ""
