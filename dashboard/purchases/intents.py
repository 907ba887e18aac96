"""What a person wants to buy, written down: checked against rights, caps and the price that they saw."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from ..live import topics
from ..models import Account, Booking, Membership, Product, Purchase, PurchaseStep, User
from ..models.purchases import day_start
from . import transitions
from .failpoints import reach

MOST_NUMBERS = 20
Kind = Purchase.Kind


class Declined(Exception):
    """We do not even try: `text` says why, in a sentence for the form; `field` names the field that is meant."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.field = field


@dataclass(frozen=True)
class Wish:
    """A form that was sent: `price` is the total (USD) that the person saw on the button."""

    user: User
    product: Product
    price: Decimal
    token: UUID
    amount: int = 1
    provider_id: int = 0
    provider_name: str = ""
    note: str = ""
    kind: str = Kind.ORDER
    booking: Booking | None = None
    minutes: int | None = None


def may_spend(user: User, account_id: int) -> bool:
    """Operators and managers of the account, and admins."""
    if not user.is_active:
        return False
    roles = (Membership.Role.OPERATOR, Membership.Role.MANAGER)
    return user.is_superuser or Membership.objects.filter(user=user, account_id=account_id, role__in=roles).exists()


def queue(wish: Wish) -> Purchase:
    """Write the purchase; the same token gives the same purchase, however often and from however many tabs it comes.

    Committed when this returns; the caller rings the worker's bell. Raises Declined.
    """
    known = Purchase.objects.filter(token=wish.token, requested_by=wish.user).first()
    if known is not None:
        return known
    _check(wish)
    purchase = _purchase(wish)
    try:
        with transaction.atomic(durable=True):
            _reserve(wish)
            purchase.save(force_insert=True)
            PurchaseStep.objects.create(purchase=purchase, new=purchase.status, words="Asked for.", by=wish.user)
            topics.touch(purchase.account_id, topics.PURCHASES)
            reach("queue:before-commit")
    except IntegrityError:
        # The same form, a moment earlier.
        return Purchase.objects.get(token=wish.token, requested_by=wish.user)
    reach("queue:after-commit")
    return purchase


def withdraw(purchase: Purchase, user: User) -> bool:
    """Take back a purchase that is still waiting; false once it is on its way."""
    return transitions.move(purchase, Purchase.Status.CANCELLED, "Taken back before anything was sent.", by=user)


def _purchase(wish: Wish) -> Purchase:
    target = f"product {wish.product.remote_id}" if wish.booking is None else f"booking {wish.booking.remote_id}"
    return Purchase(
        token=wish.token,
        account=wish.product.account,
        kind=wish.kind,
        requested_by=wish.user,
        product=wish.product,
        booking=wish.booking,
        target=target,
        amount=wish.amount,
        provider_id=wish.provider_id,
        provider_name=wish.provider_name[:80],
        minutes=wish.minutes,
        price_usd=wish.price,
        note=wish.note.strip()[:200],
    )


def _check(wish: Wish) -> None:
    account, product = wish.product.account, wish.product
    if not may_spend(wish.user, account.pk):
        raise Declined("Your role in this account does not allow buying.")
    if not account.enabled:
        raise Declined(f"{account.name} is paused: nothing is bought.")
    if account.spending_stopped:
        raise Declined(f"Spending is stopped for {account.name}. An admin can switch it on again.")
    if not product.on_sale or product.price_usd is None:
        raise Declined("ANOSIM does not offer this product any more.")
    if not 1 <= wish.amount <= MOST_NUMBERS:
        raise Declined(f"Between 1 and {MOST_NUMBERS} numbers can be ordered at once.", "amount")
    if wish.price != product.price_usd * wish.amount:
        now = product.price_usd * wish.amount
        raise Declined(f"The price has changed: it is ${now:,.2f} now. Nothing was bought.", "price")
    if account.balance_usd is not None and account.balance_usd < wish.price:
        raise Declined(f"The balance of ${account.balance_usd:,.2f} is not enough for ${wish.price:,.2f}.")
    if wish.booking is not None:
        _check_booking(wish.booking, wish.kind)


def _check_booking(booking: Booking, kind: str) -> None:
    if kind == Kind.EXTEND and (reason := why_not_extend(booking)):
        raise Declined(reason)
    if kind == Kind.REUSE and (reason := why_not_reuse(booking)):
        raise Declined(reason)


def why_not_extend(booking: Booking) -> str:
    """Why this booking cannot be extended; nothing if it can (anosim-api.md #16)."""
    if booking.rental_type.lower() == "activation":
        return "Only rentals can be extended."
    if booking.is_closed or booking.runs_until <= timezone.now():
        return "The booking has ended."
    return ""


def why_not_reuse(booking: Booking) -> str:
    """Why this number cannot be ordered again; nothing if it can (anosim-api.md #15)."""
    if booking.rental_type.lower() != "activation" or "kleinanzeigen" not in booking.service.lower():
        return "ANOSIM only lets an Activation of Kleinanzeigen be used again."
    return ""


def _reserve(wish: Wish) -> None:
    """Hold the price against every cap, in the transaction that queues: two at the edge cannot both pass.

    The account's row is locked first (PostgreSQL; SQLite has one writer), so that the sums are of all committed ones.
    """
    account = Account.objects.select_for_update(of=("self",)).get(pk=wish.product.account_id)
    if account.order_cap_usd is not None and wish.price > account.order_cap_usd:
        raise Declined(f"${wish.price:,.2f} is above the cap of ${account.order_cap_usd:,.2f} for one purchase.")
    today = Purchase.objects.filter(account=account, created_at__gte=day_start(timezone.now())).counted()
    _within("of the account", account.daily_cap_usd, today.sum(), wish.price)
    mine = Membership.objects.filter(user=wish.user, account=account).first()
    if mine is not None:
        _within("of yours", mine.daily_cap_usd, today.filter(requested_by=wish.user).sum(), wish.price)


def _within(whose: str, cap: Decimal | None, spent: Decimal, price: Decimal) -> None:
    if cap is not None and spent + price > cap:
        left = max(cap - spent, Decimal(0))
        raise Declined(f"${price:,.2f} is above what is left of the daily cap {whose}: ${left:,.2f} of ${cap:,.2f}.")
