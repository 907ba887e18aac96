"""Hosts of their own on one machine: a network namespace each, wired to a bridge, so that a cable can be pulled.

Needs root and iproute2. What a run leaves that was killed is taken away by the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_BRIDGE = re.compile(r"scale(\d+)")
_NAMESPACE = re.compile(r"scale(\d+)-\w+")


class Network:
    """`with Network(["worker1", "web1"]) as network:` makes the hosts; `command` runs a program on one of them.

    This process reaches them, and they it, at `gateway`. Raises CalledProcessError where namespaces are not allowed.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._bridge = f"scale{os.getpid()}"
        self._numbers = {name: number for number, name in enumerate(hosts, 10)}
        self._prefix = ""

    @property
    def gateway(self) -> str:
        return f"{self._prefix}.1"

    @property
    def subnet(self) -> str:
        return f"{self._prefix}.0/24"

    @property
    def hosts(self) -> list[str]:
        return list(self._numbers)

    def address(self, host: str) -> str:
        return f"{self._prefix}.{self._numbers[host]}"

    def __enter__(self) -> Network:
        clean_up()
        self._prefix = _free_prefix()
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("address", "add", f"{self.gateway}/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            for host in self._numbers:
                self._add(host)
        except BaseException:
            _take_away(self._bridge)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _take_away(self._bridge)

    def _add(self, host: str) -> None:
        space, cable = self._space(host), self._cable(host)
        _ip("netns", "add", space)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", cable, "master", self._bridge, "up")
        _ip("-n", space, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        _ip("-n", space, "link", "set", "lo", "up")

    def command(self, host: str, *words: str) -> list[str]:
        """The command line that runs `words` there, under the host's own name, with the id of the process kept."""
        named = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host)
        return ["ip", "netns", "exec", self._space(host), *named, *words]

    def cut(self, host: str) -> None:
        """Pull its cable: nothing comes or goes, and nobody is told."""
        _ip("link", "set", self._cable(host), "down")

    def mend(self, host: str) -> None:
        _ip("link", "set", self._cable(host), "up")

    def _space(self, host: str) -> str:
        return f"{self._bridge}-{host}"

    def _cable(self, host: str) -> str:
        return f"{self._bridge}v{self._numbers[host]}"  # 15 letters at most


def clean_up() -> None:
    """Take away what runs left that did not come to their end."""
    names = {row["ifname"] for row in _ip_json("link")} | {row["name"] for row in _ip_json("netns", "list")}
    for name in sorted(names):
        found = _BRIDGE.fullmatch(name) or _NAMESPACE.fullmatch(name)
        if found and not Path(f"/proc/{found[1]}").exists():
            _take_away(f"scale{found[1]}")


def _take_away(bridge: str) -> None:
    """End what still runs on the hosts, by process id, and remove them; a cable goes with its namespace."""
    for row in _ip_json("netns", "list"):
        if not row["name"].startswith(f"{bridge}-"):
            continue
        for pid in _ip("netns", "pids", row["name"]).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "delete", row["name"])
    if any(row["ifname"] == bridge for row in _ip_json("link")):
        _ip("link", "delete", bridge)


def _free_prefix() -> str:
    """The first three numbers of a private network that no interface and no route of this machine uses."""
    taken = _ip("-4", "address") + _ip("-4", "route", "show", "table", "all")
    return next(prefix for number in range(1, 255) if f" {(prefix := f'10.79.{number}')}." not in taken)


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def _ip_json(*words: str) -> list[dict[str, Any]]:
    said = _ip("-json", *words)
    return json.loads(said) if said.strip() else []
