"""What lists and tables share: times in the person's zone, counts in words, heads that sort."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

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


@register.filter
def counted(count: str, noun: str) -> str:
    """ "1" and "product" -> "1 product"; any other count gets the plural."""
    return f"{count} {noun}" if count == "1" else f"{count} {noun}s"


@register.filter
def other_way(current: str, key: str) -> str:
    """The sort that a click on a column's head asks for: its own, or the other way round when that is on."""
    return f"-{key}" if current == key else key
