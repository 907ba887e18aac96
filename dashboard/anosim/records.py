"""What the provider tells us, as frozen records, and the tolerant functions that read one field each.

A field that makes no sense becomes None or "" and never loses its row; only a row without an id is no row.
Unknown states, rental types and countries stay as they came (anosim-api.md, BOOKING and wild fact 4).
Money is Decimal (US dollars), times are aware UTC.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Generic, TypeVar

T = TypeVar("T")
Row = Mapping[str, object]

LARGEST_ID = 2**63 - 1  # what a database column for whole numbers holds
LONGEST_MINUTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Country:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Provider:
    """A network operator that offers a product; id 0 is "any"."""

    id: int
    name: str
    available: int | None


@dataclass(frozen=True, slots=True)
class Product:
    """`providers` is filled by the call for one product only (#4)."""

    id: int
    country: str
    rental_type: str
    service: str
    duration_minutes: int | None
    price: Decimal | None
    providers: tuple[Provider, ...] = ()


@dataclass(frozen=True, slots=True)
class Booking:
    """`extends` is the id of the booking that this one extends. Rows of #12 have neither it nor a price."""

    id: int
    number: str
    country: str
    rental_type: str
    service: str
    starts_at: datetime | None
    ends_at: datetime | None
    duration_minutes: int | None
    price: Decimal | None
    state: str
    extends: int | None
    auto_renewal: bool | None


@dataclass(frozen=True, slots=True)
class Order:
    id: int
    ordered_at: datetime | None
    price: Decimal | None
    bookings: tuple[Booking, ...]


@dataclass(frozen=True, slots=True)
class Sms:
    """Number, sender and text exactly as decoded; `stamp` is the raw time, part of the message's identity."""

    number: str
    sender: str
    text: str
    stamp: str
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class SimCard:
    number: str
    country: str
    rental_type: str
    service: str
    starts_at: datetime | None
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class AutoRenewal:
    success: bool
    message: str
    affected: int | None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One answer that is a list.

    `total` counts the rows of the answer, readable or not; `digest` is the SHA-256 of the body in hex, so
    that an answer equal to the last one can be recognised; `server_time` is the answer's Date header.
    """

    rows: tuple[T, ...]
    total: int
    unreadable: int
    digest: str
    server_time: datetime | None


def text(value: object) -> str:
    """Text as it came, untrimmed. Numbers become their digits; null, booleans, lists, objects become ""."""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return ""


def _storable(value: str) -> str:
    # JSON can spell half of a surrogate pair, which no database and no UTF-8 encoder takes.
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


_MONEY = re.compile(r"(-?[0-9]{1,10})(?:\.([0-9]{1,2})0*)?")


def money(value: object, *, below_zero: bool = False) -> Decimal | None:
    """US dollars with two decimals from a JSON number or from text (wild fact 1).

    None for everything else: NaN, exponents, signs, thousands separators, parts of a cent, more than ten
    digits before the point, and amounts below zero unless `below_zero`. A float is refused, as it is no
    longer exact. Zeros after the second decimal ("1.4300", as some databases print money) change nothing and
    are taken.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    if isinstance(value, int) and abs(value) >= 10**10:
        return None
    match = _MONEY.fullmatch(str(value).strip(" \t\r\n"))
    if match is None:
        return None
    amount = Decimal(f"{match[1]}.{(match[2] or '').ljust(2, '0')}") + 0  # "+ 0" turns -0.00 into 0.00
    return None if amount < 0 and not below_zero else amount


_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:[.,]([0-9]{1,12}))?[ ]?(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2}))?"
)


def instant(value: object) -> datetime | None:
    """An ISO time as aware UTC, cut (not rounded) to microseconds; without a zone it is UTC (wild fact 4).

    None for everything else, also for years outside 1970 to 9998: the provider's platform writes year 1 and
    year 9999 for "no date", and such times cannot be shown in every time zone.
    """
    match = _INSTANT.fullmatch(value.strip(" \t\r\n")) if isinstance(value, str) else None
    if match is None:
        return None
    fraction = (match[7] or "")[:6].ljust(6, "0")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    offset = timedelta(hours=int(match[10] or 0), minutes=int(match[11] or 0))
    try:
        zone = timezone(-offset if match[9] == "-" else offset)
        moment = datetime(year, month, day, hour, minute, second, int(fraction), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if 1970 <= moment.year <= 9998 else None


def integer(value: object, low: int = 0, high: int = LARGEST_ID) -> int | None:
    """A whole number from a JSON number or from digits, if it lies within low and high; None otherwise."""
    whole: Decimal | int
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value.strip()):
        whole = int(value)
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        whole = value
    else:
        return None
    if isinstance(whole, Decimal) and not whole.is_finite():
        return None
    return int(whole) if low <= whole <= high and whole % 1 == 0 else None


