"""The web process of `script/server`: uvicorn on a socket that the supervisor opened and keeps open.

A browser that comes while this process starts again waits a moment instead of being refused.
Usage: python -m anosim_dashboard.web FILE_DESCRIPTOR
"""

import socket
import sys

import uvicorn

from .environment import env

# An open live stream ends only when it is told to.
GRACE_SECONDS = 3


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(
        "anosim_dashboard.asgi:application",
        lifespan="auto",
        access_log=False,
        server_header=False,
        # Whoever may speak for others is said by TRUSTED_PROXIES alone (dashboard/client_address.py).
        proxy_headers=False,
        log_level="warning" if env("LOG_LEVEL", "INFO").upper() == "INFO" else env("LOG_LEVEL").lower(),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
