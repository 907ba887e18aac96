"""Filters of the templates: thin names for `wording`."""

from django import template

from .. import wording

register = template.Library()

register.filter("country", wording.country_name)
register.filter("flag", wording.flag_code)
register.filter("number", wording.number_text)
register.filter("rental_type", wording.rental_type_text)
register.filter("service", wording.service_text)
register.filter("duration", wording.duration_text)
register.filter("usd", wording.usd)
register.filter("halves", wording.code_halves)