def flag(value: object) -> bool | None:
    """True or False from a boolean, 1 or 0, or their names as text; None otherwise."""
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "false": False, "0": False}.get(text(value).strip().lower())


def pick(row: Row, *names: str) -> object:
    """The first of the named fields that holds something; the exact name first, then in any case."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    folded = {name.lower(): value for name, value in row.items() if value is not None}
    return next((folded[name.lower()] for name in names if name.lower() in folded), None)


def parse_country(row: Row) -> Country | None:
    id = integer(pick(row, "id"), low=1)
    return None if id is None else Country(id, text(pick(row, "country", "name")))


def parse_provider(row: Row) -> Provider | None:
    id = integer(pick(row, "id"))
    if id is None:
        return None
    return Provider(id, text(pick(row, "name")), integer(pick(row, "availableCount"), high=LONGEST_MINUTES))


def parse_product(row: Row) -> Product | None:
    id = integer(pick(row, "id"), low=1)
    if id is None:
        return None
    providers = (parse_provider(each) for each in _inner_rows(pick(row, "provider", "providers")))
    return Product(
        id=id,
        country=text(pick(row, "country")),
        rental_type=text(pick(row, "rentalType")),
        service=text(pick(row, "service")),
        duration_minutes=integer(pick(row, "durationInMinutes"), high=LONGEST_MINUTES),
        price=money(pick(row, "price", "priceInUSD")),
        providers=tuple(each for each in providers if each is not None),
    )


def parse_booking(row: Row) -> Booking | None:
    id = integer(pick(row, "id"), low=1)
    if id is None:
        return None
    return Booking(
        id=id,
        number=text(pick(row, "number")),
        country=text(pick(row, "country")),
        rental_type=text(pick(row, "rentalType")),
        service=text(pick(row, "service")),
        starts_at=instant(pick(row, "startDate")),
        ends_at=instant(pick(row, "endDate")),
        duration_minutes=integer(pick(row, "durationInMinutes"), high=LONGEST_MINUTES),
        price=money(pick(row, "priceInUSD", "price")),
        state=text(pick(row, "state")),
        extends=integer(pick(row, "extentionForId", "extensionForId"), low=1),
        auto_renewal=flag(pick(row, "autoRenewal", "isAutoRenewal")),
    )


def parse_order(row: Row) -> Order | None:
    """An order; its bookings are named `bookings` or `orderBookings` (wild fact 3), whichever has rows."""
    id = integer(pick(row, "id"), low=1)
    inner = [_inner_rows(pick(row, name)) for name in ("bookings", "orderBookings")]
    # A booking has an id too: without this, one that stands where an order belongs would pass for an order.
    if id is None or (not any(inner) and pick(row, "number", "startDate", "endDate") is not None):
        return None
    bookings = (parse_booking(each) for each in (inner[0] or inner[1]))
    return Order(
        id=id,
        ordered_at=instant(pick(row, "date")),
        price=money(pick(row, "priceInUSD", "price")),
        bookings=tuple(each for each in bookings if each is not None),
    )


def parse_sms(row: Row) -> Sms | None:
    """SMS carry no id (wild fact 7); a row that has none of the four fields is no SMS."""
    number, stamp = pick(row, "simCardNumber"), pick(row, "messageDate")
    sender, words = pick(row, "messageSender"), pick(row, "messageText")
    if number is None and stamp is None and sender is None and words is None:
        return None
    return Sms(text(number), text(sender), text(words), text(stamp), instant(stamp))


def parse_sim_card(row: Row) -> SimCard | None:
    """SIM cards carry no id either; the number is what they are known by."""
    number = text(pick(row, "number"))
    if not number:
        return None
    return SimCard(
        number=number,
        country=text(pick(row, "country")),
        rental_type=text(pick(row, "rentalType")),
        service=text(pick(row, "service")),
        starts_at=instant(pick(row, "inUseStart")),
        ends_at=instant(pick(row, "inUseEnd")),
    )


def parse_auto_renewal(row: Row) -> AutoRenewal | None:
    success = flag(pick(row, "Success"))
    if success is None:
        return None
    affected = integer(pick(row, "AffectedOrderBookingsCount"), high=LONGEST_MINUTES)
    return AutoRenewal(success, text(pick(row, "Message")), affected)


def _inner_rows(value: object) -> list[Row]:
    rows = [value] if isinstance(value, Mapping) else value
    return [each for each in rows if isinstance(each, Mapping)] if isinstance(rows, list) else []
