"""The order sheet of a product: what can be bought, for how much, and why not; and the way back to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.db.models import prefetch_related_objects
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from ..live import topics
from ..models import Product, Purchase
from ..purchases import intents
from ..purchases.intents import MOST_NUMBERS
from ..wording import usd
from .access import product_for
from .panels import Context, Panel
from .parameters import money_of, text_of, whole_of

NOTE_LENGTH = 200


@dataclass(frozen=True)
class Typed:
    """What stands in the form. `price` is that of one number, as the person saw it."""

    token: str
    amount: str = "1"
    provider: str = "0"
    note: str = ""
    price: Decimal | None = None

    @classmethod
    def fresh(cls, request: HttpRequest, product: Product) -> Typed:
        """A form of its own, prefilled by the URL."""
        return cls(
            token=str(uuid4()),
            amount=str(amount_of(request)),
            provider=str(whole_of(request.GET, "provider") or 0),
            note=text_of(request.GET, "note", NOTE_LENGTH),
            price=product.price_usd,
        )

    @classmethod
    def sent(cls, form: QueryDict) -> Typed:
        return cls(
            token=text_of(form, "token", 36),
            amount=text_of(form, "amount", 10),
            provider=text_of(form, "provider", 20),
            note=text_of(form, "note", 1000),
            price=money_of(form, "price"),
        )

    @property
    def whole_amount(self) -> int | None:
        """The amount as a number; None for what is none."""
        return int(self.amount) if self.amount.isascii() and self.amount.isdecimal() else None


@dataclass(frozen=True)
class Again:
    """Where the same is ordered once more, or why it cannot be."""

    url: str = ""
    reason: str = ""


def shown_product(request: HttpRequest, pk: int) -> Product:
    """The product with its account and offers, read once in the life of the request. Raises Http404."""
    known: dict[int, Product] = request.__dict__.setdefault("_products", {})
    if pk not in known:
        known[pk] = product_for(request, pk)
        prefetch_related_objects([known[pk]], "offers")
    return known[pk]


def again_of_product(product: Product, amount: int = 1, provider_id: int = 0, note: str = "") -> Again:
    """The product's order form with these already in it."""
    if not product.on_sale or product.price_usd is None:
        return Again(reason="ANOSIM does not offer this product any more.")
    values: dict[str, Any] = {"amount": amount, "provider": provider_id, "note": note}
    query = urlencode({name: value for name, value in values.items() if value})
    return Again(url=f"{reverse('product', args=[product.pk])}?{query}#order")


def again_of_purchase(purchase: Purchase) -> Again:
    """For an order of ours: product, amount, provider and note as they were."""
    return again_of_product(purchase.product, purchase.amount, purchase.provider_id, purchase.note)


def again_of_bookings(account_id: int, bookings: Sequence[Any]) -> Again:
    """For numbers bought elsewhere (bookings, or rows of them): the product on sale that is like them. One query."""
    if not bookings:
        return Again()
    first = bookings[0]
    alike = Product.objects.filter(
        account=account_id, country=first.country, rental_type=first.rental_type, service=first.service, on_sale=True
    ).exclude(price_usd=None)
    if first.duration_minutes is not None:
        alike = alike.filter(duration_minutes=first.duration_minutes)
    product = alike.order_by("price_usd", "pk").first()
    if product is None:
        return Again(reason="ANOSIM does not offer this product any more.")
    return again_of_product(product, min(len(bookings), MOST_NUMBERS), note=getattr(first, "note", ""))


def again_of_order(purchase: Purchase | None, account_id: int, bookings: Sequence[Any]) -> Again:
    """Of an order's page: as our purchase was, or like the numbers that it has."""
    if purchase is not None and purchase.kind == Purchase.Kind.ORDER:
        return again_of_purchase(purchase)
    return again_of_bookings(account_id, bookings)


def sums_of(product: Product, left: Decimal | None, amount: int) -> Context:
    """What so many cost, what stays of balance and cap, and what of these does not suffice."""
    account, total = product.account, (product.price_usd or Decimal(0)) * amount
    balance, cap = account.balance_usd, account.order_cap_usd
    short = ""
    if balance is not None and balance < total:
        short = _("The balance of %(balance)s is not enough.") % {"balance": usd(balance)}
    elif left is not None and left < total:
        short = _("Only %(left)s of the cap is left today.") % {"left": usd(left)}
    elif cap is not None and cap < total:
        short = _("That is above the cap of %(cap)s for one purchase.") % {"cap": usd(cap)}
    return {
        "amount": amount,
        "total": total,
        "balance_after": None if balance is None else balance - total,
        "left_after": None if left is None else left - total,
        "short": short,
    }


def _build_sheet(request: HttpRequest, pk: int) -> Context:
    product = shown_product(request, pk)
    offers = list(product.offers.all())
    providers = [offer for offer in offers if offer.remote_id]
    free = next((offer.available for offer in offers if offer.remote_id == 0), None)
    counts = [offer.available for offer in offers]
    reason = intents.why_not_buy(request.user, product)  # type: ignore[arg-type]
    if not reason and counts and all(count is not None and count <= 0 for count in counts):
        reason = _("No number is free at the moment. Read the free numbers again, or choose another product.")
    left = intents.left_today(request.user, product.account)  # type: ignore[arg-type]
    return {
        "product": product,
        "providers": sorted(providers, key=lambda each: (-(each.available or 0), each.name, each.remote_id)),
        "free": sum(each.available or 0 for each in providers) if free is None and counts else free,
        "reason": reason,
        "balance": product.account.balance_usd,
        "left": left,
        "order_cap": product.account.order_cap_usd,
        **sums_of(product, left, amount_of(request)),
    }


def amount_of(request: HttpRequest) -> int:
    """The amount that the URL asks the form to begin with."""
    return min(max(whole_of(request.GET, "amount") or 1, 1), MOST_NUMBERS)


# What of the sheet moves while somebody types stands in a part of the form that holds nothing typed.
SHEET = Panel("sheet", (topics.CATALOG, topics.BALANCE, topics.PURCHASES), _build_sheet)
