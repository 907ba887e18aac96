"""The live stream, `/live/`: Server-Sent Events by a raw ASGI handler beside Django.

A Django view would hold a thread and, after the sign-in check, a database connection for as long as the page
stays open; this handler holds neither. Its checks are those of any page: host, origin, session, person.
"""

import asyncio
import logging
import random
import signal
import threading
from collections.abc import Awaitable, Callable, Set
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseError

from dashboard.headers import PERMISSIONS_POLICY

from .hub import SYNC_FRAME, Client, Hub, end
from .viewer import Viewer, version_for, viewers_of

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PING_EVERY = 15.0  # seconds without an event
OPEN_WITHIN = 15.0  # seconds that a request may wait for the answer who it is
# Seconds after which session, person and accounts are looked at again. With a look each second, the time for
# the answer and the grace it makes 30, after which nobody unchecked may hear anything.
RECHECK_EVERY = 25.0
RECHECK_WITHIN = 2.0
RECHECK_GRACE = 2.0  # a stream lives on so long without an answer from the database
RECHECK_SPREAD = 5.0  # streams that opened together spread their first check over so many seconds
SEND_WITHIN = 30.0  # seconds that a reader may keep its window shut

HELLO = b"retry: 2000\n"
PING = b": ping\n\n"

logger = logging.getLogger(__name__)
hub = Hub()
# Few threads of our own: one for each request, as Django has, would be hundreds when all pages reconnect. The
# later checks have one for themselves, so that such a rush cannot hold them up.
_opening = ThreadPoolExecutor(max_workers=4, thread_name_prefix="live-open")
_checking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live-check")
_guard: asyncio.Task[None] | None = None


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one HTTP request for `/live/`.

    200 with a stream that lasts until either side leaves; 405, 400 (host), 403 (other site), 401 (nobody
    signed in) or 503 (database away, process stopping) as plain text.
    """
    try:
        session_key = _session_key_of(scope)
        viewer = await _admitted(session_key)
    except _Refused as refusal:
        await _refuse(send, refusal)
        return
    _ensure_running()
    await _serve(viewer, session_key, receive, send)


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Run the subscription as long as the server runs, and end all streams as soon as it is told to stop."""
    unhook: Callable[[], None] = _no_hooks
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            hub.stopping = False
            _ensure_running()
            unhook = _end_streams_on_signals()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            unhook()
            await _stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


# --- who may come in


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def _session_key_of(scope: Scope) -> str:
    """The session key of a request that nothing else speaks against. Raises _Refused."""
    if scope["method"] != "GET":
        raise _Refused(405, "Only GET.")
    # The query means nothing here, and one that is no UTF-8 would raise.
    request = ASGIRequest({**scope, "query_string": b""}, BytesIO())
    try:
        host = request.get_host()
    except DisallowedHost:
        raise _Refused(400, "This host name is not in ALLOWED_HOSTS.") from None
    if not _from_our_pages(request, host):
        raise _Refused(403, "Only pages of this site may listen.")
    return request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")


async def _admitted(session_key: str) -> Viewer:
    """Who stands behind the session. Raises _Refused."""
    if hub.stopping:
        raise _Refused(503, "The server is stopping.")
    try:
        viewer = (await _ask_database({session_key}, _opening, OPEN_WITHIN))[session_key]
    except (DatabaseError, TimeoutError):
        raise _Refused(503, "The database does not answer. Try again in a moment.") from None
    if viewer is None:
        raise _Refused(401, "Sign in first.")
    return viewer


def _from_our_pages(request: ASGIRequest, host: str) -> bool:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    # The scheme may differ behind a proxy that ends TLS; the host may not.
    return "://" in origin and urlsplit(origin).netloc == host


