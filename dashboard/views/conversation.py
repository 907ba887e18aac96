"""A booking's SMS as a conversation: days, who goes on talking, and its end: what is waited for, or how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from ..foreign_text import visible
from ..local_time import Clock
from ..models import Booking, BookingChange, Purchase
from ..purchases.changing import GIVEN_BACK
from ..sayings import said
from ..wording import usd
from .booking_actions import Action
from .buying import Again
from .rows import Row, by_day, countdown, thread_rows

# What the conversation's end offers itself; the head of the page has all of them.
OFFERED = ("cancel", "extend")
UNDER_WAY = ("queued", "sending")


@dataclass(frozen=True)
class Ending:
    """The end of a conversation. `left`: the countdown, `busy`: a change is on its way; `said`: more, in a sentence."""

    words: str
    said: str = ""
    mood: str = ""
    icon: str = "clock"
    left: Row | None = None
    busy: bool = False
    actions: tuple[Action, ...] = ()
    again: str = ""


def talk_of(messages: Iterable[Any], clock: Clock) -> list[tuple[str, list[Row]]]:
    """The messages under the heads of their days; `same` where the one above it is of the same sender."""
    rows = thread_rows(messages, clock)
    days = by_day(rows, clock)
    for _day, of_day in days:
        above = None
        for row in of_day:
            row |= {"exact": clock.exact(row["received_at"]), "same": row["sender"] == above}
            above = row["sender"]
    return days


def ending_of(
    booking: Booking,
    changes: Sequence[BookingChange],
    purchases: Sequence[Purchase],
    actions: Sequence[Action],
    again: Again | None,
    clock: Clock,
) -> Ending:
    """What the conversation ends with. `changes` and `purchases` are newest first; `actions` of who may act, else
    none."""
    refusal = _refusal(booking, changes, purchases)
    if booking.runs_until <= clock.at:
        url = again.url if again else ""
        return replace(_ended(booking, changes), again=url)
    offered = tuple(_named(action, booking) for action in actions if action.key in OFFERED and not action.reason)
    if changes and changes[0].kind == BookingChange.Kind.CANCEL and changes[0].status in UNDER_WAY:
        return Ending(_("Being cancelled"), _("ANOSIM has not confirmed it yet."), busy=True)
    left = countdown(booking.starts_at, booking.ends_at, clock)
    told = refusal or ("" if left else _("The provider named no end."))
    if not told and booking.number and not booking.sms_count:
        told = _("Give the number where it is asked for. The SMS shows up here by itself.")
    mood = "bad" if refusal else ""
    return Ending(_waited_for(booking), told, mood, left=left, actions=offered)


def _waited_for(booking: Booking) -> str:
    if not booking.number:
        return _("No number yet")
    if not booking.sms_count:
        return _("No SMS yet")
    newest = booking.newest_sms
    return (
        _("Waiting for another SMS") if newest and newest.code else _("No code in the newest SMS. Waiting for another")
    )


def _named(action: Action, booking: Booking) -> Action:
    if action.key != "cancel":
        return action
    back = _("Cancel, money back")
    if booking.price_usd is not None:
        back = _("Cancel for %(price)s back") % {"price": usd(booking.price_usd)}
    return replace(action, label=back)


def _refusal(booking: Booking, changes: Sequence[BookingChange], purchases: Sequence[Purchase]) -> str:
    """The provider's no (or silence) to what was asked last; nothing where it said yes, or was not asked."""
    extending = next((each for each in purchases if each.booking_id == booking.pk), None)
    change = changes[0] if changes else None
    if change and (extending is None or change.created_at > extending.created_at):
        cancels, why = change.kind == BookingChange.Kind.CANCEL, {"why": visible(said(change.words))}
        if change.status == "refused":
            return (_("Not cancelled: %(why)s") if cancels else _("Not switched: %(why)s")) % why
        if change.status != "unknown":
            return ""
        doubt = _("Not known yet whether it was cancelled: %(why)s")
        return (doubt if cancels else _("Not known yet whether it was switched: %(why)s")) % why
    if extending and extending.status == Purchase.Status.REJECTED:
        no = _("Not extended: %(why)s") if extending.kind == Purchase.Kind.EXTEND else _("Not ordered again: %(why)s")
        return no % {"why": visible(said(extending.refusal or extending.words))}
    return ""


def _ended(booking: Booking, changes: Sequence[BookingChange]) -> Ending:
    state = booking.state.strip()
    if booking.sms_count:
        return Ending(
            _("The time of this number is over"), _("SMS that are sent to it now do not come here."), icon="clock"
        )
    price = "" if booking.price_usd is None else usd(booking.price_usd)
    change = changes[0] if changes else None
    by = ""
    if change and change.kind == BookingChange.Kind.CANCEL and change.status == "done":
        by = _("%(person)s cancelled it.") % {"person": change.requested_by.username} + " "
    if state.lower() in GIVEN_BACK:
        back = _("ANOSIM gave %(price)s back.") % {"price": price} if price else _("ANOSIM gave the money back.")
        return Ending(_("No SMS came"), by + back, "ok", "circle-check")
    what = price or _("the price")
    if booking.rental_type.lower() != "activation":
        return Ending(
            _("No SMS came"),
            _("A rental costs %(price)s even without an SMS.") % {"price": what},
            "bad",
            "circle-alert",
        )
    if booking.is_closed:
        words = _("ANOSIM calls it “%(state)s”, which does not say that %(price)s came back: the balance shows it.")
        told = words % {"state": visible(state), "price": what}
        return Ending(_("No SMS came"), told, "bad", "circle-alert")
    told = _("ANOSIM has not said yet whether it gives %(price)s back.") % {"price": what}
    return Ending(_("No SMS came in time"), by + told, "warn", "circle-alert")
