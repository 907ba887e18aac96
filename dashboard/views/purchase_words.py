"""A purchase in words: what it is, how it stands, what to do next. Pure functions; texts still have to be escaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ..foreign_text import visible
from ..models import Purchase, PurchaseStep
from ..sayings import said
from ..wording import country_name, duration_text, number_text, service_text

Status = Purchase.Status
_BADGES: dict[str, tuple[str, str]] = {
    Status.QUEUED: ("wait", gettext_noop("Waiting")),
    Status.PREPARING: ("wait", gettext_noop("Preparing")),
    Status.SENDING: ("wait", gettext_noop("Sending")),
    Status.CONFIRMED: ("ok", gettext_noop("Bought")),
    Status.REJECTED: ("end", gettext_noop("Refused")),
    Status.UNKNOWN: ("end", gettext_noop("Not known yet")),
    Status.ABSENT: ("", gettext_noop("Not bought")),
    Status.NEEDS_REVIEW: ("end", gettext_noop("A manager decides")),
    Status.CANCELLED: ("", gettext_noop("Taken back")),
}
# Of a step, where it says nothing itself.
_STEPS: dict[str, str] = {
    Status.QUEUED: gettext_noop("Asked for"),
    Status.PREPARING: gettext_noop("Reading price and balance"),
    Status.SENDING: gettext_noop("Sent to ANOSIM"),
    Status.CONFIRMED: gettext_noop("Bought"),
    Status.REJECTED: gettext_noop("Refused"),
    Status.UNKNOWN: gettext_noop("Not known yet"),
    Status.ABSENT: gettext_noop("Not bought"),
    Status.NEEDS_REVIEW: gettext_noop("Left to a manager"),
    Status.CANCELLED: gettext_noop("Taken back"),
}


@dataclass(frozen=True)
class Outcome:
    """How it stands: a banner's tone and icon, a head, what was said, and what to do next."""

    tone: str
    icon: str
    head: str
    said: str = ""
    advice: str = ""
    waits: bool = False


def title_of(purchase: Purchase) -> str:
    """ "2 × WhatsApp, Germany", "+49 1523 4477190 for 30 days more"."""
    product = purchase.product
    what = visible(service_text(product.service, product.rental_type))
    if purchase.kind == Purchase.Kind.ORDER or purchase.booking is None:
        country = country_name(product.country)
        return f"{purchase.amount} × {what}, {country}" if country else f"{purchase.amount} × {what}"
    number = number_text(purchase.booking.number)
    if purchase.kind == Purchase.Kind.EXTEND:
        return _("%(number)s for %(time)s more") % {"number": number, "time": duration_text(purchase.minutes)}
    return _("%(number)s again, for %(service)s") % {"number": number, "service": what}


def badge_of(purchase: Purchase) -> tuple[str, str]:
    """Kind and words of its badge."""
    tone, words = _BADGES.get(purchase.status, ("", ""))
    return tone, _(words) if words else visible(purchase.status)


def step_words(step: PurchaseStep) -> str:
    """One line of the history."""
    name = _STEPS.get(step.new, "")
    if step.new == Status.QUEUED and step.old:
        name = "Waiting"
    words = visible(step.words)
    shown = _(name) if name else visible(step.new)
    if not words or words.rstrip(".").lower() == name.lower():
        return shown
    return said(words) if name and words.lower().startswith(name.lower()) else f"{shown}: {said(words)}"


def outcome_of(purchase: Purchase) -> Outcome:
    """What stands at the top of the purchase's page."""
    tell = _OUTCOMES.get(purchase.status)
    return tell(purchase) if tell else Outcome("info", "info", visible(purchase.status), _said(purchase))


def _queued(purchase: Purchase) -> Outcome:
    head, advice = _("Waiting to be sent"), _("It goes on by itself. Nothing is spent yet.")
    return Outcome("info", "clock", head, _said(purchase), advice, waits=True)


def _unknown(purchase: Purchase) -> Outcome:
    words = visible(purchase.words).removeprefix("Not known yet: do not order again.").strip()
    advice = _(
        "ANOSIM's orders and the balance are compared with what they were before. It is never sent a second time."
    )
    return Outcome("warn", "triangle-alert", _("Not known yet: do not order again"), said(words), advice)


def _refused(purchase: Purchase) -> Outcome:
    words = visible(purchase.refusal or purchase.words)
    return Outcome("bad", "circle-alert", _("Refused. Nothing was bought"), said(words), _advice(words))


def _advice(refusal: str) -> str:
    """What to do next, by what a refusal is about."""
    words = refusal.lower()
    if "not enough numbers" in words or "no numbers" in words or "available" in words:
        return _("Choose another provider or fewer numbers, or try again when numbers are free.")
    if "balance" in words:
        return _("Top up the account at ANOSIM, then order again.")
    if "price" in words:
        return _("Look at the price of today, then order again.")
    if "key" in words:
        return _("An admin can put another API key in.")
    if "stopped" in words:
        return _("An admin can switch spending on again.")
    return _("You can order again: that is a new purchase.")


_OUTCOMES: dict[str, Callable[[Purchase], Outcome]] = {
    Status.QUEUED: _queued,
    Status.PREPARING: lambda purchase: Outcome(
        "info", "clock", _("Preparing"), _("Price and balance are read once more."),
        _("Nothing is spent yet."), waits=True,
    ),
    Status.SENDING: lambda purchase: Outcome(
        "info", "clock", _("Sending"), _("ANOSIM was asked for it."), _("Do not order again."), waits=True
    ),
    Status.CONFIRMED: lambda purchase: Outcome(
        "ok", "circle-check", _("Bought"), _after_head(purchase, "Bought."), _("Each SMS appears here by itself.")
    ),
    Status.REJECTED: _refused,
    Status.UNKNOWN: _unknown,
    Status.ABSENT: lambda purchase: Outcome(
        "info", "info", _("Not bought"), _after_head(purchase, "Not bought:"), _("Nothing was spent. Order again?")
    ),
    Status.NEEDS_REVIEW: lambda purchase: Outcome(
        "warn", "triangle-alert", _("A manager decides"), _said(purchase),
        _("Do not order again: it may have been bought."),
    ),
    Status.CANCELLED: lambda purchase: Outcome("info", "info", _("Taken back"), _said(purchase)),
}  # fmt: skip


def _after_head(purchase: Purchase, head: str) -> str:
    words = visible(purchase.words).removeprefix(head).strip()
    return said(words[:1].upper() + words[1:])


def _said(purchase: Purchase) -> str:
    return said(visible(purchase.words))
