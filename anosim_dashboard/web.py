"""The web process: uvicorn on HOST and PORT, or on a socket that the supervisor opened and keeps open.

A browser that comes while the supervisor starts this process again waits a moment instead of being refused.
Usage: python -m anosim_dashboard.web [FILE_DESCRIPTOR]
"""

import socket
import sys

import uvicorn

from .environment import BadEnvironment, env, env_int, load_dotenv
from .programs import BASE_DIR, listen

# An open live stream ends only when it is told to.
GRACE_SECONDS = 3


def main() -> None:
    try:
        listener = _listener()
    except BadEnvironment as error:
        sys.exit(str(error))
    config = uvicorn.Config(
        "anosim_dashboard.asgi:application",
        lifespan="auto",
        access_log=False,
        server_header=False,
        # Whoever may speak for others is said by TRUSTED_PROXIES alone (dashboard/client_address.py).
        proxy_headers=False,
        # Ours (settings.LOGGING), which masks secrets.
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listener() -> socket.socket:
    """Raises BadEnvironment."""
    if len(sys.argv) > 1:
        return socket.socket(fileno=int(sys.argv[1]))
    load_dotenv(BASE_DIR / ".env")
    return listen(env("HOST", "127.0.0.1").strip("[]"), env_int("PORT", 8000, minimum=0, maximum=65535))


if __name__ == "__main__":
    main()
