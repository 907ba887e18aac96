"""A small file system of one's own, which can be filled to the last byte and made read-only under who uses it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

BLOCK = b"\0" * 65536


class Volume:
    """`with Volume(megabytes) as volume:` mounts it in memory at `volume.path`; `part` is a folder in it that can be
    made read-only by itself. Only root may."""

    def __init__(self, megabytes: int) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="crash-volume-"))
        self.part = self.path / "part"
        self._megabytes = megabytes
        self._balloon = self.path / "balloon"

    def __enter__(self) -> Volume:
        _mount("-t", "tmpfs", "-o", f"size={self._megabytes}m,mode=0755", "none", str(self.path))
        self.part.mkdir()
        _mount("--bind", str(self.part), str(self.part))
        return self

    def __exit__(self, *_: object) -> None:
        for place in (self.part, self.path):
            subprocess.run(["umount", "--lazy", str(place)], check=False)
        shutil.rmtree(self.path, ignore_errors=True)

    def fill(self) -> None:
        """Take all room that is left; again and again, for those who use it may free some."""
        with self._balloon.open("ab", buffering=0) as balloon:
            for size in (len(BLOCK), 4096, 1):
                try:
                    while balloon.write(BLOCK[:size]):
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        self._balloon.unlink(missing_ok=True)

    def make_read_only(self, patience: float = 10.0) -> None:
        """The part; whoever has files in it open for writing has to be gone, or to go within `patience` seconds."""
        ends = time.monotonic() + patience
        while time.monotonic() < ends:
            command = ["mount", "-o", "remount,bind,ro", str(self.part)]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                return
            time.sleep(0.02)
        raise AssertionError("the volume stayed in use")

    def make_writable(self) -> None:
        _mount("-o", "remount,bind,rw", str(self.part))


def forbid_growth(pids: Iterable[int]) -> None:
    """For who is not root: these processes can write no file beyond its first byte."""
    for pid in pids:
        _limit(pid, 1)


def allow_growth(pids: Iterable[int]) -> None:
    for pid in pids:
        _limit(pid, resource.RLIM_INFINITY)


def _limit(pid: int, size: int) -> None:
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    except ProcessLookupError:
        return


def is_root() -> bool:
    return os.getuid() == 0


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)
