"""Reads that a person asked for: a product's free numbers, a test of a key."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from anosim_dashboard import shared_clock

from ..anosim import AnosimError, BadKey, check_base_url
from ..encryption import CannotUnseal
from ..live import topics
from ..models import Account, Product
from . import schedule
from .clients import client_for, stopped
from .save_balance import save_balance
from .save_catalogue import save_offers

# Two people who open a product at once cost one call.
JUST_READ = timedelta(seconds=3)

__all__ = ["check_base_url", "refresh_product", "test_key"]


def refresh_product(product_id: int) -> str:
    """Read a product's providers and free counts; what went wrong is noted on the product. One word for the log."""
    product = Product.objects.select_related("account").filter(pk=product_id).first()
    if product is None:
        return "gone"
    asked_at = shared_clock.now()
    if product.offers_at is not None and asked_at - product.offers_at < JUST_READ:
        return "fresh"
    try:
        stopped(product.account)
        record = client_for(product.account).product(product.remote_id)
    except (AnosimError, CannotUnseal) as error:
        with transaction.atomic():
            words = error.text if isinstance(error, AnosimError) else str(error)
            Product.objects.filter(pk=product.pk).update(offers_error=words[:400], offers_at=asked_at)
            topics.touch(product.account_id, topics.CATALOG)
        return "failed"
    with transaction.atomic():
        changes = save_offers(product, record, asked_at)
        topics.touch(product.account_id, *changes.topics)
    return "read"


def test_key(account_id: int) -> str:
    """Ask for the balance with the account's key and note the verdict: the balance, or the provider's words."""
    account = Account.objects.filter(pk=account_id).first()
    if account is None:
        return "gone"
    asked_at = shared_clock.now()
    mine = Account.objects.filter(pk=account.pk, sealed_key=account.sealed_key)
    try:
        balance = client_for(account).balance()
    except (AnosimError, CannotUnseal) as error:
        words = error.text if isinstance(error, AnosimError) else str(error)
        ok = False if isinstance(error, BadKey | CannotUnseal) else None
        with transaction.atomic():
            mine.update(key_ok=ok, key_verdict=words[:400], key_checked_at=asked_at)
            topics.touch(account.pk, topics.SYNC)
        return "failed"
    with transaction.atomic():
        mine.update(
            key_ok=True,
            key_verdict=f"The key works. The balance is ${balance:,.2f}.",
            key_checked_at=asked_at,
            breaker_until=None,
            breaker_failures=0,
        )
        changes = save_balance(account, balance, asked_at)
        schedule.ensure_states()
        schedule.read_all_now(account.pk)
        topics.touch(account.pk, topics.SYNC, *changes.topics)
    return "works"
