"""The last line of defence for secrets: no log line leaves the process with a key that it has ever opened.

Nothing logs a key on purpose. This filter covers what others may do with it, a library at DEBUG or the text of an
exception.
"""

import logging

_known: set[str] = set()
MASK = "[key]"


def remember(secret: str) -> None:
    """From now on, this process masks `secret` in its logs. Short ones are left alone: they would mask plain words."""
    if len(secret) >= 8:
        _known.add(secret)


def redact(text: str) -> str:
    """The text with every known secret masked."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


class RedactSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not _known:
            return True
        message = record.getMessage()
        if redact(message) != message:
            record.msg, record.args = redact(message), None
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        elif record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
