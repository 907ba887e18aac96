"""An archive of a given size in the database of this process, written by raw SQL: years of use in seconds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from dashboard import search_index
from dashboard.models import Account, BalanceReading, Booking, Country, Order, SyncState
from dashboard.search_form import document_of

SENDERS = ("Google", "WhatsApp", "Amazon", "PayPal", "Telegram", "+4915112345678", "DHL", "Kleinanzeigen")
SERVICES = ("WhatsApp", "Google, Gmail, Youtube", "Amazon", "Kleinanzeigen", "PayPal", "Telegram", "")
COUNTRIES = ("Germany", "CzechRepublic", "Poland", "Netherlands", "UnitedKingdom")
TEXTS = (
    "Your verification code is {code}. Do not share it with anyone.",
    "{code} ist dein Bestätigungscode. Gib ihn nicht weiter.",
    "<#> {code} is your code. It expires in 10 minutes. 8fj2kLp0aQ",
    "Dein Paket kommt heute zwischen 14 und 16 Uhr. Mehr in der App.",
    "Ваш код подтверждения: {code}. Никому его не сообщайте.",
    "【微信】您的验证码是{code}，五分钟内有效，请勿泄露给他人。",
    "رمز التحقق الخاص بك هو {code}. لا تشاركه مع أي شخص.",
    "Bonjour {name}, votre commande {order} est prête à être retirée.",
    "認証コードは {code} です。他の人には教えないでください。",
    "Twój kod weryfikacyjny to {code}. Kliknij https://ex.am/{order}",
    "{name}, tu código de verificación es {code}",
    "Ihr Termin bei {name} ist am Montag um 9:30 Uhr.",
)
NAMES = (
    "Müller",
    "Smith",
    "Nowak",
    "García",
    "Иванов",
    "王伟",
    "Öztürk",
    "Jørgensen",
    "أحمد",
    "O'Neill",
    "Łukasz",
    "Ng",
)
# What a tenth of the bookings is noted to be for.
NOTES = ("Shop account", "Support phone", "Магазин", "测试账号", "QA run {number}")
RUNNING = 60
RENTAL_DAYS = 3


def clear() -> None:
    """Empty what `fill` fills."""
    search_index.drop(connection)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE dashboard_booking SET newest_sms_id = NULL")
        for name in (
            *("readexception", "readmark", "sms", "booking", "order", "balancereading"),
            *("country", "syncstate", "topicversion", "account"),
        ):
            cursor.execute(f"DELETE FROM dashboard_{name}")


def fill(sms: int, bookings: int, name: str = "Archive") -> Account:
    """An account with so many rows, the newest from now, sixty bookings running; gives the account.

    The index of the search is made anew once they are there, which is quicker than keeping it in step.
    """
    account = Account(name=name, balance_usd="418.60", balance_at=timezone.now(), key_ok=True)
    account.api_key = "bench-key-0123456789"
    account.save()
    now = timezone.now().replace(microsecond=0)
    search_index.drop(connection)
    with transaction.atomic():
        _frame(account, now)
        _insert(Order, _orders(account, bookings, now))
        orders = dict(Order.objects.filter(account=account).values_list("remote_id", "pk"))
        _insert(Booking, _bookings(account, bookings, orders, now))
        mine = Booking.objects.filter(account=account).order_by("remote_id")
        _insert_sms(account, sms, list(mine.values_list("pk", "number")), now)
        _settle(account)
    search_index.ensure()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    return account


def _frame(account: Account, now: datetime) -> None:
    Country.objects.bulk_create(
        Country(account=account, remote_id=number, name=name) for number, name in enumerate(COUNTRIES)
    )
    SyncState.objects.bulk_create(
        SyncState(account=account, kind=kind, last_success_at=now, last_attempt_at=now, pace_seconds=3600)
        for kind in SyncState.Kind.values
    )
    BalanceReading.objects.bulk_create(
        BalanceReading(account=account, hour=now - timedelta(hours=hour), balance_usd=400 + hour % 50)
        for hour in range(720)
    )


def _moment(number: int, count: int, now: datetime) -> datetime:
    """Even over two years, oldest first."""
    return now - timedelta(days=730) * (count - number) / count


def _orders(account: Account, bookings: int, now: datetime) -> Iterator[Order]:
    count = bookings // 2
    for number in range(count):
        at = _moment(number, count, now)
        yield Order(account=account, remote_id=number * 3, ordered_at=at, price_usd="2.86", read_at=now)


def _bookings(account: Account, count: int, orders: dict[int, int], now: datetime) -> Iterator[Booking]:
    rng = random.Random(1)
    for number in range(count):
        starts = _moment(number, count, now)
        runs = number >= count - RUNNING
        ends = now + timedelta(minutes=5 + number % 50) if runs else starts + timedelta(days=RENTAL_DAYS)
        yield Booking(
            account=account,
            remote_id=number * 7,
            order_id=orders[(number // 2) * 3],
            number=f"+49152{number:08d}",
            country=rng.choice(COUNTRIES),
            rental_type="RentalService" if number % 3 else "Activation",
            service=rng.choice(SERVICES),
            starts_at=starts,
            ends_at=ends,
            runs_until=ends if runs else min(ends, now),
            duration_minutes=RENTAL_DAYS * 1440,
            price_usd="1.43",
            state="Active" if runs else "Ended",
            read_at=now,
            first_seen_at=starts,
            note=rng.choice(NOTES).format(number=number) if number % 10 == 0 else "",
        )


def _insert(model: Any, rows: Iterator[Any]) -> None:
    model.objects.bulk_create(list(rows), batch_size=2000)


def _insert_sms(account: Account, count: int, bookings: list[tuple[Any, ...]], now: datetime) -> None:
    names = (
        "account_id, booking_id, number, sender, text, received_at, code, fingerprint, ordinal, seen_at, search_text"
    )
    with connection.cursor() as cursor:
        for first in range(0, count, 20_000):
            rows = _sms(account.pk, first, min(count, first + 20_000), count, bookings, now)
            if connection.vendor == "postgresql":
                with cursor.copy(f"COPY dashboard_sms ({names}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                places = ", ".join(["%s"] * 11)
                cursor.executemany(f"INSERT INTO dashboard_sms ({names}) VALUES ({places})", list(rows))


def _sms(
    account: int, first: int, last: int, count: int, bookings: list[tuple[Any, ...]], now: datetime
) -> Iterator[tuple[Any, ...]]:
    rng = random.Random(first)
    for number in range(first, last):
        at = _moment(number + 1, count, now)
        booking = bookings[number * len(bookings) // count]
        pattern = rng.choice(TEXTS)
        code = f"{rng.randrange(1_000_000):06d}" if "{code}" in pattern else ""
        text = pattern.format(code=code, name=rng.choice(NAMES), order=f"{rng.randrange(36**6):x}")
        sender = rng.choice(SENDERS)
        when = str(at.astimezone(UTC).replace(tzinfo=None)) if connection.vendor == "sqlite" else at
        document = document_of(text, sender, booking[1])
        yield account, booking[0], booking[1], sender, text, when, code, f"{number:064x}", 1, when, document


def _settle(account: Account) -> None:
    """Count and newest message of each booking, as saving keeps them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE dashboard_booking SET sms_count = (SELECT COUNT(*) FROM dashboard_sms s WHERE s.booking_id = "
            "dashboard_booking.id), newest_sms_id = (SELECT s.id FROM dashboard_sms s WHERE s.booking_id = "
            "dashboard_booking.id ORDER BY s.received_at DESC, s.id DESC LIMIT 1) WHERE account_id = %s",
            [account.pk],
        )
