"""What a person does with a booking: extend it, use it again, cancel it, switch its renewal.

GET asks, with what it costs or gives back on the button; POST writes the intent, rings the worker's bell and leads
on at once. A question is a page of its own, or a dialog for a page that asks by script.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from .. import audit, tasks
from ..access_rules import Rule, may
from ..dispatch import enqueue
from ..models import Account, Booking, BookingChange, Product, Purchase
from ..purchases import changing, intents
from ..purchases.intents import Declined, Wish
from ..wording import duration_text, number_text, usd
from .access import account_for, booking_for
from .answering import done, go
from .booking_actions import actions_of, renewal_words
from .parameters import money_of, whole_of

asking_and_acting = require_http_methods(["GET", "HEAD", "POST"])
Kind = BookingChange.Kind


@asking_and_acting
def extend(request: HttpRequest, pk: int) -> HttpResponse:
    """Sell the rental more time, in the lengths of the catalogue. POST: `token`, `product` (pk), `price` (USD)."""
    booking = booking_for(request, pk)
    if request.method != "POST":
        return _ask_extend(request, booking)
    return _buy(request, booking, Purchase.Kind.EXTEND, _ask_extend)


@asking_and_acting
def reuse(request: HttpRequest, pk: int) -> HttpResponse:
    """Order the same number again. POST as in `extend`."""
    booking = booking_for(request, pk)
    if request.method != "POST":
        return _ask_reuse(request, booking)
    return _buy(request, booking, Purchase.Kind.REUSE, _ask_reuse)


@asking_and_acting
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Give an Activation back that heard nothing."""
    booking = booking_for(request, pk)
    if request.method != "POST":
        return _ask_cancel(request, booking)
    return _change(request, booking.account, Kind.CANCEL, booking, _ask_cancel)


