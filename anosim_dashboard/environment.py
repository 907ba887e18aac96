"""Typed reading of the environment and of `.env`, without Django: the supervisor and settings.py share it.

An empty value counts as not set, because compose files and `.env` write unset variables as `NAME=`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

_LINE = re.compile(r"\A(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)\Z", re.DOTALL)
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True)
class Mail:
    """A mail server. `ssl`: TLS from the first byte; `starttls`: TLS asked for after the greeting."""

    host: str
    port: int
    user: str
    password: str
    ssl: bool
    starttls: bool


class BadEnvironment(Exception):
    """A variable that cannot be used; the text says in one sentence what to do and never quotes a secret."""


def load_dotenv(path: Path | str) -> None:
    """Put the variables of the file at `path` into `os.environ`; one that is set already wins, also an empty one.

    A missing file is fine. One `NAME=value` per line; `export`, blank lines and `# comments` are allowed.
    A value in single quotes is taken as it stands; in double quotes `\\n`, `\\"` and `\\\\` are understood.
    Raises BadEnvironment.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError) as error:
        raise BadEnvironment(f"{file} cannot be read ({_reason(error)}): check its owner and encoding.") from None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise BadEnvironment(f"{file}, line {number}: write it as NAME=value.")
        name, value = match.groups()
        if name not in os.environ:
            os.environ[name] = _unquoted(value, f"{file}, line {number}")


def env(name: str, default: str = "") -> str:
    """The variable's text without surrounding blanks, or `default` where it is not set or empty."""
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool) -> bool:
    """1, true, yes, on or 0, false, no, off in any case. Raises BadEnvironment for anything else."""
    value = env(name).lower()
    if not value:
        return default
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise BadEnvironment(f"{name} must be 1 or 0, not {env(name)!r}.")


def env_int(name: str, default: int, minimum: int | None = None, maximum: int | None = None) -> int:
    """A whole number within the limits, both included. Raises BadEnvironment."""
    value = env(name)
    if not value:
        return default
    number = int(value) if re.fullmatch(r"[+-]?[0-9]{1,18}", value) else None
    if number is None or (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        raise BadEnvironment(f"{name} must be a whole number{_range(minimum, maximum)}, not {value!r}.")
    return number


def env_list(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """The parts of a text with commas between them, blanks around them and empty parts dropped."""
    parts = [part.strip() for part in env(name).split(",")]
    return [part for part in parts if part] or list(default)


def env_networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Networks such as `10.0.0.0/8` or single addresses, with commas between them. Raises BadEnvironment."""
    try:
        return [ip_network(part) for part in env_list(name)]
    except ValueError:
        raise BadEnvironment(f"{name} must be networks such as 10.0.0.0/8, not {env(name)!r}.") from None


def env_time_zone(name: str, default: str) -> str:
    """The name of a time zone that this system knows. Raises BadEnvironment."""
    value = env(name, default)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # a folder of the zone database is an OSError
        raise BadEnvironment(f"{name} must be the name of a time zone such as Europe/Berlin, not {value!r}.") from None
    return value


def env_origins(name: str) -> list[str]:
    """Web addresses without a path, such as `https://example.org`. Raises BadEnvironment."""
    origins = [origin.rstrip("/") for origin in env_list(name)]
    for origin in origins:
        if not re.fullmatch(r"https?://[^/?#@\s]+", origin):
            raise BadEnvironment(f"{name} must be addresses such as https://numbers.example.org, not {origin!r}.")
    return origins


def env_mail(name: str) -> Mail | None:
    """The mail server of a secret such as `smtp://USER:PASSWORD@HOST:587?tls=starttls` or `smtps://…`; None without.

    Raises BadEnvironment, which does not quote it.
    """
    value = env_secret(name)
    if not value:
        return None
    parts = urlsplit(value)
    tls = parse_qs(parts.query).get("tls", [""])[0]
    try:
        port = parts.port or {"smtp": 587 if tls else 25, "smtps": 465}[parts.scheme]
        if not parts.hostname or tls not in ("", "starttls") or (tls and parts.scheme == "smtps"):
            raise ValueError
    except (KeyError, ValueError):
        form = "smtp://USER:PASSWORD@HOST:587?tls=starttls or smtps://USER:PASSWORD@HOST"
        raise BadEnvironment(f"{name} is not one that can be used: write {form}.") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Mail(parts.hostname, port, user, password, ssl=parts.scheme == "smtps", starttls=bool(tls))


def env_secret_url(name: str, schemes: tuple[str, ...]) -> str:
    """A secret that is a URL of one of the schemes, or "". Raises BadEnvironment, which does not quote it."""
    value = env_secret(name)
    if value and not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise BadEnvironment(f"{name} must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    return value


def env_secret(name: str, default: str = "") -> str:
    """The value of NAME, or the content of the file that NAME_FILE points at (a Docker or systemd secret).

    Raises BadEnvironment when both are set or the file cannot be read; the text never quotes the secret.
    """
    value, file = env(name), env(f"{name}_FILE")
    if value and file:
        raise BadEnvironment(f"Set either {name} or {name}_FILE, not both.")
    if not file:
        return value or default
    try:
        content = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadEnvironment(f"{name}_FILE points at {file}, which cannot be read ({_reason(error)}).") from None
    if not content:
        raise BadEnvironment(f"{name}_FILE points at {file}, which is empty.")
    return content


def _unquoted(value: str, where: str) -> str:
    if value[:1] not in ("'", '"'):
        return re.split(r"\s+#", value, maxsplit=1)[0].strip() if not value.startswith("#") else ""
    quote = value[0]
    pattern = r"'([^']*)'" if quote == "'" else r'"((?:[^"\\]|\\.)*)"'
    match = re.fullmatch(pattern + r"\s*(?:#.*)?", value)
    if match is None:
        raise BadEnvironment(f"{where}: the quote {quote} is not closed.")
    text = match.group(1)
    if quote == '"':
        text = re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], text)
    return text


def _range(minimum: int | None, maximum: int | None) -> str:
    if minimum is not None and maximum is not None:
        return f" from {minimum} to {maximum}"
    if minimum is not None:
        return f" of at least {minimum}"
    return f" of at most {maximum}" if maximum is not None else ""


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "input/output error" if isinstance(error, OSError) else "it is not UTF-8 text"
