"""Sealing of secrets at rest by a list of field keys (FIELD_KEYS), newest first.

A sealed value is bound to its row: the row's own context is inside the token and is checked at opening, so that a
ciphertext copied to another row is refused. The keys have nothing to do with SECRET_KEY (reliability.md 4.12).
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class CannotUnseal(Exception):
    """No key of FIELD_KEYS opens the value, or it belongs to another row. The text never holds the value."""


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("FIELD_KEYS is empty: set at least one key.")
    return MultiFernet([Fernet(_derived(key.strip())) for key in keys])


def _derived(key: str) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"anosim-dashboard field key")
    return base64.urlsafe_b64encode(kdf.derive(key.encode()))


def seal(value: str, context: str) -> str:
    """`value` encrypted by the newest key and bound to `context`, as ASCII text."""
    return _box(tuple(settings.FIELD_KEYS)).encrypt(f"{context}\n{value}".encode()).decode("ascii")


def unseal(token: str, context: str) -> str:
    """The value that was sealed for `context`. Raises CannotUnseal; a token is never given back as if it were text."""
    try:
        opened = _box(tuple(settings.FIELD_KEYS)).decrypt(token.encode("ascii")).decode()
    except (InvalidToken, UnicodeError):
        raise CannotUnseal("No key in FIELD_KEYS opens this value. Put the key back that it was sealed with.") from None
    sealed_for, _, value = opened.partition("\n")
    if sealed_for != context:
        raise CannotUnseal("This value was sealed for another row.")
    return value


def reseal(token: str) -> str:
    """The same value sealed by the newest key. Raises CannotUnseal."""
    try:
        return _box(tuple(settings.FIELD_KEYS)).rotate(token.encode("ascii")).decode("ascii")
    except InvalidToken:
        raise CannotUnseal("No key in FIELD_KEYS opens this value. Put the key back that it was sealed with.") from None
