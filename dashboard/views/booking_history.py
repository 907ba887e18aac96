"""What happened to a booking, told by who did it: orders, extensions, cancellations, switched renewals, the SMS."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ..foreign_text import visible
from ..models import Booking, BookingChange, Purchase
from ..sayings import said
from ..wording import duration_text, inline, usd

MOST = 20
DEEDS = {
    Purchase.Kind.ORDER: gettext_noop("%(person)s ordered %(amount)s"),
    Purchase.Kind.EXTEND: gettext_noop("%(person)s extended it by %(length)s"),
    Purchase.Kind.REUSE: gettext_noop("%(person)s used the number again"),
}
Row = dict[str, Any]


def changes_of(booking: Booking) -> list[BookingChange]:
    """The latest changes, newest first. One query."""
    return list(BookingChange.objects.filter(booking=booking).select_related("requested_by").order_by("-pk")[:MOST])


def purchases_of(booking: Booking) -> list[Purchase]:
    """The purchase that brought the booking, and those that extend or reuse it, newest first. One query."""
    about = Q(booking=booking)
    if booking.order_id is not None:
        about |= Q(order=booking.order_id)
    found = Purchase.objects.filter(about).select_related("requested_by", "product").defer("before", "after")
    # Sorted here: asked to sort, SQLite would walk the account's purchases in that order. A booking has few.
    return sorted(found.order_by(), key=lambda each: each.created_at, reverse=True)


def bought_by(booking: Booking, purchases: list[Purchase]) -> Purchase | None:
    """The purchase that brought this booking; None for one that came from elsewhere."""
    if booking.order_id is None:
        return None
    return next((purchase for purchase in purchases if purchase.order_id == booking.order_id), None)


def extensions_of(booking: Booking, purchases: list[Purchase]) -> list[Purchase]:
    """Purchases that extended it, newest first."""
    wanted = (Purchase.Kind.EXTEND, booking.pk, Purchase.Status.CONFIRMED)
    return [each for each in purchases if (each.kind, each.booking_id, each.status) == wanted]


def history_of(booking: Booking, changes: list[BookingChange], purchases: list[Purchase]) -> list[Row]:
    """What happened, newest first: when, words, and perhaps where to read more."""
    rows = [_changed(change) for change in changes] + [_bought(purchase) for purchase in purchases]
    if booking.newest_sms is not None:
        rows.append(
            _row(
                booking.newest_sms.received_at,
                _("SMS from %(sender)s") % {"sender": visible(booking.newest_sms.sender)},
            )
        )
    if booking.starts_at is not None:
        rows.append(_row(booking.starts_at, _("Booking began")))
    return sorted(rows, key=lambda row: row["at"], reverse=True)


def _changed(change: BookingChange) -> Row:
    deed = {
        BookingChange.Kind.CANCEL: _("%(person)s cancelled it"),
        BookingChange.Kind.RENEWAL_ON: _("%(person)s switched auto-renewal on"),
        BookingChange.Kind.RENEWAL_OFF: _("%(person)s switched auto-renewal off"),
    }[BookingChange.Kind(change.kind)]
    result = said(change.words) or f"{change.get_status_display()}."
    return _row(
        change.created_at, deed % {"person": change.requested_by.username}, result, bad=change.status == "refused"
    )


def _bought(purchase: Purchase) -> Row:
    product = purchase.product
    deed = _(DEEDS[Purchase.Kind(purchase.kind)]) % {
        "person": purchase.requested_by.username,
        "amount": f"{purchase.amount} × {product.service or _('Every service')}, {product.country}",
        "length": duration_text(purchase.minutes),
    }
    paid = purchase.price_usd if purchase.charged_usd is None else purchase.charged_usd
    result = f"{usd(paid)}, {inline(purchase.get_status_display())}"
    bad = purchase.status in Purchase.COSTS_NOTHING
    url = reverse("purchase", args=[purchase.pk])
    return _row(purchase.created_at, deed, result, url, bad)


def _row(at: datetime, words: str, result: str = "", url: str = "", bad: bool = False) -> Row:
    return {"at": at, "words": words, "result": result, "url": url, "bad": bad}
