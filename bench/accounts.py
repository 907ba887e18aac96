"""Several accounts of ours, each at a provider of its own."""

from __future__ import annotations

import time
from typing import Any

from dashboard.sandbox import Sandbox


def accounts_at(sandboxes: list[Sandbox]) -> list[Any]:
    """One at each: at the first is the one that the stack was started with, the others are made."""
    from dashboard.models import Account
    from dashboard.sync import schedule

    accounts = [Account.objects.get()]
    for number, sandbox in enumerate(sandboxes[1:], start=2):
        account = Account(name=f"ANOSIM {number}", base_url=sandbox.url)
        account.api_key = sandbox.key
        account.save()
        accounts.append(account)
    schedule.ensure_states()
    return accounts


def open_accounts(sandboxes: list[Sandbox], patience: float = 180.0) -> list[Any]:
    """The same; returns when every kind of each was read, and no list of a booking is wanted any more.

    Raises AssertionError after `patience` seconds.
    """
    from django.db import close_old_connections

    from dashboard.models import Booking, SyncState
    from dashboard.sync import schedule

    accounts = accounts_at(sandboxes)
    schedule.read_all_now(accounts[0].pk)
    ends = time.monotonic() + patience
    while SyncState.objects.filter(last_success_at=None).exists() or Booking.objects.sms_wanted().exists():
        assert time.monotonic() < ends, "the accounts were not read"
        time.sleep(0.5)
        close_old_connections()
    return accounts


def rent(sandbox: Sandbox, numbers: int) -> None:
    """Rent so many numbers for weeks, elsewhere: they can receive messages from now on."""
    world = sandbox.world
    rentals = [row for row in world.products.values() if row.rental_type == "RentalService" and row.minutes > 10_000]
    for product in (rentals * numbers)[:numbers]:
        for provider in product.providers:
            provider.available = 500
        world.order(product.id)
    world.settle()
