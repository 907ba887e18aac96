"""ASGI entry: the live stream is answered beside Django (stack.md Q3), everything else by Django."""

import os
import warnings
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anosim_dashboard.settings")
# WhiteNoise gives files as plain iterators, which Django reads in one go: small files, no harm, and nothing to do.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
_django = get_asgi_application()

from dashboard.live import stream  # noqa: E402 (needs the apps that get_asgi_application loads)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await stream.lifespan(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/live/":
        await stream.stream(scope, receive, send)
    else:
        await _django(scope, receive, send)
