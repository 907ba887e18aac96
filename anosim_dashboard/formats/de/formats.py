"""How Django itself writes German: times as our own pages do, numbers as in English.

Pages say amounts by `wording.usd` and counts by `wording.whole`. Whatever else a template prints is for machines, such
as the price in a hidden field or a data attribute, and must be the same in every language.
"""

DATE_FORMAT = "j. N Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j. N Y, H:i"
DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ","
