"""An audit event as a sentence: who, did what, to what. Pure functions; texts still have to be escaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.urls import NoReverseMatch, reverse

from ..models import AuditEvent
from ..wording import usd

Role = AuditEvent.Role
Details = dict[str, Any]
# `{it}` is what it was done to. Of an action that is not here the sentence is made of its own words.
_SENTENCES: dict[str, str] = {
    "purchase.withdrawn": "took {it} back before it was sent",
    "purchase.preparing": "looks up price and balance for {it}",
    "purchase.sending": "sends {it} to ANOSIM",
    "purchase.queued": "put {it} back into the queue",
    "purchase.unknown": "does not know yet what became of {it}",
    "purchase.needs_review": "leaves {it} to a manager",
    "purchase.absent": "found that {it} was not bought",
    "purchase.rejected": "was refused {it}",
    "purchase.cancelled": "gave {it} up",
    "booking.cancel": "asked to cancel {it}",
    "booking.renewal_on": "asked to switch auto-renewal of {it} on",
    "booking.renewal_off": "asked to switch auto-renewal of {it} off",
    "account.renewal_on": "asked to switch auto-renewal of all rentals of {it} on",
    "account.renewal_off": "asked to switch auto-renewal of all rentals of {it} off",
    "account.created": "added the account {it}",
    "account.changed": "changed the account {it}",
    "account.paused": "paused the account {it}",
    "account.resumed": "switched the account {it} on",
    "account.spending": "changed what may be spent in {it}",
    "account.retention": "changed how long SMS texts of {it} are kept",
    "key.set": "put an API key in for {it}",
    "key.replaced": "replaced the API key of {it}",
    "key.tested": "had the API key of {it} tested",
    "keys.rotated": "sealed the stored secrets with the newest key",
    "user.created": "added {it}",
    "user.password_set": "set a new password for {it}",
    "user.own_settings": "changed their own settings",
    "membership.given": "gave {it} a role",
    "membership.changed": "changed the role of {it}",
    "membership.taken": "took the role away from {it}",
    "member.invited": "invited {it}",
    "member.uninvited": "took back the invitation for {it}",
    "member.joined": "joined by the invitation for {it}",
    "sync.read_now": "had {it} read at once",
    "sync.stopped": "stopped reading {it} for a while",
    "sync.goes_on": "reads {it} again",
    "sms.blanked": "took the texts of old SMS of {it} away",
    "sms.exported": "exported SMS of {it}",
    "sms.export_ended": "received the export of {it}",
    "sign_in.done": "signed in",
    "sign_in.failed": "failed to sign in as {it}",
    "sign_in.limited": "has to wait with signing in as {it}",
    "sign_in.confirmed": "confirmed that it is them",
    "sign_out": "signed out",
    "session.ended": "ended a session of {it}",
    "password.changed": "changed their password",
    "password.reset": "set a new password for {it}",
    "password.link_made": "made a link to set a new password for {it}",
    "second_factor.added": "added a second factor to {it}",
    "second_factor.removed": "removed a second factor of {it}",
    "recovery_codes.renewed": "made new recovery codes",
    "recovery_code.used": "used a recovery code",
    "alerts.channel_added": "has alerts sent to {it}",
    "alerts.channel_removed": "has no more alerts sent to {it}",
    "backup.restored": "put a backup back",
    "access.denied": "was denied {it}",
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
        return "The dashboard"
    if event.role == Role.CONSOLE:
        return "The command line"
    return event.user_name or "Somebody"


def sentence_of(event: AuditEvent, is_admin: bool) -> Sentence:
    """What they did. A person who did something to themselves is not named twice."""
    tell = _TOLD.get(event.action)
    words = tell(event.details) if tell else _SENTENCES.get(event.action) or _own_words(event)
    before, it, after = words.partition("{it}")
    thing = event.object_text if it else ""
    if it and not thing:
        thing = "somebody who is not known" if event.kind == AuditEvent.Kind.SIGN_IN else "something"
    return Sentence(before.strip(), thing, after, _url(event, is_admin), event.action in BAD)


def detail_pairs(event: AuditEvent) -> list[tuple[str, str]]:
    """All that is on record beside the sentence: names in words, and values."""
    pairs = [
        (name.replace("_usd", " in USD").replace("_", " ").capitalize(), _flat(value))
        for name, value in event.details.items()
    ]
    own = (("Action", event.action), ("Browser", event.device), ("Request", event.request_id))
    return [(name, value) for name, value in (*pairs, *own, ("Number", f"{event.seq:,}")) if value]


def _asked(details: Details) -> str:
    price = _price(details.get("price_usd"))
    deed = {"extend": "asked to extend a booking: {it}", "reuse": "asked to use a number again: {it}"}
    return deed.get(str(details.get("kind")), "ordered {it}") + (f" for {price}" if price else "")


def _declined(details: Details) -> str:
    price = _price(details.get("price_usd"))
    count = details.get("amount")
    what = {"extend": "an extension of {it}", "reuse": "the use of {it} again"}.get(str(details.get("kind")), "{it}")
    what = f"{count} × {what}" if isinstance(count, int) else what
    return f"was refused {what}{f' for {price}' if price else ''}: {details.get('reason') or ''}".rstrip(": ")


def _confirmed(details: Details) -> str:
    charged = _price(details.get("charged_usd"))
    return f"bought {{it}} for {charged}" if charged else "bought {it}"


def _decided(details: Details) -> str:
    became = "bought" if details.get("decision") == "order" else "not bought"
    return f"decided that {{it}} was {became}: {details.get('reason') or ''}".rstrip(": ")


def _change_ended(details: Details) -> str:
    change = {
        "cancel": "the cancellation of {it}",
        "renewal_on": "auto-renewal of {it}",
        "renewal_off": "auto-renewal of {it}",
    }.get(str(details.get("change")), "a change of {it}")
    return f"ended {change}: {details.get('words') or details.get('status') or ''}".rstrip(": ")


def _changed(details: Details) -> str:
    fields = details.get("fields")
    names = ", ".join(str(each).replace("_", " ") for each in fields) if isinstance(fields, list) else ""
    return f"changed {names} of {{it}}" if names else "changed {it}"


_TOLD: dict[str, Callable[[Details], str]] = {
    "purchase.asked": _asked,
    "purchase.declined": _declined,
    "purchase.confirmed": _confirmed,
    "purchase.decided": _decided,
    "booking.change_ended": _change_ended,
    "booking.declined": lambda details: f"was refused a change of {{it}}: {details.get('reason') or ''}".rstrip(": "),
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
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, list):
        return ", ".join(_flat(each) for each in value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_flat(each)}" for name, each in value.items())
    return str(value)
