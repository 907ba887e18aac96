"""How we connect to PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A host that is gone says nothing, and the systems would ask after two hours: until then a transaction that it had
# begun would hold the row of an account, and our processes would wait for a server that will not answer. Both sides
# ask after five seconds of silence, and give the other up after so many.
GONE_AFTER = 15
_ASKING = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3}


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Django's OPTIONS, over what the URL says.

    The pool keeps connections across requests; lock_timeout turns a stuck writer into an error instead of a hang.
    """
    of_the_server: dict[str, int | str] = {f"tcp_{name}": value for name, value in _ASKING.items()}
    of_the_server |= {"tcp_user_timeout": f"{GONE_AFTER}s", "lock_timeout": "20s"}
    return {
        **_ASKING,
        "tcp_user_timeout": GONE_AFTER * 1000,
        **given,
        "pool": {"min_size": 1, "max_size": 20, "timeout": 10},
        "options": " ".join(f"-c {name}={value}" for name, value in of_the_server.items()),
    }
