"""Filters and tags of the templates: thin names for `wording` and `foreign_text`."""

from typing import Any

from django import template
from django.template import Context
from django.template.base import Parser, Token
from django.template.loader import get_template
from django.templatetags.i18n import TranslateNode, do_translate
from django.utils.html import json_script
from django.utils.safestring import SafeString

from .. import foreign_text, wording
from ..languages import current
from ..sayings import said
from ..script_words import script_words as script_words_now

register = template.Library()

register.filter("country", wording.country_name)
register.filter("flag", wording.flag_code)
register.filter("number", wording.number_text)
register.filter("rental_type", wording.rental_type_text)
register.filter("state", wording.state_text)
register.filter("service", wording.service_text)
register.filter("duration", wording.duration_text)
register.filter("usd", wording.usd)
register.filter("inline", wording.inline)
register.filter("said", said)
register.filter("halves", wording.code_halves)
register.filter("visible", foreign_text.visible)


class Words(template.Node):
    """A text that is looked up once in each language: a page has a hundred of them, and each costs as much as a row."""

    child_nodelists = ()

    def __init__(self, node: TranslateNode) -> None:
        self.node = node
        self.known: dict[str, str] = {}

    def render(self, context: Context) -> str:
        language: str = getattr(getattr(context, "request", None), "LANGUAGE_CODE", "") or current()
        words = self.known.get(language)
        if words is None:
            words = self.known[language] = self.node.render(context)
        return words


@register.tag("translate")
def translate(parser: Parser, token: Token) -> template.Node:
    """Django's own tag; of a text that is written out, the same for every reader of a language, remembered."""
    node = do_translate(parser, token)
    parts = [part for part in (node.filter_expression, node.message_context) if part is not None]
    written_out = all(getattr(part.var, "literal", part.var) is not None and not part.filters for part in parts)
    return Words(node) if written_out and not node.asvar else node


@register.simple_tag
def script_words() -> SafeString | str:
    """What the scripts of the page say, as data that they read; nothing for English, which they hold themselves."""
    words = script_words_now()
    return json_script(words, "words") if words else ""


@register.simple_tag(takes_context=True)
def panel(context: Context, values: dict[str, Any]) -> SafeString:
    """Render a live fragment from what `Panel.context` gave, into the page that shows it first."""
    template_name = values["panel"]["template"]
    with context.push(**values):
        html: SafeString = get_template(template_name).template.render(context)  # type: ignore[attr-defined]
    return html
