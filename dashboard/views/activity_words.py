"""An audit event as a sentence: who, did what, to what. Pure functions; texts still have to be escaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ..models import AuditEvent
from ..sayings import said
from ..wording import usd, whole

Role = AuditEvent.Role
Details = dict[str, Any]
# `{it}` is what it was done to. Of an action that is not here the sentence is made of its own words.
_SENTENCES: dict[str, str] = {
    "purchase.withdrawn": gettext_noop("took {it} back before it was sent"),
    "purchase.preparing": gettext_noop("looks up price and balance for {it}"),
    "purchase.sending": gettext_noop("sends {it} to ANOSIM"),
    "purchase.queued": gettext_noop("put {it} back into the queue"),
    "purchase.unknown": gettext_noop("does not know yet what became of {it}"),
    "purchase.needs_review": gettext_noop("leaves {it} to a manager"),
    "purchase.absent": gettext_noop("found that {it} was not bought"),
    "purchase.rejected": gettext_noop("was refused {it}"),
    "purchase.cancelled": gettext_noop("gave {it} up"),
    "booking.cancel": gettext_noop("asked to cancel {it}"),
    "booking.renewal_on": gettext_noop("asked to switch auto-renewal of {it} on"),
    "booking.renewal_off": gettext_noop("asked to switch auto-renewal of {it} off"),
    "account.renewal_on": gettext_noop("asked to switch auto-renewal of all rentals of {it} on"),
    "account.renewal_off": gettext_noop("asked to switch auto-renewal of all rentals of {it} off"),
    "account.created": gettext_noop("added the account {it}"),
    "account.changed": gettext_noop("changed the account {it}"),
    "account.paused": gettext_noop("paused the account {it}"),
    "account.resumed": gettext_noop("switched the account {it} on"),
    "account.spending": gettext_noop("changed what may be spent in {it}"),
    "account.retention": gettext_noop("changed how long SMS texts of {it} are kept"),
    "key.set": gettext_noop("put an API key in for {it}"),
    "key.replaced": gettext_noop("replaced the API key of {it}"),
    "key.tested": gettext_noop("had the API key of {it} tested"),
    "keys.rotated": gettext_noop("sealed the stored secrets with the newest key"),
    "user.created": gettext_noop("added {it}"),
    "user.password_set": gettext_noop("set a new password for {it}"),
    "user.own_settings": gettext_noop("changed their own settings"),
    "membership.given": gettext_noop("gave {it} a role"),
    "membership.changed": gettext_noop("changed the role of {it}"),
    "membership.taken": gettext_noop("took the role away from {it}"),
    "member.invited": gettext_noop("invited {it}"),
    "member.uninvited": gettext_noop("took back the invitation for {it}"),
    "member.joined": gettext_noop("joined by the invitation for {it}"),
    "sync.read_now": gettext_noop("had {it} read at once"),
    "sync.stopped": gettext_noop("stopped reading {it} for a while"),
    "sync.goes_on": gettext_noop("reads {it} again"),
    "sms.blanked": gettext_noop("took the texts of old SMS of {it} away"),
    "sms.exported": gettext_noop("exported SMS of {it}"),
    "sms.export_ended": gettext_noop("received the export of {it}"),
    "sign_in.done": gettext_noop("signed in"),
    "sign_in.failed": gettext_noop("failed to sign in as {it}"),
    "sign_in.limited": gettext_noop("has to wait with signing in as {it}"),
    "sign_in.confirmed": gettext_noop("confirmed that it is them"),
    "sign_out": gettext_noop("signed out"),
    "session.ended": gettext_noop("ended a session of {it}"),
    "password.changed": gettext_noop("changed their password"),
    "password.reset": gettext_noop("set a new password for {it}"),
    "password.link_made": gettext_noop("made a link to set a new password for {it}"),
    "second_factor.added": gettext_noop("added a second factor to {it}"),
    "second_factor.removed": gettext_noop("removed a second factor of {it}"),
    "recovery_codes.renewed": gettext_noop("made new recovery codes"),
    "recovery_code.used": gettext_noop("used a recovery code"),
    "alerts.channel_added": gettext_noop("has alerts sent to {it}"),
    "alerts.channel_removed": gettext_noop("has no more alerts sent to {it}"),
    "backup.restored": gettext_noop("put a backup back"),
    "access.denied": gettext_noop("was denied {it}"),
}
# What went wrong, or was kept from somebody.
BAD = frozenset(
    {"purchase.declined", "booking.declined", "purchase.rejected", "access.denied", "sign_in.failed", "sign_in.limited"}
)
# Where a thing has a page: name of the URL, and whether only admins open it.
_PAGES = {
    "booking": ("booking", False),
    "order": ("order", False),
    "product": ("product", False),
    "purchase": ("purchase", False),
    "account": ("admin:dashboard_account_change", True),
    "user": ("admin:dashboard_user_change", True),
}


@dataclass(frozen=True)
class Sentence:
    """`before`, the thing with the `url` of its page (empty: it has none), `after`, which brings its own space; `bad`
    where it went wrong."""

    before: str
    thing: str
    after: str
    url: str = ""
    bad: bool = False


def actor_of(event: AuditEvent) -> str:
    """Who it was, as they were called then."""
    if event.role == Role.MACHINE:
        return _("The dashboard")
    if event.role == Role.CONSOLE:
        return _("The command line")
    return event.user_name or _("Somebody")


def sentence_of(event: AuditEvent, is_admin: bool) -> Sentence:
    """What they did. A person who did something to themselves is not named twice."""
    tell = _TOLD.get(event.action)
    known = _SENTENCES.get(event.action)
    words = tell(event.details) if tell else _(known) if known else _own_words(event)
    before, it, after = words.partition("{it}")
    thing = event.object_text if it else ""
    if it and not thing:
        thing = _("somebody who is not known") if event.kind == AuditEvent.Kind.SIGN_IN else _("something")
    return Sentence(before.strip(), thing, after, _url(event, is_admin), event.action in BAD)


def detail_pairs(event: AuditEvent) -> list[tuple[str, str]]:
    """All that is on record beside the sentence: names in words, and values."""
    pairs = [
        (_(name.replace("_usd", " in USD").replace("_", " ").capitalize()), _flat(value))
        for name, value in event.details.items()
    ]
    own = ((_("Action"), event.action), (_("Browser"), event.device), (_("Request"), event.request_id))
    return [(name, value) for name, value in (*pairs, *own, (_("Number"), whole(event.seq))) if value]


def _because(deed: str, reason: Any) -> str:
    return f"{deed}: {said(str(reason))}" if reason else deed


def _asked(details: Details) -> str:
    price = _price(details.get("price_usd"))
    kind = str(details.get("kind"))
    if not price:
        deed = {"extend": _("asked to extend a booking: {it}"), "reuse": _("asked to use a number again: {it}")}
        return deed.get(kind, _("ordered {it}"))
    deed = {
        "extend": _("asked to extend a booking: {it} for %(price)s"),
        "reuse": _("asked to use a number again: {it} for %(price)s"),
    }
    return deed.get(kind, _("ordered {it} for %(price)s")) % {"price": price}


def _declined(details: Details) -> str:
    price = _price(details.get("price_usd"))
    count = details.get("amount")
    kinds = {"extend": _("an extension of {it}"), "reuse": _("the use of {it} again")}
    what = kinds.get(str(details.get("kind")), "{it}")
    what = f"{count} × {what}" if isinstance(count, int) else what
    deed = _("was refused %(what)s for %(price)s") if price else _("was refused %(what)s")
    return _because(deed % {"what": what, "price": price}, details.get("reason"))


def _confirmed(details: Details) -> str:
    charged = _price(details.get("charged_usd"))
    return _("bought {it} for %(price)s") % {"price": charged} if charged else _("bought {it}")


def _decided(details: Details) -> str:
    bought = details.get("decision") == "order"
    deed = _("decided that {it} was bought") if bought else _("decided that {it} was not bought")
    return _because(deed, details.get("reason"))


def _change_ended(details: Details) -> str:
    deed = {
        "cancel": _("ended the cancellation of {it}"),
        "renewal_on": _("ended auto-renewal of {it}"),
        "renewal_off": _("ended auto-renewal of {it}"),
    }.get(str(details.get("change")), _("ended a change of {it}"))
    return _because(deed, details.get("words") or details.get("status"))


def _changed(details: Details) -> str:
    fields = details.get("fields")
    names = ", ".join(_(str(each).replace("_", " ")) for each in fields) if isinstance(fields, list) else ""
    # Names of ours: nothing in them is a hole.
    return _("changed %(names)s of {it}") % {"names": names} if names else _("changed {it}")


_TOLD: dict[str, Callable[[Details], str]] = {
    "purchase.asked": _asked,
    "purchase.declined": _declined,
    "purchase.confirmed": _confirmed,
    "purchase.decided": _decided,
    "booking.change_ended": _change_ended,
    "booking.declined": lambda details: _because(_("was refused a change of {it}"), details.get("reason")),
    "booking.noted": _changed,
    "user.changed": _changed,
}
TOLD = frozenset(_SENTENCES) | frozenset(_TOLD)


def _own_words(event: AuditEvent) -> str:
    words = event.action.replace("_", " ").replace(".", ": ")
    return f"{words} {{it}}" if event.object_text else words


def _price(text: Any) -> str:
    try:
        return usd(Decimal(text)) if isinstance(text, str) else ""
    except InvalidOperation:
        return ""


def _url(event: AuditEvent, is_admin: bool) -> str:
    name, for_admins = _PAGES.get(event.object_type, ("", False))
    if not name or not event.object_id or (for_admins and not is_admin):
        return ""
    try:
        return reverse(name, args=[event.object_id])
    except NoReverseMatch:
        return ""


def _flat(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "–", True: _("yes"), False: _("no")}[value]
    if isinstance(value, list):
        return ", ".join(_flat(each) for each in value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_flat(each)}" for name, each in value.items())
    return str(value)
