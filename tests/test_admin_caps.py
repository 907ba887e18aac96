"""What admins say about spending: the stop, the caps, and what the workers write that they must not undo."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.models import Account, AuditEvent, Membership, Purchase, PurchaseStep

from . import admin_panel
from .admin_panel import change_url
from .factories import make_booking, make_product


@pytest.fixture
def panel(client: Client, admin: Any, confirmed: Callable[[Client], None]) -> Client:
    client.force_login(admin)
    confirmed(client)
    return client


def form_of(account: Account, **fields: Any) -> dict[str, Any]:
    """The form of an account with its caps as they are."""
    caps = {name: getattr(account, name) for name in ("order_cap_usd", "daily_cap_usd")}
    shown = {name: "" if cap is None else str(cap) for name, cap in caps.items()}
    return admin_panel.form_of(account, **{**shown, **fields})


def test_the_stop_and_the_caps_are_set_and_on_record(panel: Client, account: Account, admin: Any) -> None:
    form = form_of(account, spending_stopped="on", order_cap_usd="5", daily_cap_usd="20.50")
    assert panel.post(change_url(account), form).status_code == 302
    account.refresh_from_db()
    assert (account.spending_stopped, account.order_cap_usd, account.daily_cap_usd) == (
        True,
        Decimal(5),
        Decimal("20.50"),
    )
    event = AuditEvent.objects.get()
    assert (event.action, event.user) == ("account.spending", admin)
    assert event.details == {"spending_stopped": True, "order_cap_usd": "5", "daily_cap_usd": "20.50"}
    panel.post(change_url(account), form_of(account, order_cap_usd="", daily_cap_usd=""))
    account.refresh_from_db()
    assert (account.spending_stopped, account.order_cap_usd, account.daily_cap_usd) == (False, None, None)


@pytest.mark.parametrize("cap", ["-1", "NaN", "1e99", "0.001", "much"])
def test_a_cap_that_is_none_is_refused(panel: Client, account: Account, cap: str) -> None:
    assert panel.post(change_url(account), form_of(account, daily_cap_usd=cap)).status_code == 200
    account.refresh_from_db()
    assert account.daily_cap_usd is None


def test_a_person_has_a_cap_of_their_own_in_an_account(panel: Client, account: Account, operator: Any) -> None:
    member = Membership.objects.get(user=operator)
    row = {
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": str(member.pk),
        "memberships-0-user": str(operator.pk),
        "memberships-0-account": str(account.pk),
        "memberships-0-role": "operator",
    }
    panel.post(change_url(account), {**form_of(account), **row, "memberships-0-daily_cap_usd": "12.00"})
    member.refresh_from_db()
    assert member.daily_cap_usd == Decimal("12.00")
    assert AuditEvent.objects.get().details == {"person": "operator", "role": "operator", "daily_cap_usd": "12.00"}
    answer = panel.post(change_url(account), {**form_of(account), **row, "memberships-0-daily_cap_usd": "-1"})
    assert answer.status_code == 200
    member.refresh_from_db()
    assert member.daily_cap_usd == Decimal("12.00")


@pytest.mark.parametrize("fields", [{"name": "Renamed"}, {"daily_cap_usd": "9.00"}, {"enabled": ""}, {}])
def test_saving_writes_no_column_that_the_workers_write(
    panel: Client, account: Account, fields: dict[str, str]
) -> None:
    workers = ("balance_usd", "balance_at", "breaker_failures", "breaker_until", "key_ok", "key_verdict")
    until = timezone.now() + timedelta(minutes=3)
    Account.objects.update(balance_usd=77, breaker_failures=4, breaker_until=until, key_ok=True, key_verdict="Fine.")
    with CaptureQueriesContext(connection) as captured:
        assert panel.post(change_url(account), form_of(account, **fields)).status_code == 302
    written = [each["sql"] for each in captured.captured_queries if 'UPDATE "dashboard_account"' in each["sql"]]
    for sql in written:
        columns = sql.partition(" WHERE ")[0]
        assert not [name for name in (*workers, "sealed_key") if f'"{name}"' in columns]
    stored = Account.objects.get()
    assert (stored.balance_usd, stored.breaker_failures, stored.breaker_until) == (Decimal(77), 4, until)


def test_purchases_and_their_steps_are_there_to_read(panel: Client, account: Account, operator: Any) -> None:
    purchase = Purchase.objects.create(
        account=account,
        kind="extend",
        product=make_product(account),
        booking=make_booking(account),
        requested_by=operator,
        price_usd=Decimal("1.43"),
        target="booking 1",
    )
    step = PurchaseStep.objects.create(purchase=purchase, new="queued", words="Asked for.", by=operator)
    for base, row in (("purchase", purchase.pk), ("purchasestep", step.pk)):
        url = f"/admin/dashboard/{base}/"
        assert "queued" in panel.get(url).content.decode().lower()
        assert panel.get(f"{url}{row}/change/").status_code == 200
        assert panel.post(f"{url}{row}/change/", {"status": "confirmed"}).status_code == 403
        assert panel.post(f"{url}{row}/delete/", {"post": "yes"}).status_code == 403
        assert panel.get(f"{url}add/").status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [str(row)], "post": "yes"}
        panel.post(url, chosen)
    assert Purchase.objects.get().status == "queued"
    assert PurchaseStep.objects.count() == 1


def test_only_admins_read_them(client: Client, account: Account, manager: Any) -> None:
    client.force_login(manager)
    assert client.get("/admin/dashboard/purchase/").status_code == 404
    assert client.get("/admin/dashboard/purchasestep/").status_code == 404
