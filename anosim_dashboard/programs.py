"""What `script/server` runs: its few own settings, the listening socket, every program's command line."""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import embedded_redis
from .children import Child
from .environment import BadEnvironment, env, env_int, env_list, env_secret, load_dotenv

BASE_DIR = Path(__file__).resolve().parent.parent
# What we sent and nobody acknowledged for so long ends the connection. A live stream sends at least every 15 seconds,
# so a browser that vanished without a word (a laptop taken off the network) is noticed within 30.
UNANSWERED_MS = 14_000


@dataclass
class Plan:
    """Everything the supervisor has to run. `awaited` names what is not up yet, "" when all is."""

    address: str
    data_dir: Path
    redis: Child | None
    redis_answers: Callable[[], bool]
    prepare: Sequence[str]
    sandbox: Child | None
    programs: Sequence[Child]
    awaited: Callable[[], str]
    worker_file: Path
    listener: socket.socket | None = None
    prepare_environment: dict[str, str] = field(default_factory=dict)


def read_data_dir() -> Path:
    """The data folder, made if need be, for us alone. Raises BadEnvironment."""
    load_dotenv(BASE_DIR / ".env")
    folder = Path(env("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadEnvironment(
            f"The data folder {folder} cannot be used ({error.strerror}): make it writable, or set DATA_DIR."
        ) from None
    return folder


def plan(data_dir: Path) -> Plan:
    """The plan that the environment asks for. Raises BadEnvironment."""
    host = env("HOST", "127.0.0.1").strip("[]")
    listener = listen(host, env_int("PORT", 8000, minimum=0, maximum=65535))
    port = listener.getsockname()[1]
    worker_file = data_dir / "worker.alive"
    sandbox = None if env_secret("ANOSIM_API_KEY") else Sandbox(data_dir)

    def awaited() -> str:
        if not answers_healthy(host, port):
            return "web"
        return "" if worker_file.exists() else "worker"

    own_redis = not env_secret("REDIS_URL")
    return Plan(
        address=f"http://{f'[{host}]' if ':' in host else host}:{port}/",
        data_dir=data_dir,
        redis=Child("redis", embedded_redis.command(data_dir)) if own_redis else None,
        redis_answers=lambda: embedded_redis.answers(data_dir),
        prepare=(sys.executable, "manage.py", "prepare"),
        prepare_environment={"SANDBOX_URL": sandbox.url, "SANDBOX_KEY": sandbox.key} if sandbox else {},
        sandbox=sandbox.child() if sandbox else None,
        programs=_programs(worker_file, listener),
        awaited=awaited,
        worker_file=worker_file,
        listener=listener,
    )


def _programs(worker_file: Path, listener: socket.socket) -> list[Child]:
    """Worker first: it takes longest to come up."""
    python, fd = (sys.executable, "-m"), listener.fileno()
    return [
        Child("worker", (*python, "anosim_dashboard.worker"), {"WORKER_ALIVE_FILE": str(worker_file)}),
        Child("web", (*python, "anosim_dashboard.web", str(fd)), keep_open=(fd,)),
        Child("beat", (*python, "anosim_dashboard.beat")),
    ]


class Sandbox:
    """The stand-in provider of an install without a key. The data folder keeps its port and key."""

    def __init__(self, data_dir: Path) -> None:
        self._state = data_dir / "sandbox.json"
        self.key = _kept(data_dir / "sandbox.key", lambda text: len(text) > 15, lambda: os.urandom(24).hex())
        self.port = int(_kept(data_dir / "sandbox.port", _is_free, _free_port))
        self.url = f"http://127.0.0.1:{self.port}/api/v1"

    def child(self) -> Child:
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--state", str(self._state))
        return Child("sandbox", (sys.executable, "-m", "dashboard.sandbox", *where, "--key", self.key))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, held as long as we live. Raises BadEnvironment."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise BadEnvironment(f"HOST is {host!r}, which is no address of this machine.") from None
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; every connection has it from the listener
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise BadEnvironment(_why_not(error, host, port)) from None
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use: stop the program that uses it, or set PORT to a free one."
    if error.errno == errno.EACCES:
        return f"Port {port} is reserved for the system: set PORT to a number from 1024."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HOST is {host!r}, which is no address of this machine."
    return f"Port {port} on {host} cannot be opened ({error.strerror}): check HOST and PORT."


def answers_healthy(host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether /healthz says 200. By hand: an HTTP library would double the memory of the supervisor."""
    # "Any address" is where to listen, not where to call; and Django answers only to the names it is told.
    target = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    name = env_list("ALLOWED_HOSTS", ("localhost",))[0].lstrip(".").replace("*", "localhost")
    request = f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((target, port), timeout) as connection:
            connection.sendall(request.encode("ascii", "replace"))
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _is_free(port: str) -> bool:
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            return False
    return True


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _kept(file: Path, usable: Callable[[str], bool], make: Callable[[], str]) -> str:
    """The file's text; made anew, for us alone, if there is none that can be used."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not usable(text):
        text = make()
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(text + "\n")
    return text
