from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from ..live.topics import BALANCE
from ..models import Account, BalanceReading
from .changes import Changes


def save_balance(account: Account, balance: Decimal, asked_at: datetime) -> Changes:
    """Note the balance (USD) that an answer asked for at `asked_at` showed. An older answer changes nothing."""
    mine = Account.objects.filter(pk=account.pk).exclude(balance_at__gt=asked_at)
    before = mine.values_list("balance_usd", flat=True).first()
    if not mine.update(balance_usd=balance, balance_at=asked_at) or before == balance:
        return Changes()
    hour = asked_at.replace(minute=0, second=0, microsecond=0)
    BalanceReading.objects.update_or_create(account=account, hour=hour, defaults={"balance_usd": balance})
    return Changes(changed=1, topics={BALANCE})
