"""The provider's values as people write them in the current language: countries, durations, kinds, numbers, money."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache

import phonenumbers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext
from phonenumbers import PhoneNumberFormat

from .foreign_text import visible
from .languages import current

# ISO 3166 code by the provider's CamelCase name in lower case, for the flag.
_COUNTRIES = """
albania:al argentina:ar armenia:am australia:au austria:at azerbaijan:az bangladesh:bd belarus:by
belgium:be bosniaandherzegovina:ba brazil:br bulgaria:bg canada:ca chile:cl china:cn colombia:co
croatia:hr cyprus:cy czechia:cz czechrepublic:cz denmark:dk egypt:eg england:gb estonia:ee
finland:fi france:fr georgia:ge germany:de ghana:gh greatbritain:gb greece:gr hongkong:hk hungary:hu
iceland:is india:in indonesia:id ireland:ie israel:il italy:it japan:jp kazakhstan:kz kenya:ke
kosovo:xk latvia:lv lithuania:lt luxembourg:lu macedonia:mk malaysia:my malta:mt mexico:mx
moldova:md montenegro:me morocco:ma netherlands:nl newzealand:nz nigeria:ng northmacedonia:mk
norway:no pakistan:pk peru:pe philippines:ph poland:pl portugal:pt romania:ro russia:ru
saudiarabia:sa serbia:rs singapore:sg slovakia:sk slovenia:si southafrica:za southkorea:kr spain:es
sweden:se switzerland:ch taiwan:tw tanzania:tz thailand:th turkey:tr ukraine:ua
unitedarabemirates:ae unitedkingdom:gb unitedstates:us unitedstatesofamerica:us usa:us vietnam:vn
"""
_ISO = dict(pair.split(":") for pair in _COUNTRIES.split())
_REGIONS = frozenset(code.upper() for code in _ISO.values())
_SMALL_WORDS = frozenset({"and", "of", "the"})
_RENTAL_TYPES = {
    "activation": gettext_noop("Activation"),
    "rentalservice": gettext_noop("Service rental"),
    "rentalfull": gettext_noop("Full SIM"),
}
_STATES = {
    "active": gettext_noop("Active"),
    "pending": gettext_noop("Pending"),
    "ended": gettext_noop("Ended"),
    "expired": gettext_noop("Expired"),
    "not used": gettext_noop("Not used"),
    "notused": gettext_noop("Not used"),
    "cancelled": gettext_noop("Cancelled"),
    "canceled": gettext_noop("Cancelled"),
    "refunded": gettext_noop("Refunded"),
}
_GERMAN_SIGNS = str.maketrans(",.", ".,")


@lru_cache(maxsize=512)
def country_name(name: str) -> str:
    """ "CzechRepublic" -> "Czech Republic"; a name that is written out already stays."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_", " ", name.strip()).split()
    return " ".join(word.lower() if word.lower() in _SMALL_WORDS and at else word for at, word in enumerate(words))


@lru_cache(maxsize=512)
def flag_code(name: str) -> str:
    """ISO 3166 code in lower case of the provider's country name, "xx" for one that we do not know."""
    return _ISO.get(re.sub(r"[^a-z]", "", name.lower()), "xx")


@lru_cache(maxsize=20_000)
def number_text(number: str) -> str:
    """ "+420734118902" -> "+420 734 118 902"; what is no phone number stays as it came."""
    parsed = _parsed(number)
    if parsed is None:
        return visible(number)
    return phonenumbers.format_number(parsed, PhoneNumberFormat.INTERNATIONAL)


@lru_cache(maxsize=20_000)
def flag_of_number(number: str) -> str:
    """Flag code of the country that a number belongs to, "xx" where that cannot be told."""
    parsed = _parsed(number)
    region = phonenumbers.region_code_for_number(parsed) if parsed else None
    return region.lower() if region in _REGIONS else "xx"


def full_number(text: str) -> str:
    """A whole number, typed in any grouping, as the provider writes it; empty for a part of one."""
    if not text.strip().startswith(("+", "00")):
        return ""
    digits = re.sub(r"[^0-9]", "", text).removeprefix("00")
    return f"+{digits}" if _parsed(f"+{digits}") is not None else ""


def _parsed(number: str) -> phonenumbers.PhoneNumber | None:
    try:
        parsed = phonenumbers.parse(number if number.startswith("+") else f"+{number}")
    except phonenumbers.NumberParseException:
        return None
    return parsed if phonenumbers.is_possible_number(parsed) else None


def rental_type_text(rental_type: str) -> str:
    """The kind of rental in words; an unknown one as it came."""
    words = _RENTAL_TYPES.get(rental_type.lower())
    return _(words) if words else rental_type


def state_text(state: str) -> str:
    """The state of a booking in words; an unknown one as it came, made safe to show."""
    words = _STATES.get(state.strip().lower())
    return _(words) if words else visible(state)


def service_text(service: str, rental_type: str = "") -> str:
    """The service's name; a full rental has none and serves all."""
    if service.strip():
        return service
    return _("Every service") if rental_type.lower() in ("", "rentalfull") else rental_type_text(rental_type)


def duration_text(minutes: int | None) -> str:
    """Minutes as people say them: "20 min", "4 h", "30 days"."""
    if minutes is None:
        return ""
    if minutes >= 1440 and minutes % 1440 == 0:
        days = minutes // 1440
        return ngettext("%(days)s day", "%(days)s days", days) % {"days": days}
    if minutes >= 60:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{minutes} min"


def usd(amount: Decimal | None) -> str:
    """ "$3,418.40", in German "3.418,40 $"; an unknown amount is a dash."""
    if amount is None:
        return "–"
    if current() == "de":
        return f"{amount:,.2f}\N{NO-BREAK SPACE}$".translate(_GERMAN_SIGNS)
    return f"-${-amount:,.2f}" if amount < 0 else f"${amount:,.2f}"


def whole(count: int) -> str:
    """ "1,234"; in German "1.234"."""
    text = f"{count:,}"
    return text.translate(_GERMAN_SIGNS) if current() == "de" else text


def inline(label: str) -> str:
    """A label within a sentence: small in English; German nouns keep their capital."""
    return label if current() == "de" else label.lower()


def left_text(left: timedelta) -> str:
    """Time left as the countdown shows it: "12:24", "3 h 12 min", "1 d 4 h", "23 d", "ended"."""
    seconds = int(left.total_seconds())
    if seconds <= 0:
        return _("ended")
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d}"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    days, rest = divmod(seconds, 86_400)
    if days < 2:
        return _("%(days)s d %(hours)s h") % {"days": days, "hours": rest // 3600}
    return ngettext("%(days)s d", "%(days)s d", days) % {"days": days}


def code_halves(code: str) -> tuple[str, str]:
    """A code of six or more characters in two halves, read more easily; a shorter one whole."""
    half = len(code) // 2 if len(code) >= 6 else len(code)
    return code[:half], code[half:]
