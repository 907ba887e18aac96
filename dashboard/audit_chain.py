"""The chain that shows whether the record of deeds was tampered with. Pure functions: no models, no clock.

Each event carries an HMAC-SHA256 over itself and over the HMAC of the event before it, with a number that has no gap;
the head of the chain (models.AuditHead) holds the newest of both under an HMAC of its own. The key is random, one for
each chain, and stored sealed by FIELD_KEYS: whoever can write the database but does not have those cannot make an
event, a number or a head that fits. So each edit, deletion (of the newest ones too), insertion and swap shows. What
does not show from the database alone is that all of it was put back to an older copy, head included: for that the
heads are logged each day (`audit head …`), to be compared by `manage.py check_audit --head`.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from . import encryption

# The chain of events that belong to no account; those of an account have its id.
NO_ACCOUNT = 0
# Counts the chains: one that is gone as a whole, head and all, is missed.
ROOT = -1


def new_sealed_key(chain: int) -> str:
    return encryption.seal(secrets.token_hex(32), _context(chain))


def open_key(sealed: str, chain: int) -> bytes:
    """Raises encryption.CannotUnseal."""
    return bytes.fromhex(encryption.unseal(sealed, _context(chain)))


def link(key: bytes, previous: str, values: Sequence[Any]) -> str:
    """The hash of an event, in hex: of its `values` and of the hash before it (empty for the first)."""
    return _mac(key, "event", previous, *values)


def head_mac(key: bytes, chain: int, seq: int, newest: str) -> str:
    """What holds the head of a chain: so many events, and the hash of the newest."""
    return _mac(key, "head", chain, seq, newest)


def moment(at: datetime) -> str:
    """A time as the hash takes it, the same from every database."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _mac(key: bytes, *values: Any) -> str:
    # JSON: where a value ends and the next begins is never in doubt.
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.digest(key, text.encode("ascii"), "sha256").hex()


def _context(chain: int) -> str:
    return f"audit chain {chain}"
