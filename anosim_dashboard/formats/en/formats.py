"""How Django's admin writes times: as our own pages do (local_time.Clock.full), not the American way."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i"
