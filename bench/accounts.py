"""Several accounts of ours, each at a provider of its own."""

from __future__ import annotations

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
