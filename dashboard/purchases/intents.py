"""What a person wants to buy, written down: checked against rights, caps and the price that they saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from ..access_rules import Rule, may
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


def queue(wish: Wish, also: Callable[[Purchase], object] | None = None) -> Purchase:
    """Write the purchase; the same token gives the same purchase, however often and from however many tabs it comes.

    Committed when this returns, with what `also` writes about a new purchase; the caller rings the worker's bell.
    Raises Declined.
    """
    known = _by_token(wish)
    if known is not None:
        return known
    _check(wish)
    purchase = _purchase(wish)
    try:
        with transaction.atomic(durable=True):
            account = Account.objects.select_for_update(of=("self",)).get(pk=wish.product.account_id)
            # Asked again now that the account is ours: the same form may have come a moment earlier.
            known = _by_token(wish)
            if known is not None:
                return known
            _reserve(wish, account)
            purchase.save(force_insert=True)
            PurchaseStep.objects.create(purchase=purchase, new=purchase.status, words="Asked for.", by=wish.user)
            if also is not None:
                also(purchase)
            topics.touch(purchase.account_id, topics.PURCHASES)
            reach("queue:before-commit")
    except IntegrityError:
        # The same form, a moment earlier.
        known = _by_token(wish)
        if known is None:
            raise
        return known
    reach("queue:after-commit")
    return purchase


def withdraw(purchase: Purchase, user: User, also: Callable[[], object] | None = None) -> bool:
    """Take back a purchase that is still waiting, with what `also` writes; false once it is on its way."""
    if purchase.status != Purchase.Status.QUEUED:
        return False
    words = "Taken back before anything was sent."
    return transitions.move(purchase, Purchase.Status.CANCELLED, words, by=user, inside=also)


def _by_token(wish: Wish) -> Purchase | None:
    """The purchase that this form already is. Somebody else's form is declined, whatever it holds."""
    known = Purchase.objects.filter(token=wish.token).first()
    if known is not None and known.requested_by_id != wish.user.pk:
        raise Declined("This form was sent by somebody else already. Nothing was bought; try again.", "token")
    return known


def _purchase(wish: Wish) -> Purchase:
    return Purchase(
        token=wish.token,
        account=wish.product.account,
        kind=wish.kind,
        requested_by=wish.user,
        product=wish.product,
        booking=wish.booking,
        target=_target(wish),
        amount=wish.amount,
        provider_id=wish.provider_id,
        provider_name=wish.provider_name[:80],
        minutes=wish.minutes,
        price_usd=wish.price,
        note=wish.note.replace("\x00", "").strip()[:200],
    )


def _target(wish: Wish) -> str:
    """What the call could be confused with: an extension names its booking; an order and a reuse are told apart from
    others only by what was bought, so products that look alike in a list of orders are one target."""
    if wish.kind == Kind.EXTEND and wish.booking is not None:
        return f"booking {wish.booking.remote_id}"
    product = wish.product
    alike = Product.objects.like_product(product).order_by("remote_id").values_list("remote_id", flat=True)
    return f"product {alike.first() or product.remote_id}"


def _check(wish: Wish) -> None:
    account, product = wish.product.account, wish.product
    if reason := why_not_buy(wish.user, product):
        raise Declined(reason)
    if not 1 <= wish.amount <= MOST_NUMBERS:
        raise Declined(f"Between 1 and {MOST_NUMBERS} numbers can be ordered at once.", "amount")
    now = (product.price_usd or Decimal(0)) * wish.amount
    if wish.price != now:
        raise Declined(f"The price has changed: it is ${now:,.2f} now. Nothing was bought.", "price")
    if account.balance_usd is not None and account.balance_usd < wish.price:
        raise Declined(f"The balance of ${account.balance_usd:,.2f} is not enough for ${wish.price:,.2f}.")
    if wish.kind != Kind.ORDER:
        _check_booking(wish)


