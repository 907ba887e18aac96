"""Secrets that the first start makes and keeps in the data folder, for an install that sets none itself."""

import os
import secrets
from pathlib import Path

from .environment import BadEnvironment, env_secret


def secret_or_stored(name: str, folder: Path) -> str:
    """The variable `name` (or its _FILE), else the content of `folder/name`, made at first need with mode 0600.

    Two processes that start together agree: the file is created exclusively, and the loser reads the winner's.
    Raises BadEnvironment when the folder cannot be written.
    """
    if value := env_secret(name):
        return value
    file = folder / name.lower()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _create(file, secrets.token_urlsafe(48))
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise BadEnvironment(
            f"The data folder {folder.parent} cannot be used ({error.strerror}): make it writable, or set DATA_DIR."
        ) from None


def _create(file: Path, value: str) -> None:
    """Write to a name of our own first and link it in place, so that nobody ever reads half a secret."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(value + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
