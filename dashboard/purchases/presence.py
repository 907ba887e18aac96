"""Which process sends a purchase, and whether that process still lives: asked on its own host only."""

import os
import socket
import time
from functools import cache
from pathlib import Path


def me() -> str:
    """This process, as "host|boot|pid|started": unlike a number alone, never the name of another process later."""
    return "|".join((_host(), _boot(), str(os.getpid()), _started(os.getpid())))


def is_gone(name: str) -> bool:
    """Whether the process of that name ran on this host and has ended. Of another host's we know nothing: False."""
    parts = name.split("|")
    if len(parts) != 4 or parts[0] != _host():
        return False
    if parts[1] != _boot():
        return True
    return not parts[2].isdigit() or _started(int(parts[2])) != parts[3]


def boot_seconds() -> float:
    """Seconds since this machine booted, those in which it slept included; no hand at the clock moves them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot() -> str:
    """Which boot of which machine the seconds are of."""
    return f"{_host()}|{_boot()}"


@cache
def _host() -> str:
    return socket.gethostname().replace("|", "-")


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Start time of a process in the kernel's ticks; "" for one that is not there (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]