async def _ask_database(session_keys: Set[str], threads: ThreadPoolExecutor, within: float) -> dict[str, Viewer | None]:
    """Raises django.db.Error, or TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        return await asyncio.get_running_loop().run_in_executor(threads, viewers_of, session_keys)


async def _refuse(send: Send, refusal: _Refused) -> None:
    body = f"{refusal.text}\n".encode()
    headers = [
        *_common_headers(),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    if refusal.status == 405:
        headers.append((b"allow", b"GET"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _common_headers() -> Headers:
    """What Django's middleware adds to every other answer."""
    hsts = f"max-age={settings.SECURE_HSTS_SECONDS}".encode()
    return [
        (b"cache-control", b"no-store"),
        (b"content-security-policy", settings.SECURE_CSP.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", settings.X_FRAME_OPTIONS.encode()),
        (b"referrer-policy", str(settings.SECURE_REFERRER_POLICY).encode()),
        (b"cross-origin-opener-policy", str(settings.SECURE_CROSS_ORIGIN_OPENER_POLICY).encode()),
        (b"permissions-policy", PERMISSIONS_POLICY.encode()),
        *([(b"strict-transport-security", hsts)] if settings.SECURE_HSTS_SECONDS else []),
    ]


# --- one stream


async def _serve(viewer: Viewer, session_key: str, receive: Receive, send: Send) -> None:
    now = asyncio.get_running_loop().time()
    client = hub.join(viewer, session_key, now - random.uniform(0, min(RECHECK_SPREAD, RECHECK_EVERY / 2)))
    watch = asyncio.create_task(_watch(receive, client))
    try:
        # Asked after joining: what moves from here on comes as a nudge, so nothing falls between.
        hello = HELLO + await _first_sync(viewer)
        await _pump(client, hello, send)
    finally:
        hub.leave(client)
        watch.cancel()


async def _first_sync(viewer: Viewer) -> bytes:
    """The opening `sync` with the version of all that the person sees, or a plain one if the database is away."""
    try:
        async with asyncio.timeout(OPEN_WITHIN):
            loop = asyncio.get_running_loop()
            version = await loop.run_in_executor(_opening, version_for, viewer)
    except (DatabaseError, TimeoutError):
        return SYNC_FRAME
    return f'event: sync\ndata: {{"v":"{version}"}}\n\n'.encode()


async def _watch(receive: Receive, client: Client) -> None:
    """Close the stream as soon as the browser has gone; a body, if one comes, is read and forgotten."""
    while (await receive())["type"] != "http.disconnect":
        pass
    client.close()


async def _pump(client: Client, hello: bytes, send: Send) -> None:
    """Write `hello`, then what waits, until the stream is closed; who takes nothing for SEND_WITHIN is given up."""
    headers = [
        *_common_headers(),
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"x-accel-buffering", b"no"),
    ]
    try:
        await _send_within(send, {"type": "http.response.start", "status": 200, "headers": headers})
        chunk = hello
        while not client.closing:
            await _send_within(send, {"type": "http.response.body", "body": chunk, "more_body": True})
            chunk = await _next_chunk(client)
        await _send_within(send, {"type": "http.response.body", "body": client.last_words})
    except TimeoutError:
        logger.info("A live stream was given up: its reader takes nothing.")


async def _next_chunk(client: Client) -> bytes:
    try:
        async with asyncio.timeout(PING_EVERY):
            await client.wake.wait()
    except TimeoutError:
        return PING
    return client.take()


async def _send_within(send: Send, message: dict[str, Any]) -> None:
    async with asyncio.timeout(SEND_WITHIN):
        await send(message)


# --- what runs beside the streams


def _ensure_running() -> None:
    """Start subscription and guard where no lifespan did, or where one of them has ended."""
    global _guard
    hub.start(settings.REDIS_URL)
    if _guard is None or _guard.done():
        _guard = asyncio.create_task(_keep_checking(), name="live guard")


async def _stop() -> None:
    await hub.stop()
    if _guard is not None:
        await end(_guard)


async def _keep_checking() -> None:
    """Look again and again at who listens; nobody keeps a stream for want of an answer."""
    while True:
        await asyncio.sleep(min(1.0, RECHECK_EVERY / 4))
        try:
            await _check_due()
        except Exception:
            logger.exception("The check of open live streams failed; it is tried again.")


async def _check_due() -> None:
    now = asyncio.get_running_loop().time()
    due = [client for client in hub.clients if now - client.checked_at >= RECHECK_EVERY]
    if not due:
        return
    try:
        keys = {client.session_key for client in due}
        viewers = await _ask_database(keys, _checking, RECHECK_WITHIN)
    except (DatabaseError, TimeoutError):
        now = asyncio.get_running_loop().time()
        for client in due:
            if now - client.checked_at >= RECHECK_EVERY + RECHECK_GRACE:
                client.close()
        return
    for client in due:
        _apply(client, viewers[client.session_key], now)


def _apply(client: Client, viewer: Viewer | None, checked_at: float) -> None:
    if viewer is None or viewer.user_id != client.user_id:
        client.close()
        return
    client.checked_at = checked_at
    if viewer.accounts != client.accounts:
        client.accounts = viewer.accounts
        client.sync()


def _end_streams_on_signals() -> Callable[[], None]:
    """End all streams when the process is told to stop; gives a function that undoes this.

    uvicorn waits for open answers before it tells the application of the shutdown, so without this every stop
    would take the whole `--timeout-graceful-shutdown`.
    """
    if threading.current_thread() is not threading.main_thread():
        return _no_hooks
    loop = asyncio.get_running_loop()
    replaced: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def ended(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(hub.close_all)
        replaced[number](number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if callable(handler):
            replaced[number] = handler
            signal.signal(number, ended)

    def unhook() -> None:
        for number, handler in replaced.items():
            if signal.getsignal(number) is ended:
                signal.signal(number, handler)

    return unhook


def _no_hooks() -> None:
    """Nothing was hooked, nothing is undone."""
