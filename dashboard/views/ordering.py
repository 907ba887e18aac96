"""The form that buys: POST writes the purchase and rings the worker's bell, and never waits for the provider."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from anosim_dashboard import shared_clock

from .. import audit, tasks
from ..dispatch import enqueue
from ..models import Offer, Product, Purchase
from ..purchases import intents
from ..purchases.intents import MOST_NUMBERS, Declined, Wish
from .buying import NOTE_LENGTH, Typed, shown_product
from .catalog import product_page
from .parameters import whole_of

# Free numbers read within this time are believed when a form is sent; of older ones the provider knows better.
BELIEVED = timedelta(minutes=5)
SEND_WITHIN = 30  # seconds that the bell may lie in the queue; the sweeper rings again


@require_http_methods(["GET", "HEAD", "POST"])
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """Write the purchase and ring the worker's bell; what is declined comes back as the form, with the reason."""
    product = shown_product(request, pk)
    if request.method != "POST":
        # Reloaded, or kept as a bookmark after a form that was declined.
        return HttpResponseRedirect(reverse("product", args=[pk]))
    typed = Typed.sent(request.POST)
    created: list[Purchase] = []

    def note_it(purchase: Purchase) -> None:
        created.append(purchase)
        audit.record(request, "purchase.asked", purchase, details_of(purchase))

    try:
        purchase = intents.queue(_wish(request, product, typed), also=note_it)
    except Declined as declined:
        audit.record(request, "purchase.declined", product, _asked(product, typed) | {"reason": declined.text})
        return _declined(request, product, typed, declined)
    if not created:
        messages.info(request, _("This form was sent before. It was bought once; this is how it stands."))
    elif not enqueue(tasks.send_purchase, str(purchase.pk), expires=SEND_WITHIN):
        messages.info(request, _("The queue is away for a moment. Your order is written down and goes out by itself."))
    return HttpResponseRedirect(reverse("purchase", args=[purchase.pk]), status=303)


def details_of(purchase: Purchase) -> dict[str, Any]:
    """What the audit keeps of a purchase."""
    return {
        "purchase": str(purchase.pk),
        "kind": purchase.kind,
        "product": purchase.product.remote_id,
        "amount": purchase.amount,
        "provider": purchase.provider_id,
        "price_usd": str(purchase.price_usd),
        "note": purchase.note,
    }


def _asked(product: Product, typed: Typed) -> dict[str, Any]:
    """What the audit keeps of a form that was declined."""
    amount = typed.whole_amount
    price = None if typed.price is None or amount is None else str(typed.price * amount)
    return {"kind": Purchase.Kind.ORDER, "product": product.remote_id, "amount": amount, "price_usd": price}


def _wish(request: HttpRequest, product: Product, typed: Typed) -> Wish:
    """The form as a wish. Raises Declined for what is no number, no provider, no token or no price."""
    amount, provider_id = typed.whole_amount, whole_of(request.POST, "provider")
    if amount is None:
        raise Declined(f"Between 1 and {MOST_NUMBERS} numbers can be ordered at once.", "amount")
    try:
        token = UUID(typed.token)
    except ValueError:
        raise Declined("This form was not whole. Nothing was bought; try again.", "token") from None
    if len(typed.note) > NOTE_LENGTH:
        raise Declined(f"A note has at most {NOTE_LENGTH} characters; this one has {len(typed.note)}.", "note")
    if typed.price is None:
        raise Declined("The form did not say the price. Nothing was bought.", "price")
    offers = {offer.remote_id: offer for offer in product.offers.all()}
    if provider_id is None or (provider_id and provider_id not in offers):
        raise Declined("Choose one of the providers.", "provider")
    chosen = offers.get(provider_id)
    # The same form again is the same purchase, also when its numbers were the last ones.
    is_new = not Purchase.objects.filter(token=token).exists()
    if is_new and 1 <= amount <= MOST_NUMBERS and (reason := _too_few(product, chosen, amount)):
        raise Declined(reason, "amount")
    return Wish(
        user=request.user,  # type: ignore[arg-type]
        product=product,
        price=typed.price * amount,
        token=token,
        amount=amount,
        provider_id=provider_id,
        provider_name=chosen.name if chosen and provider_id else "",
        note=typed.note,
    )


def _too_few(product: Product, offer: Offer | None, amount: int) -> str:
    """Why there are not so many numbers, as far as is known well enough."""
    if offer is None or offer.available is None or offer.available >= amount:
        return ""
    if product.offers_at is None or shared_clock.now() - product.offers_at > BELIEVED:
        return ""
    where = f" at {offer.name}" if offer.remote_id and offer.name else ""
    if offer.available <= 0:
        return f"No number is free{where} now. Nothing was bought."
    return f"Only {offer.available} {'is' if offer.available == 1 else 'are'} free{where} now. Nothing was bought."


def _declined(request: HttpRequest, product: Product, typed: Typed, declined: Declined) -> HttpResponse:
    """The product's page with everything typed kept. The price in the form is the one to confirm now."""
    token = str(uuid4()) if declined.field == "token" else typed.token
    # Read again: the price may have moved since the form was made.
    kept = Typed(token, typed.amount, typed.provider, typed.note[: 2 * NOTE_LENGTH], product.price_usd)
    return product_page(request, product.pk, kept, declined, status=422)
