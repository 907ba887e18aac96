"""What lists and tables share: times in the person's zone, counts in words, heads that sort."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ..local_time import Clock, iso, pace_words

register = template.Library()

register.filter("pace", pace_words)


@register.simple_tag
def stamp(moment: datetime | None, form: str = "relative") -> SafeString | str:
    """A <time> in a form of `Clock`: "relative", "ago", "clock" or "full"; a dash for a time not known."""
    if moment is None:
        return "–"
    clock = Clock()
    return format_html(
        '<time datetime="{}" data-rel="{}" title="{}">{}</time>',
        iso(moment),
        "" if form == "relative" else form,
        clock.full(moment),
        getattr(clock, form)(moment),
    )


# What lists count, in the plural.
NOUNS = {
    gettext_noop("event"): gettext_noop("events"),
    gettext_noop("order"): gettext_noop("orders"),
    gettext_noop("product"): gettext_noop("products"),
    gettext_noop("purchase"): gettext_noop("purchases"),
    gettext_noop("SIM card"): gettext_noop("SIM cards"),
}


@register.filter
def counted(count: str, noun: str) -> str:
    """ "1" and "product" -> "1 product"; any other count gets the plural."""
    return f"{count} {_(noun if count == '1' else NOUNS[noun])}"


@register.filter
def other_way(current: str, key: str) -> str:
    """The sort that a click on a column's head asks for: its own, or the other way round when that is on."""
    return f"-{key}" if current == key else key
