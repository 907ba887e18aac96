"""Reading a provider over real HTTP: what the windows showed is what the database holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.anosim import BadKey
from dashboard.models import Account, Booking, Order, Product, SimCard, Sms, SmsGap, SyncState, TopicVersion
from dashboard.sandbox import Sandbox
from dashboard.sync import health, outcomes

from .provider import KINDS, account_at, differences, read, read_until_done

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_budget")]
WILD = {"all": 0.3, "other-paths": 0.0, "late-bookings": 0.0, "unknown-states": 0.2}


@pytest.fixture
def quick_budget(settings: Any, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    settings.ANOSIM_MAX_CALLS_PER_SECOND = 50


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, size={"orders": 20, "bookings": 45, "sms": 150}) as server:
        yield server


def test_everything_the_windows_showed_is_stored_once_with_exact_prices(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    assert differences(account, sandbox) == []
    assert Sms.objects.count() == 150
    assert Order.objects.count() == 20
    account.refresh_from_db()
    assert account.balance_usd == sandbox.world.balance
    assert Product.objects.filter(on_sale=True).count() > 300
    assert SimCard.objects.filter(in_use=True).exists()


def test_wild_shapes_and_a_tenth_of_faulty_reads_change_nothing_of_it() -> None:
    faults = {"mixed": {"rate": 0.1, "only": "reads"}}
    with Sandbox(seed=5, size={"orders": 20, "bookings": 45, "sms": 150}, wild=WILD, faults=faults) as sandbox:
        account = account_at(sandbox)
        read_until_done(account)
        assert differences(account, sandbox) == []


def test_reading_again_adds_and_changes_nothing(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    before = {model: list(model.objects.order_by("pk").values()) for model in (Order, Booking, Sms, SimCard, Product)}
    SyncState.objects.update(body_digest="")
    for kind in KINDS:
        read(account, kind)
    assert {model: list(model.objects.order_by("pk").values()) for model in before} == before


def test_a_body_equal_to_the_last_one_writes_nothing_but_its_own_row(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    read(account, "sms")
    with CaptureQueriesContext(connection) as queries:
        read(account, "sms")
    writes = [query["sql"] for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert writes
    assert all("dashboard_syncstate" in sql for sql in writes)


def test_two_equal_messages_stay_two_and_a_third_makes_three(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    booking = sandbox.world.running()[0]
    at = sandbox.world.now()
    sandbox.world.receive_sms(booking.id, "Same words", "Same", times=2, at=at)
    read_until_done(account)
    same = Sms.objects.filter(text="Same words")
    assert same.count() == 2
    sandbox.world.receive_sms(booking.id, "Same words", "Same", at=at)
    read(account, "sms")
    assert same.count() == 3


def test_a_booking_knows_its_newest_message_and_how_many_it_has(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    for booking in Booking.objects.all():
        mine = Sms.objects.filter(booking=booking)
        assert booking.sms_count == mine.count()
        assert booking.newest_sms == mine.newest().first()


def test_a_burst_beyond_the_window_is_filled_from_the_bookings_own_lists(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    running = sandbox.world.running()
    for number in range(260):
        sandbox.world.receive_sms(running[number % len(running)].id, f"Burst {number}", "Flood")
    read(account, "sms")
    assert Sms.objects.filter(sender="Flood").count() == 100
    assert SmsGap.objects.open().count() == 1
    read_until_done(account)
    assert Sms.objects.filter(sender="Flood").count() == 260
    assert not SmsGap.objects.open().exists()
    assert not SmsGap.objects.filter(lost=True).exists()


def test_a_gap_that_cannot_be_filled_is_kept_and_shown(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    booking = sandbox.world.running()[0]
    start = sandbox.world.now()
    for number in range(250):
        sandbox.world.receive_sms(booking.id, f"Flood {number}", "Flood", at=start + timedelta(seconds=number))
    read_until_done(account)
    assert Sms.objects.filter(sender="Flood").count() == 100
    assert SmsGap.objects.filter(lost=True).count() == 1


def test_a_message_whose_booking_is_not_known_yet_finds_it_later(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    product = next(iter(sandbox.world.products))
    order = sandbox.world.order(product)
    booking_id = order.bookings[0]
    sandbox.world.receive_sms(booking_id, "Early bird", "Early")
    read(account, "sms")
    assert Sms.objects.get(text="Early bird").booking is None
    read(account, "orders")
    found = Sms.objects.get(text="Early bird").booking
    assert found is not None
    assert found.remote_id == booking_id
    assert found.newest_sms is not None


def test_what_leaves_the_window_stays(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    before = set(Order.objects.values_list("remote_id", flat=True))
    sandbox.world.balance += 10_000
    for product in [each.id for each in sandbox.world.products.values() if each.providers[0].available][:110]:
        sandbox.world.order(product)
    read(account, "orders")
    assert before < set(Order.objects.values_list("remote_id", flat=True))


def test_a_running_row_without_price_keeps_the_price_and_link_that_are_known(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read(account, "orders")
    known = {row.remote_id: (row.price_usd, row.order_id) for row in Booking.objects.all()}
    read(account, "current_bookings")
    now = {row.remote_id: (row.price_usd, row.order_id) for row in Booking.objects.filter(remote_id__in=known)}
    assert now == known


def test_a_booking_that_ends_is_read_once_more(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    booking = Booking.objects.filter(rental_type="Activation").running().first()
    assert booking is not None
    sandbox.world.close(sandbox.world.find_booking(booking.remote_id), "Ended")
    read(account, "bookings")
    booking.refresh_from_db()
    assert booking.state == "Ended"
    assert booking.sms_wanted_at is not None
    assert booking.runs_until <= timezone.now()


def test_an_older_answer_that_arrives_late_changes_nothing(sandbox: Sandbox) -> None:
    from dashboard.sync.clients import client_for
    from dashboard.sync.save_bookings import save_bookings

    account = account_at(sandbox)
    read_until_done(account)
    booking = Booking.objects.running().first()
    assert booking is not None
    asked_at = timezone.now()
    old = client_for(account).bookings()
    sandbox.world.close(sandbox.world.find_booking(booking.remote_id), "Ended")
    read(account, "bookings")
    save_bookings(account, old, asked_at)
    booking.refresh_from_db()
    assert booking.state == "Ended"


def test_what_moved_moves_the_topics_and_nothing_else_does(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)

    def versions() -> dict[str, int]:
        return dict(TopicVersion.objects.values_list("topic", "version"))

    before = versions()
    for kind in KINDS:
        read(account, kind)
    assert versions() == before
    sandbox.world.receive_sms(sandbox.world.running()[0].id, "Hello", "Somebody")
    read(account, "sms")
    after = versions()
    assert {topic for topic in after if after[topic] != before.get(topic)} == {"sms", "bookings"}


def test_a_wrong_key_is_told_in_words_and_tried_seldom(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    account.api_key = "not-the-key-0123456789"
    account.save()
    state = read(account, "balance")
    account.refresh_from_db()
    assert account.key_ok is False
    assert state.error
    assert "not-the-key" not in state.error + account.key_verdict
    assert health.stale_sentences([account]) == [f"{account.name}: {account.key_verdict}"]
    read(account, "balance")
    account.refresh_from_db()
    assert account.breaker_until is not None
    assert account.breaker_until > timezone.now() + timedelta(minutes=10)


def test_a_refusal_of_a_key_that_was_replaced_meanwhile_says_nothing_of_the_new_one(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    late = SyncState.objects.select_related("account").get(account=account, kind="orders")
    account.api_key = "the-new-key-0123456789"
    account.save()
    outcomes.failed(late, BadKey("ANOSIM does not accept the key."))
    account.refresh_from_db()
    assert (account.key_ok, account.breaker_until, account.breaker_failures) == (None, None, 0)


def test_a_provider_that_is_down_opens_the_breaker_and_its_return_closes_it(sandbox: Sandbox) -> None:
    from dashboard.sync import schedule

    account = account_at(sandbox)
    read_until_done(account)
    sandbox.go_down()
    for _ in range(5):
        state = read(account, "current_bookings")
    assert state.failures == 5
    assert state.error_since is not None
    account.refresh_from_db()
    assert account.breaker_until is not None
    SyncState.objects.update(due_at=timezone.now())
    assert list(schedule.claim_due()) == []
    sandbox.come_back()
    Account.objects.update(breaker_until=timezone.now())
    SyncState.objects.update(due_at=timezone.now())
    probes = [SyncState.objects.get(pk=pk).kind for pk, _ in schedule.claim_due()]
    assert probes == ["balance"]
    read(account, "balance")
    assert Account.objects.get().breaker_until is None
    assert not SyncState.objects.filter(due_at__gt=timezone.now()).exists()


def test_a_429_silences_the_account_for_as_long_as_it_says_and_is_no_failure() -> None:
    with Sandbox(seed=3, faults={"throttle-before": 1.0}, retry_after="number") as sandbox:
        account = account_at(sandbox)
        state = read(account, "balance")
        calls = len(sandbox.calls)
        assert state.error_kind == "throttled"
        assert state.failures == 0
        assert read(account, "orders").error_kind == "throttled"
        assert len(sandbox.calls) == calls


def test_a_run_that_was_claimed_anew_meanwhile_notes_nothing(sandbox: Sandbox) -> None:
    from dashboard.sync import runs, schedule

    account = account_at(sandbox)
    state = SyncState.objects.get(account=account, kind="balance")
    first = SyncState.objects.claim(state, timezone.now() + schedule.CLAIM)
    assert first is not None
    assert SyncState.objects.claim(state, timezone.now() + schedule.CLAIM) is None
    state.refresh_from_db()
    second = SyncState.objects.claim(state, timezone.now() + schedule.CLAIM)
    assert second is not None
    assert runs.run(state.pk, first) == "passed"
    assert runs.run(state.pk, second) != "passed"
    assert runs.run(state.pk, second) == "passed"


def test_a_booking_wanted_while_the_lists_are_being_read_is_read_next(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboard.sync import runs

    account = account_at(sandbox)
    read_until_done(account)
    close = runs._close_gaps

    def meanwhile(account: Account) -> Any:
        """Another worker saves a new booking after this one has seen that none is wanted."""
        Booking.objects.filter(account=account).update(sms_wanted_at=timezone.now())
        SyncState.objects.hurry(account.pk, "booking_sms")
        return close(account)

    monkeypatch.setattr(runs, "_close_gaps", meanwhile)
    state = read(account, "booking_sms")
    assert not state.error
    assert state.due_at <= timezone.now()


def test_a_sandbox_that_knows_our_key_is_never_told_it_in_a_url(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    assert not [call for call in sandbox.calls if sandbox.key in str(call)]


def test_a_booking_whose_time_the_first_window_covers_is_not_asked_for_its_own_list(sandbox: Sandbox) -> None:
    account = account_at(sandbox)
    read_until_done(account)
    oldest = min(row.at for row in sandbox.world.last_sms())
    asked = {int(call["path"].rsplit("/", 1)[1]) for call in sandbox.calls if call["path"].count("/Sms/")}
    covered = {row.remote_id for row in Booking.objects.filter(starts_at__gt=oldest + timedelta(minutes=2))}
    assert covered
    assert asked
    assert not covered & asked
    assert differences(account, sandbox) == []
