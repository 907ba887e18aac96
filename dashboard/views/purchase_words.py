"""A purchase in words: what it is, how it stands, what to do next. Pure functions; texts still have to be escaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..foreign_text import visible
from ..models import Purchase, PurchaseStep
from ..wording import country_name, duration_text, number_text, service_text

Status = Purchase.Status
_BADGES: dict[str, tuple[str, str]] = {
    Status.QUEUED: ("wait", "Waiting"),
    Status.PREPARING: ("wait", "Preparing"),
    Status.SENDING: ("wait", "Sending"),
    Status.CONFIRMED: ("ok", "Bought"),
    Status.REJECTED: ("end", "Refused"),
    Status.UNKNOWN: ("end", "Not known yet"),
    Status.ABSENT: ("", "Not bought"),
    Status.NEEDS_REVIEW: ("end", "A manager decides"),
    Status.CANCELLED: ("", "Taken back"),
}
# Of a step, where it says nothing itself.
_STEPS: dict[str, str] = {
    Status.QUEUED: "Asked for",
    Status.PREPARING: "Reading price and balance",
    Status.SENDING: "Sent to ANOSIM",
    Status.CONFIRMED: "Bought",
    Status.REJECTED: "Refused",
    Status.UNKNOWN: "Not known yet",
    Status.ABSENT: "Not bought",
    Status.NEEDS_REVIEW: "Left to a manager",
    Status.CANCELLED: "Taken back",
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
        return f"{number} for {duration_text(purchase.minutes)} more"
    return f"{number} again, for {what}"


def badge_of(purchase: Purchase) -> tuple[str, str]:
    """Kind and words of its badge."""
    return _BADGES.get(purchase.status, ("", visible(purchase.status)))


def step_words(step: PurchaseStep) -> str:
    """One line of the history."""
    name = _STEPS.get(step.new, visible(step.new))
    if step.new == Status.QUEUED and step.old:
        name = "Waiting"
    said = visible(step.words)
    if not said or said.rstrip(".").lower() == name.lower():
        return name
    return said if said.lower().startswith(name.lower()) else f"{name}: {said}"


def outcome_of(purchase: Purchase) -> Outcome:
    """What stands at the top of the purchase's page."""
    tell = _OUTCOMES.get(purchase.status)
    return tell(purchase) if tell else Outcome("info", "info", visible(purchase.status), visible(purchase.words))


def _queued(purchase: Purchase) -> Outcome:
    said = visible(purchase.words)
    head = "Waiting to be sent"
    return Outcome("info", "clock", head, said, "It goes on by itself. Nothing is spent yet.", waits=True)


def _unknown(purchase: Purchase) -> Outcome:
    said = visible(purchase.words).removeprefix("Not known yet: do not order again.").strip()
    advice = "ANOSIM's orders and the balance are compared with what they were before. It is never sent a second time."
    return Outcome("warn", "triangle-alert", "Not known yet: do not order again", said, advice)


def _refused(purchase: Purchase) -> Outcome:
    said = visible(purchase.refusal or purchase.words)
    return Outcome("bad", "circle-alert", "Refused. Nothing was bought", said, _advice(said))


def _advice(said: str) -> str:
    """What to do next, by what a refusal is about."""
    words = said.lower()
    if "not enough numbers" in words or "no numbers" in words or "available" in words:
        return "Choose another provider or fewer numbers, or try again when numbers are free."
    if "balance" in words:
        return "Top up the account at ANOSIM, then order again."
    if "price" in words:
        return "Look at the price of today, then order again."
    if "key" in words:
        return "An admin can put another API key in."
    if "stopped" in words:
        return "An admin can switch spending on again."
    return "You can order again: that is a new purchase."


_OUTCOMES: dict[str, Callable[[Purchase], Outcome]] = {
    Status.QUEUED: _queued,
    Status.PREPARING: lambda purchase: Outcome(
        "info", "clock", "Preparing", "Price and balance are read once more.", "Nothing is spent yet.", waits=True
    ),
    Status.SENDING: lambda purchase: Outcome(
        "info", "clock", "Sending", "ANOSIM was asked for it.", "Do not order again.", waits=True
    ),
    Status.CONFIRMED: lambda purchase: Outcome(
        "ok", "circle-check", "Bought", _after_head(purchase, "Bought."), "Each SMS appears here by itself."
    ),
    Status.REJECTED: _refused,
    Status.UNKNOWN: _unknown,
    Status.ABSENT: lambda purchase: Outcome(
        "info", "info", "Not bought", _after_head(purchase, "Not bought:"), "Nothing was spent. Order again?"
    ),
    Status.NEEDS_REVIEW: lambda purchase: Outcome(
        "warn", "triangle-alert", "A manager decides", visible(purchase.words),
        "Do not order again: it may have been bought.",
    ),
    Status.CANCELLED: lambda purchase: Outcome("info", "info", "Taken back", visible(purchase.words)),
}  # fmt: skip


def _after_head(purchase: Purchase, head: str) -> str:
    said = visible(purchase.words).removeprefix(head).strip()
    return said[:1].upper() + said[1:]