def why_not_buy(user: User, product: Product) -> str:
    """Why this person cannot buy this product now, whatever the amount; nothing if they can."""
    account = product.account
    if not may(user, Rule.BUY, account.pk):
        return "Your role in this account does not allow buying."
    if not account.enabled:
        return f"{account.name} is paused: nothing is bought."
    if not account.sealed_key:
        return f"{account.name} has no API key. An admin can put one in."
    if account.spending_stopped:
        return f"Spending is stopped for {account.name}. An admin can switch it on again."
    if not product.on_sale or product.price_usd is None:
        return "ANOSIM does not offer this product any more."
    return ""


def _check_booking(wish: Wish) -> None:
    """An extension or a reuse is about one booking of the account, and about a product that is like it."""
    booking, product = wish.booking, wish.product
    if booking is None or booking.account_id != product.account_id:
        raise Declined("The booking is not one of this account. Nothing was bought.")
    if reason := why_not_extend(booking) if wish.kind == Kind.EXTEND else why_not_reuse(booking):
        raise Declined(reason)
    if wish.amount != 1:
        raise Declined("One booking is extended or used again at a time.", "amount")
    pairs = (
        (booking.country, product.country),
        (booking.service, product.service),
        (booking.rental_type, product.rental_type),
    )
    if any(mine and mine != theirs for mine, theirs in pairs):
        raise Declined("This product is not the one of the booking. Nothing was bought.")
    if wish.kind == Kind.EXTEND and (not wish.minutes or wish.minutes != product.duration_minutes):
        raise Declined("ANOSIM does not sell this length. Nothing was bought.", "minutes")


def why_not_extend(booking: Booking) -> str:
    """Why this booking cannot be extended; nothing if it can (anosim-api.md #16)."""
    if booking.rental_type.lower() == "activation":
        return "Only rentals can be extended."
    if booking.extends is not None:
        return "This is an extension itself: extend the booking that it belongs to."
    if booking.is_closed or booking.runs_until <= timezone.now():
        return "The booking has ended."
    return ""


def why_not_reuse(booking: Booking) -> str:
    """Why this number cannot be ordered again; nothing if it can (anosim-api.md #15)."""
    if booking.rental_type.lower() != "activation" or "kleinanzeigen" not in booking.service.lower():
        return "ANOSIM only lets an Activation of Kleinanzeigen be used again."
    return ""


def _reserve(wish: Wish, account: Account) -> None:
    """Hold the price against every cap, in the transaction that queues: two at the edge cannot both pass.

    The caller has locked the account's row (PostgreSQL; SQLite has one writer), so the sums are of all committed ones.
    """
    if account.order_cap_usd is not None and wish.price > account.order_cap_usd:
        raise Declined(f"${wish.price:,.2f} is above the cap of ${account.order_cap_usd:,.2f} for one purchase.")
    for whose, cap, spent in _daily_caps(wish.user, account):
        _within(whose, cap, spent, wish.price)


def left_today(user: User, account: Account) -> Decimal | None:
    """USD that this person may still spend in the account today; None without a cap. At most three queries."""
    lefts = [max(cap - spent, Decimal(0)) for _, cap, spent in _daily_caps(user, account)]
    return min(lefts, default=None)


def _daily_caps(user: User, account: Account) -> Iterator[tuple[str, Decimal, Decimal]]:
    """The caps that are set: whose, how much, and what of it is spent today."""
    today = Purchase.objects.filter(account=account, created_at__gte=day_start(timezone.now())).counted()
    if account.daily_cap_usd is not None:
        yield "of the account", account.daily_cap_usd, today.sum()
    mine = Membership.objects.filter(user=user, account=account).first()
    if mine is not None and mine.daily_cap_usd is not None:
        yield "of yours", mine.daily_cap_usd, today.filter(requested_by=user).sum()


def _within(whose: str, cap: Decimal, spent: Decimal, price: Decimal) -> None:
    if spent + price > cap:
        left = max(cap - spent, Decimal(0))
        raise Declined(f"${price:,.2f} is above what is left of the daily cap {whose}: ${left:,.2f} of ${cap:,.2f}.")
