"""The text of an SMS goes after the account's own span, for good; the row and its fingerprint stay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard import retention, tasks
from dashboard.models import Account, Booking, Sms, SyncState
from dashboard.sandbox import Sandbox
from dashboard.sync import runs, schedule
from tests.factories import make_account, make_booking, make_sms, make_sync_states


@pytest.fixture
def booking(account: Account) -> Booking:
    return make_booking(account)


def keep(account: Account, days: int | None) -> None:
    Account.objects.filter(pk=account.pk).update(sms_kept_days=days, retention_due_at=None)


def old(booking: Booking, days: float, **fields: Any) -> Sms:
    return make_sms(booking, received_at=timezone.now() - timedelta(days=days), **fields)


def test_nothing_is_blanked_where_no_span_is_set(booking: Booking) -> None:
    old(booking, 4000)

    assert retention.due() == []
    assert retention.blank_old_texts(booking.account_id) == 0
    assert Sms.objects.get().text == "Your code is 482913"


def test_text_and_code_of_what_is_older_go_and_the_row_stays(booking: Booking) -> None:
    gone, kept = old(booking, 31), old(booking, 29)
    keep(booking.account, 30)

    assert retention.blank_old_texts(booking.account_id) == 1

    gone.refresh_from_db()
    kept.refresh_from_db()
    assert (gone.text, gone.code) == ("", "")
    assert gone.blanked_at is not None
    assert (gone.sender, gone.number, gone.booking_id) == ("Google", booking.number, booking.pk)
    assert (kept.text, kept.code, kept.blanked_at) == ("Your code is 482913", "482913", None)


def test_only_the_account_that_asks_for_it_loses_texts(booking: Booking) -> None:
    foreign = old(make_booking(make_account("Other")), 400)
    keep(booking.account, 1)

    retention.blank_old_texts(booking.account_id)

    foreign.refresh_from_db()
    assert foreign.text


def test_many_texts_of_one_second_go_in_chunks_and_each_once(booking: Booking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 3)
    moment = timezone.now() - timedelta(days=9)
    for _ in range(8):
        make_sms(booking, received_at=moment)
    keep(booking.account, 7)

    assert retention.blank_old_texts(booking.account_id) == 8
    assert not Sms.objects.exclude(text="").exists()
    assert retention.blank_old_texts(booking.account_id) == 0


def test_two_ticks_claim_an_account_once_and_the_next_day_again(booking: Booking) -> None:
    keep(booking.account, 30)

    assert retention.due() == [booking.account_id]
    assert retention.due() == []
    retention.blank_old_texts(booking.account_id)
    assert retention.due() == []

    yesterday = timezone.now() - timedelta(minutes=1)
    Account.objects.filter(pk=booking.account_id).update(retention_due_at=yesterday)
    assert retention.due() == [booking.account_id]


def test_a_run_that_died_is_done_again_after_its_lease(booking: Booking) -> None:
    keep(booking.account, 30)
    retention.due()

    due_at = Account.objects.get(pk=booking.account_id).retention_due_at
    assert due_at is not None
    assert timezone.now() < due_at <= timezone.now() + retention.LEASE


def test_the_tick_hands_it_to_a_worker(booking: Booking, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[tuple[int, ...]] = []
    monkeypatch.setattr(tasks.blank_old_texts, "apply_async", lambda args, **options: handed.append(args))
    for other in (tasks.read, tasks.look_for_alerts):
        monkeypatch.setattr(other, "apply_async", lambda *args, **options: None)
    keep(booking.account, 30)

    tasks.tick()

    assert handed == [(booking.account_id,)]


def test_an_admin_who_shortens_the_span_has_it_done_at_once(
    client: Any, admin: Any, account: Account, confirmed: Any
) -> None:
    Account.objects.filter(pk=account.pk).update(
        sms_kept_days=90, retention_due_at=timezone.now() + timedelta(hours=20)
    )
    client.force_login(admin)
    confirmed(client)
    url = f"/admin/dashboard/account/{account.pk}/change/"
    form = client.get(url).context["adminform"].form
    values = {name: form.initial.get(name) or "" for name in form.fields} | {"sms_kept_days": "30"}
    values |= {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0", "enabled": "on"}
    values.pop("spending_stopped")

    assert client.post(url, values).status_code == 302
    assert retention.due() == [account.pk]


def test_pages_say_that_a_text_was_removed(client: Any, viewer: Any, booking: Booking) -> None:
    old(booking, 31)
    keep(booking.account, 30)
    client.force_login(viewer)
    assert "Your code is" in client.get("/inbox/").content.decode()
    retention.blank_old_texts(booking.account_id)
    for path in ("/inbox/", "/", f"/bookings/{booking.pk}/"):
        content = client.get(path).content.decode()
        assert "Its text was removed" in content, path
        assert "482913" not in content
    # What is no longer there is not found either.
    assert "Its text was removed" not in client.get("/inbox/?q=482913").content.decode()


@pytest.mark.django_db
def test_the_next_read_does_not_bring_a_blanked_text_back_nor_store_an_old_one() -> None:
    with Sandbox(seed=3, size={"orders": 4, "bookings": 6, "sms": 30}) as sandbox:
        account = make_account(api_key=sandbox.key, base_url=sandbox.url)
        make_sync_states(account, last_success_at=None, due_at=timezone.now())
        state = SyncState.objects.get(account=account, kind=SyncState.Kind.SMS)
        _read(state)
        count = Sms.objects.count()
        assert count > 20
        newest = Sms.objects.newest()[0]
        span = timezone.now() - newest.received_at
        keep(account, max(1, span.days))
        blanked = retention.blank_old_texts(account.pk)
        assert blanked > 0

        _read(state)

        assert Sms.objects.count() == count
        assert Sms.objects.filter(text="").count() == blanked
        # The archive of a second copy of this account begins with the same span: old texts never come in.
        Sms.objects.all().delete()
        _read(state)
        assert Sms.objects.filter(text="").exclude(blanked_at=None).count() == blanked
        assert Sms.objects.filter(text="").exclude(code="").count() == 0


def _read(state: SyncState) -> None:
    SyncState.objects.filter(pk=state.pk).update(due_at=timezone.now(), body_digest="", reading=False)
    state.refresh_from_db()
    run = SyncState.objects.claim(state, timezone.now() + schedule.CLAIM)
    assert run is not None
    runs.run(state.pk, run)
