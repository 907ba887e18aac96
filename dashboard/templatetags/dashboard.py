"""Filters and tags of the templates: thin names for `wording` and `foreign_text`."""

from typing import Any

from django import template
from django.template import Context
from django.template.loader import get_template
from django.utils.safestring import SafeString

from .. import foreign_text, wording

register = template.Library()

register.filter("country", wording.country_name)
register.filter("flag", wording.flag_code)
register.filter("number", wording.number_text)
register.filter("rental_type", wording.rental_type_text)
register.filter("service", wording.service_text)
register.filter("duration", wording.duration_text)
register.filter("usd", wording.usd)
register.filter("halves", wording.code_halves)
register.filter("visible", foreign_text.visible)


@register.simple_tag(takes_context=True)
def panel(context: Context, values: dict[str, Any]) -> SafeString:
    """Render a live fragment from what `Panel.context` gave, into the page that shows it first."""
    template_name = values["panel"]["template"]
    with context.push(**values):
        html: SafeString = get_template(template_name).template.render(context)  # type: ignore[attr-defined]
    return html
