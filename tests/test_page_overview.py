"""The overview: figures that are true in the person's zone, what runs, newest messages, health, access, cost, size."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.local_time import Clock
from dashboard.models import Account, BalanceReading, Membership, SyncState, User
from dashboard.views.sparkline import points

from .factories import make_account, make_booking, make_order, make_sms, make_sync_states
from .query_plans import sorts, statements_of, whole_reads

# Session, person, accounts seen, accounts, versions, next end, sync rows (frame), sync rows (figures), readings,
# running counts, spent today, spent this month, running, newest.
QUERIES = 16
STATIC = Path(__file__).parent.parent / "static"


@pytest.fixture
def page(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def stats_of(page: Client) -> dict[str, tuple[str, str]]:
    """Figure and footnote by the label of each stat, without markup."""
    content = page.get("/").content.decode()
    found = re.findall(r'class="stat"[^>]*><span>([^<]*)</span>(<b.*?</b>)(.*?)</(?:a|div)>\n', content, re.S)
    plain = [re.sub(r"<svg.*?</svg>|<span[^>]* hidden.*?</span>|<[^>]+>|\s+(?=\s)", "", part, flags=re.S).strip()
             for stat in found for part in stat]  # fmt: skip
    return {plain[at]: (plain[at + 1], plain[at + 2]) for at in range(0, len(plain), 3)}


def test_the_figures_of_one_account(page: Client, account: Account) -> None:
    now = timezone.now()
    account.balance_usd = Decimal("3418.40")
    account.save()
    make_sync_states(account, last_success_at=now - timedelta(seconds=6), pace_seconds=60)
    make_order(account, price_usd=Decimal("40.00"))
    make_order(account, price_usd=Decimal("2.16"))
    make_sms(make_booking(account, ends_at=now + timedelta(days=3)))
    make_booking(account)
    make_booking(account, state="Ended", ends_at=now - timedelta(minutes=1))
    stats = stats_of(page)
    assert stats["Balance"][0] == "$3,418.40"
    assert re.match(r"read \d+ s ago", stats["Balance"][1])
    assert stats["Running numbers"] == ("2", "1 waits for an SMS · 1 ends within the hour")
    assert stats["Spent today"][0] == "$42.16"
    assert stats["Sync"][0] == "All current"
    assert re.match(r"SMS \d+ s · bookings \d+ s · orders \d+ s", stats["Sync"][1])


def test_the_balance_is_the_sum_of_the_accounts_and_as_old_as_the_oldest(
    page: Client, account: Account, foreign_account: Account, viewer: User
) -> None:
    other = make_account("Other", balance_usd=Decimal("0.10"))
    Membership.objects.create(user=viewer, account=other, role="viewer")
    for each, usd in ((account, "10.05"), (foreign_account, "500")):
        each.balance_usd = Decimal(usd)
        each.save()
    old = timezone.now() - timedelta(minutes=5)
    make_sync_states(account, pace_seconds=600)
    make_sync_states(other, pace_seconds=600, last_success_at=old)
    assert stats_of(page)["Balance"] == ("$10.15", "read 5 min ago")


def test_spending_follows_the_calendar_of_the_person(page: Client, account: Account, viewer: User) -> None:
    viewer.time_zone = "Pacific/Auckland"
    viewer.save()
    clock = Clock(timezone.now(), ZoneInfo("Pacific/Auckland"))
    second = timedelta(seconds=1)
    make_order(account, ordered_at=clock.day_start(), price_usd=Decimal("1"))
    make_order(account, ordered_at=clock.day_start() - second, price_usd=Decimal("10"))
    make_order(account, ordered_at=clock.month_start() - second, price_usd=Decimal("100"))
    month = "$11.00" if clock.day_start() > clock.month_start() else "$1.00"
    assert stats_of(page)["Spent today"] == ("$1.00", f"{month} this month")


def test_what_is_not_current_is_named_with_since_when(page: Client, account: Account) -> None:
    make_sync_states(account, pace_seconds=2)
    since = timezone.now() - timedelta(minutes=10)
    SyncState.objects.filter(kind="sms").update(last_success_at=since, error="The provider does not answer.")
    figure, note = stats_of(page)["Sync"]
    assert figure == "Not current"
    assert note.startswith("SMS, since ")
    assert "The provider does not answer." in page.get("/").content.decode()


def test_before_the_first_read_nothing_is_called_current(page: Client, account: Account) -> None:
    stats = stats_of(page)
    assert stats["Sync"][0] == "Not read yet"
    assert stats["Balance"] == ("–", "not read yet")


def test_a_paused_account_is_called_paused(page: Client, account: Account) -> None:
    make_sync_states(account)
    Account.objects.update(enabled=False)
    assert stats_of(page)["Sync"][0] == "Paused"


def test_a_figure_is_not_called_old_while_the_page_still_gets_answers(page: Client, account: Account) -> None:
    make_sync_states(account, pace_seconds=2)
    content = page.get("/").content.decode()
    moments = [datetime.fromisoformat(text) for text in re.findall(r'data-stale-after="([^"]*)"', content)]
    assert len(moments) == 2
    assert min(moments) > timezone.now() + timedelta(seconds=80)


def test_a_dozen_of_what_runs_stands_there_the_soonest_end_first(page: Client, account: Account) -> None:
    now = timezone.now()
    made = [make_booking(account, ends_at=now + timedelta(minutes=30 - at)).pk for at in range(14)]
    content = page.get("/").content.decode()
    shown = [int(pk) for pk in re.findall(r'id="booking-(\d+)" data-row', content)]
    assert shown == made[::-1][:12]
    assert "All running bookings" in content


def test_the_newest_messages_stand_there(page: Client, account: Account) -> None:
    booking = make_booking(account)
    made = [make_sms(booking, received_at=timezone.now() - timedelta(seconds=at)).pk for at in range(10)]
    shown = re.findall(r'id="sms-(\d+)"', page.get("/").content.decode())
    assert shown == [str(pk) for pk in made[:8]]


def test_an_empty_overview_says_what_to_do(page: Client, client: Client, stranger: User, account: Account) -> None:
    content = page.get("/").content.decode()
    assert "No number runs now" in content
    assert "No SMS yet" in content
    client.force_login(stranger)
    assert "Ask an admin" in client.get("/").content.decode()


def test_an_admin_without_an_account_is_led_to_make_one(
    client: Client, admin: User, confirmed: Callable[[Client], None]
) -> None:
    client.force_login(admin)
    confirmed(client)
    content = client.get("/").content.decode()
    link = re.search(r'href="(/admin/[^"]*add/)"', content)
    assert link
    assert client.get(link.group(1)).status_code == 200


def test_nothing_of_a_foreign_account_is_seen(page: Client, account: Account, foreign_account: Account) -> None:
    Account.objects.filter(pk=foreign_account.pk).update(balance_usd=Decimal("777"))
    BalanceReading.objects.create(account=foreign_account, hour=timezone.now(), balance_usd=1)
    make_order(foreign_account, price_usd=Decimal("55"))
    make_sms(make_booking(foreign_account), "foreign text")
    make_sync_states(foreign_account, last_success_at=timezone.now() - timedelta(days=1))
    stats = stats_of(page)
    assert stats["Balance"][0] == "–"
    assert stats["Running numbers"][0] == "0"
    assert stats["Spent today"] == ("$0.00", "$0.00 this month")
    content = page.get("/").content.decode()
    assert "foreign text" not in content
    assert "Elsewhere" not in content
    assert "<polyline" not in content


def test_who_is_not_signed_in_is_sent_to_the_sign_in(client: Client, db: None) -> None:
    assert client.get("/").headers["Location"] == "/accounts/login/?next=/"


def test_the_page_costs_the_same_queries_whatever_there_is(page: Client, account: Account) -> None:
    make_sync_states(account)
    counts = []
    for rows in (10, 50):
        for _ in range(rows):
            make_sms(make_booking(account))
            make_order(account)
        counts.append(len(statements_of(page, "/")))
    assert counts == [QUERIES, QUERIES]


@pytest.mark.parametrize("accounts", [1, 3])
def test_no_table_is_read_whole(page: Client, account: Account, viewer: User, accounts: int) -> None:
    all_accounts = [account]
    for _ in range(accounts - 1):
        all_accounts.append(make_account())
        all_accounts[-1].memberships.create(user=viewer, role="viewer")
    for each in all_accounts:
        for _ in range(100):
            make_sms(make_booking(each))
            make_order(each)
    statements = statements_of(page, "/")
    assert whole_reads(statements) == []
    if accounts == 1:
        assert sorts(statements) == []


def test_the_first_load_is_small(page: Client, account: Account) -> None:
    account.balance_usd = Decimal("3418.40")
    account.save()
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for at in range(200):
        BalanceReading.objects.create(account=account, hour=hour - timedelta(hours=3 * at), balance_usd=at)
    for _ in range(20):
        make_sms(make_booking(account))
    content = page.get("/").content
    paths = set(re.findall(r'(?:src|href|data-worker)="/static/([^"#]+)', content.decode()))
    sizes = [len(gzip.compress((STATIC / path).read_bytes(), 9)) for path in paths]
    # The page itself and its files; the stream is no file.
    assert 1 + len(paths) <= 10
    assert len(gzip.compress(content, 6)) + sum(sizes) <= 100_000


START = datetime(2026, 11, 1, tzinfo=UTC)


def at_hour(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def numbers(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())]


def test_a_line_goes_from_the_first_reading_to_now() -> None:
    readings = [(1, at_hour(0), Decimal(10)), (1, at_hour(360), Decimal(20))]
    assert numbers(points(readings, START, at_hour(720), Decimal(0))) == [(0, 14), (59, 2), (120, 26)]


def test_a_line_has_at_most_sixty_points_and_stays_in_its_box() -> None:
    readings = [(1, at_hour(hour), Decimal(hour * 7919 % 1000)) for hour in range(720)]
    line = numbers(points(readings, START, at_hour(720), Decimal("5")))
    assert len(line) == 60
    assert all(0 <= x <= 120 and 2 <= y <= 26 for x, y in line)
    assert [x for x, _ in line] == sorted(x for x, _ in line)


def test_the_lines_of_accounts_add_up() -> None:
    both = [(1, at_hour(0), Decimal(10)), (2, at_hour(0), Decimal(5)), (1, at_hour(360), Decimal(0))]
    alone = [(1, at_hour(0), Decimal(15)), (1, at_hour(360), Decimal(5))]
    assert points(both, START, at_hour(720), Decimal(9)) == points(alone, START, at_hour(720), Decimal(9))


def test_a_line_without_change_lies_in_the_middle_and_one_point_is_none() -> None:
    readings = [(1, at_hour(0), Decimal(10))]
    assert {y for _, y in numbers(points(readings, START, at_hour(720), Decimal(10)))} == {14}
    assert points(readings, START, at_hour(720), None) == ""
    assert points([], START, at_hour(720), Decimal(1)) == ""
