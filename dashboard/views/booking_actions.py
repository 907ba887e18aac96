"""What can be done with a booking, each with the reason where it cannot; how its renewal stands in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ..models import Booking, BookingChange
from ..purchases import changing, intents
from ..wording import usd


@dataclass(frozen=True)
class Action:
    """`reason` says why it is not offered; nothing where it is."""

    key: str
    label: str
    icon: str
    url: str
    reason: str = ""


NOT_YOURS = gettext_noop("Who bought it or looks after it switches its renewal, and so do managers.")


def actions_of(booking: Booking, change: BookingChange | None = None, *, renews: bool = True) -> list[Action]:
    """What a person who acts may do, what suits this booking first. `change`: the latest one, which may be on its way;
    `renews`: whether they may switch its renewal."""
    busy = _("A change is on its way.") if change is not None and change.is_open else ""
    back = _("Cancel, money back")
    if booking.price_usd is not None:
        back = _("Cancel, get %(price)s back") % {"price": usd(booking.price_usd)}
    no_cancel = changing.why_not_cancel(booking)
    no_renewal = changing.why_not_renew(booking) or ("" if renews else _(NOT_YOURS))
    switch = _("Switch auto-renewal off") if booking.auto_renewal else _("Switch auto-renewal on")
    actions = [
        _action(booking, "cancel", _("Cancel") if no_cancel else back, "x", no_cancel or busy),
        _action(booking, "extend", _("Extend"), "timer", intents.why_not_extend(booking)),
        _action(booking, "reuse", _("Use again"), "rotate-ccw", intents.why_not_reuse(booking)),
        _action(booking, "renewal", _("Auto-renewal") if no_renewal else switch, "refresh-cw", no_renewal or busy),
    ]
    return sorted(actions, key=lambda action: bool(action.reason))


def _action(booking: Booking, key: str, label: str, icon: str, reason: str) -> Action:
    return Action(key, label, icon, reverse(f"{key}-booking", args=[booking.pk]), reason)


def renewal_words(booking: Booking) -> str:
    """How the renewal stands at the provider, and whether somebody switched it elsewhere; empty if neither is known."""
    now_on, set_on = booking.auto_renewal, booking.auto_renewal_set
    if now_on is None:
        return ""
    shown = _("On") if now_on else _("Off")
    if set_on is None or set_on == now_on:
        return shown
    if set_on:
        return _("%(state)s: changed elsewhere. Here it was switched on.") % {"state": shown}
    return _("%(state)s: changed elsewhere. Here it was switched off.") % {"state": shown}