@asking_and_acting
def renewal(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch the renewal of one rental. POST: `on`, 1 or 0."""
    booking = booking_for(request, pk)
    if request.method != "POST" or (kind := _renewal_kind(request)) is None:
        return _ask_renewal(request, booking)
    return _change(request, booking.account, kind, booking, _ask_renewal)


@asking_and_acting
def renewal_of_all(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch the renewal of all rentals of an account, for its managers. POST: `on`, 1 or 0."""
    account = account_for(request, pk)
    if request.method != "POST" or (kind := _renewal_kind(request)) is None:
        return _ask_renewal_of_all(request, account)
    return _change(
        request, account, kind, None, lambda request, booking, error: _ask_renewal_of_all(request, account, error)
    )


@require_safe
def menu(request: HttpRequest, pk: int) -> HttpResponse:
    """What a row's menu holds; without scripts the booking's page, which offers the same."""
    booking = booking_for(request, pk)
    if not request.htmx:  # type: ignore[attr-defined]
        return HttpResponseRedirect(reverse("booking", args=[pk]))
    renews = may(request.user, Rule.RENEW, booking.account_id, own=booking.is_of(request.user.pk))
    actions = actions_of(booking, renews=renews)
    context = {"booking": booking, "number_text": number_text(booking.number), "actions": actions}
    return render(request, "dashboard/_booking_menu.html", context)


def _buy(request: HttpRequest, booking: Booking, kind: str, ask: Callable[..., HttpResponse]) -> HttpResponse:
    """Queue the purchase that the form asks for; the same form sent twice leads to the same purchase."""
    token, price = _token(request), money_of(request.POST, "price")
    wanted = Product.objects.like(booking).filter(pk=whole_of(request.POST, "product") or 0)
    product = wanted.select_related("account").first()
    try:
        if token is None or price is None or product is None:
            raise Declined("ANOSIM does not offer this any more. Choose from what stands here now.")
        wish = Wish(
            user=request.user,  # type: ignore[arg-type]
            product=product,
            price=price,
            token=token,
            kind=kind,
            booking=booking,
            minutes=product.duration_minutes if kind == Purchase.Kind.EXTEND else None,
        )
        details = {"kind": kind, "booking": booking.remote_id, "product": product.remote_id, "price_usd": str(price)}
        purchase = intents.queue(wish, lambda new: audit.record(request, "purchase.asked", new, details))
    except Declined as declined:
        refused = {"kind": kind, "price_usd": None if price is None else str(price), "reason": declined.text}
        audit.record(request, "purchase.declined", booking, refused)
        return ask(request, booking, declined.text, token)
    enqueue(tasks.send_purchase, str(purchase.pk))
    return go(request, reverse("purchase", args=[purchase.pk]))


def _change(
    request: HttpRequest, account: Account, kind: str, booking: Booking | None, ask: Callable[..., HttpResponse]
) -> HttpResponse:
    """Queue a change that costs nothing, and show it under way."""

    def record(change: BookingChange) -> None:
        audit.record(request, f"booking.{kind}" if booking else f"account.{kind}", booking or account)

    try:
        change = changing.queue(request.user, account, kind, booking, record)  # type: ignore[arg-type]
    except Declined as declined:
        audit.record(request, "booking.declined", booking or account, {"change": kind, "reason": declined.text})
        return ask(request, booking, declined.text)
    queued = enqueue(tasks.change_booking, change.pk)
    back = reverse("booking", args=[booking.pk]) if booking else reverse("bookings")
    words = (
        _("%(number)s is being cancelled.") % {"number": number_text(booking.number) or _("The booking")}
        if booking
        else ""
    )
    if kind != Kind.CANCEL:
        whose = number_text(booking.number) if booking else _("all rentals of %(account)s") % {"account": account.name}
        on, off = (
            _("Auto-renewal of %(whose)s is being switched on."),
            _("Auto-renewal of %(whose)s is being switched off."),
        )
        words = (on if kind == Kind.RENEWAL_ON else off) % {"whose": whose}
    if not queued:
        words += " " + _("The queue does not answer at the moment: it is done as soon as the workers are back.")
    return done(request, back, words, "info")


def _ask_extend(request: HttpRequest, booking: Booking, error: str = "", token: UUID | None = None) -> HttpResponse:
    reason = intents.why_not_extend(booking)
    products = Product.objects.like(booking).on_sale().exclude(price_usd=None).exclude(duration_minutes=None)
    choices = [] if reason else [_choice(request, booking, product) for product in products.select_related("account")]
    if not reason and not choices:
        reason = _("The catalogue sells no time for this country, type and service at the moment.")
    context = {"reason": reason, "choices": choices, "token": token or uuid4(), "url": _url("extend", booking)}
    return _question(request, "extend", _("Extend the rental"), booking, error, context)


def _choice(request: HttpRequest, booking: Booking, product: Product) -> dict[str, Any]:
    """One length on sale: what it costs, what stays, until when the number then is ours."""
    end = booking.ends_at
    minutes = product.duration_minutes or 0
    return {
        **_priced(request, product),
        "length": duration_text(minutes),
        "end": end and end + timedelta(minutes=minutes),
    }


def _priced(request: HttpRequest, product: Product) -> dict[str, Any]:
    price, balance = product.price_usd or Decimal(0), product.account.balance_usd
    short = balance is not None and balance < price
    user: Any = request.user
    return {
        "product": product,
        "price": price,
        "after": None if balance is None else balance - price,
        "reason": intents.why_not_buy(user, product)
        or (_("The balance is %(balance)s: not enough.") % {"balance": usd(balance)} if short else ""),
    }


def _ask_reuse(request: HttpRequest, booking: Booking, error: str = "", token: UUID | None = None) -> HttpResponse:
    reason = intents.why_not_reuse(booking)
    products = list(Product.objects.like(booking).on_sale().exclude(price_usd=None).select_related("account"))
    same = [product for product in products if product.duration_minutes == booking.duration_minutes] or products
    choice = _priced(request, same[0]) if same and not reason else None
    if choice is None and not reason:
        reason = _("The catalogue does not sell this at the moment.")
    context = {"reason": reason, "choice": choice, "token": token or uuid4(), "url": _url("reuse", booking)}
    return _question(request, "reuse", _("Use the number again"), booking, error, context)


def _ask_cancel(request: HttpRequest, booking: Booking, error: str = "") -> HttpResponse:
    price, balance = booking.price_usd, booking.account.balance_usd
    after = None if price is None or balance is None else balance + price
    context = {"reason": changing.why_not_cancel(booking), "after": after, "url": _url("cancel", booking)}
    return _question(request, "cancel", _("Cancel the booking"), booking, error, context)


def _ask_renewal(request: HttpRequest, booking: Booking, error: str = "") -> HttpResponse:
    context = {
        "reason": changing.why_not_renew(booking),
        "words": renewal_words(booking),
        "url": _url("renewal", booking),
    }
    return _question(request, "renewal", _("Auto-renewal"), booking, error, context)


def _ask_renewal_of_all(request: HttpRequest, account: Account, error: str = "") -> HttpResponse:
    rentals = Booking.objects.of_accounts([account.pk]).running().exclude(rental_type__iexact="activation")
    rentals = rentals.filter(extends=None)
    states = list(rentals.values_list("auto_renewal", flat=True))
    context = {
        "account": account,
        "count": len(states),
        "on": states.count(True),
        "off": states.count(False),
        "untold": states.count(None),
        "last": _last_of_all(account),
        "reason": "" if states else _("No rental runs in this account."),
        "url": reverse("renewal-of-all", args=[account.pk]),
    }
    return _question(
        request,
        "renewal_all",
        _("Auto-renewal of all rentals of %(account)s") % {"account": account.name},
        None,
        error,
        context,
    )


def _last_of_all(account: Account) -> BookingChange | None:
    changes = BookingChange.objects.filter(account=account, booking=None)
    return changes.select_related("requested_by").order_by("-pk").first()


def _question(
    request: HttpRequest, what: str, title: str, booking: Booking | None, error: str, context: dict[str, Any]
) -> HttpResponse:
    """Status 422 when something was declined: nothing was done, and the form stands there again."""
    dialog = bool(request.htmx)  # type: ignore[attr-defined]
    values = {
        "title": title,
        "booking": booking,
        "number_text": number_text(booking.number) if booking else "",
        "back": reverse("booking", args=[booking.pk]) if booking else reverse("bookings"),
        "error": error,
        "dialog": dialog,
        "body": f"dashboard/_ask_{what}.html",
        **context,
    }
    template = "dashboard/_ask_dialog.html" if dialog else "dashboard/ask.html"
    response = render(request, template, values, status=422 if error else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _url(name: str, booking: Booking) -> str:
    return reverse(f"{name}-booking", args=[booking.pk])


def _token(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.POST.get("token", ""))
    except ValueError:
        return None


def _renewal_kind(request: HttpRequest) -> str | None:
    return {"1": Kind.RENEWAL_ON, "0": Kind.RENEWAL_OFF}.get(request.POST.get("on", ""))
