"""From one Redis subscription per process to all open streams of that process.

Nudges are coalesced per account and topic before they fan out, and each stream keeps only the newest nudge of
each: a slow reader costs no memory. Everything here runs on one event loop, so nothing needs a lock.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .topics import CHANNEL, TOPICS
from .viewer import Viewer

Key = tuple[int, str]  # account, topic

WINDOW = 0.3  # seconds in which a topic of an account is told at most once
HEARTBEAT = 10.0  # seconds of silence after which Redis is asked whether it lives
CONNECT_TIMEOUT = 2.0
FIRST_DELAY, LAST_DELAY = 0.1, 2.0  # seconds between two tries to reach Redis
STREAMS_PER_USER = 100  # a screen on the wall of each room may share one person

SYNC_FRAME = b"event: sync\ndata: {}\n\n"
# A browser whose stream had to make room comes back late instead of pushing out the next one at once.
CROWDED_FRAME = b"retry: 60000\n\n"

logger = logging.getLogger(__name__)


class Client:
    """One open stream: what its person may see, and what is not yet written to it."""

    __slots__ = (
        "_sync",
        "accounts",
        "checked_at",
        "closing",
        "last_words",
        "pending",
        "session_key",
        "user_id",
        "wake",
    )

    def __init__(self, viewer: Viewer, session_key: str, checked_at: float) -> None:
        self.user_id = viewer.user_id
        self.accounts = viewer.accounts
        self.session_key = session_key
        self.checked_at = checked_at
        self.wake = asyncio.Event()
        self.closing = False
        self.last_words = b""
        self.pending: dict[Key, bytes] = {}
        self._sync = False

    def nudge(self, key: Key, frame: bytes) -> None:
        """Keep the newest frame of the key, if the person may see the account."""
        if key[0] in self.accounts and not self._sync:
            self.pending[key] = frame
            self.wake.set()

    def sync(self) -> None:
        """Let every panel of the page ask again; that covers all nudges that wait."""
        self._sync = True
        self.pending.clear()
        self.wake.set()

    def close(self, last_words: bytes = b"") -> None:
        """End the stream; what waits is dropped, `last_words` are still written."""
        self.closing = True
        self.last_words = last_words
        self.pending.clear()
        self.wake.set()

    def take(self) -> bytes:
        """All that waits, as one piece for the wire; empty when nothing does."""
        chunk = SYNC_FRAME if self._sync else b"".join(self.pending.values())
        self._sync = False
        self.pending.clear()
        self.wake.clear()
        return chunk


@dataclass(slots=True)
class _Window:
    told: int
    newest: int


class Coalescer:
    """Passes on the first version of a key at once, then at most the newest one per WINDOW."""

    def __init__(self, deliver: Callable[[Key, int], None]) -> None:
        self._deliver = deliver
        self._windows: dict[Key, _Window] = {}

    def add(self, key: Key, version: int) -> None:
        """Versions may come out of order from several workers: the highest of a window wins."""
        window = self._windows.get(key)
        if window is not None:
            window.newest = max(window.newest, version)
            return
        self._windows[key] = _Window(told=version, newest=version)
        self._deliver(key, version)
        self._close_later(key)

    def _close_later(self, key: Key) -> None:
        asyncio.get_running_loop().call_later(WINDOW, self._close, key)

    def _close(self, key: Key) -> None:
        window = self._windows[key]
        if window.newest == window.told:
            del self._windows[key]
            return
        window.told = window.newest
        self._deliver(key, window.newest)
        self._close_later(key)


class Hub:
    """The streams of this process and the one subscription that feeds them."""

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self.stopping = False
        self._by_user: dict[int, dict[Client, None]] = {}
        self._coalescer = Coalescer(self._fan_out)
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    def start(self, url: str) -> None:
        """Subscribe in the background, for ever, to the Redis at `url`; does nothing if that runs already."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen_for_ever(url), name="live hub")

    async def stop(self) -> None:
        """End all streams and the subscription."""
        self.close_all()
        if self._task is not None:
            await end(self._task)

    def close_all(self) -> None:
        """Ask every stream to end and take no more, because the process is about to stop."""
        self.stopping = True
        for client in self.clients:
            client.close()

    def join(self, viewer: Viewer, session_key: str, checked_at: float) -> Client:
        """Add a stream; the person's oldest ones make room so that STREAMS_PER_USER stay."""
        client = Client(viewer, session_key, checked_at)
        mine = self._by_user.setdefault(viewer.user_id, {})
        while len(mine) >= STREAMS_PER_USER:
            oldest = next(iter(mine))
            oldest.close(CROWDED_FRAME)
            self.leave(oldest)
        mine[client] = None
        self._by_user[viewer.user_id] = mine
        self.clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Forget a stream; harmless when it is forgotten already."""
        self.clients.discard(client)
        mine = self._by_user.get(client.user_id, {})
        mine.pop(client, None)
        if not mine:
            self._by_user.pop(client.user_id, None)

    def receive(self, data: bytes | str) -> None:
        """Take one message of the channel; one that is no nudge of ours is ignored."""
        try:
            match json.loads(data):
                case {"a": int(account), "t": str(topic), "v": int(version)} if topic in TOPICS:
                    self._coalescer.add((account, topic), version)
                case _:
                    logger.debug("A message on the live channel is not a nudge.")
        except ValueError:
            logger.debug("A message on the live channel is not JSON.")

    def sync_all(self) -> None:
        """Tell every stream that nudges may have been lost."""
        for client in self.clients:
            client.sync()

    def _fan_out(self, key: Key, version: int) -> None:
        data = json.dumps({"a": key[0], "t": key[1], "v": version}, separators=(",", ":"))
        frame = f"event: nudge\ndata: {data}\n\n".encode()
        for client in self.clients:
            client.nudge(key, frame)

    async def _listen_for_ever(self, url: str) -> None:
        delay = FIRST_DELAY
        while True:
            try:
                async with _connect(url) as redis, redis.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    async for kind, data in _messages(pubsub):
                        if kind == "message":
                            self.receive(data)
                        elif kind == "subscribe":
                            delay = FIRST_DELAY
                            self._found()
            except (RedisError, OSError) as error:
                self._missed(error)
            except Exception:
                # Whatever else a broken connection may raise: live pages must not end with it.
                logger.exception("The live subscription broke; it is made anew.")
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LAST_DELAY)

    def _found(self) -> None:
        if self._lost:
            logger.info("The live subscription is back.")
        self._lost = False
        # Also after redis-py reconnected by itself: what was published in between is gone.
        self.sync_all()

    def _missed(self, error: Exception) -> None:
        if not self._lost:
            logger.warning(
                "The live subscription is lost (%s); pages follow by their slow poll until Redis is back.",
                type(error).__name__,
            )
        self._lost = True


async def end(task: asyncio.Task[None]) -> None:
    """Cancel the task until it has ended: a time-out that strikes at the same moment swallows a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.5)


def _connect(url: str) -> Redis:
    # No retry inside redis-py: the loop above is the one place that waits and tries again.
    return Redis.from_url(
        url,
        socket_timeout=CONNECT_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


async def _messages(pubsub: PubSub) -> AsyncIterator[tuple[str, Any]]:
    """Kind and data of what comes; raises RedisTimeoutError when Redis keeps silent over a ping."""
    asked = False
    while True:
        message = await pubsub.get_message(timeout=HEARTBEAT)
        if message is not None:
            asked = False
            yield message["type"], message["data"]
        elif asked:
            raise RedisTimeoutError("no answer to a ping")
        else:
            asked = True
            await pubsub.ping()
