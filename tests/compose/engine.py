"""Docker where there is one, else podman with podman-compose: the few words that both understand."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path


class NoEngine(Exception):
    """Neither of the two can run containers here; the text says what is missing."""


class EngineError(Exception):
    """A command of the engine failed; the text holds it and its last words."""


@dataclass(frozen=True)
class Engine:
    """`name` runs containers, `compose` whole projects."""

    name: str
    compose: tuple[str, ...]

    def run(self, *words: str, given: str | None = None, seconds: float = 600) -> str:
        """`docker WORDS`; gives what it printed. `given` is its standard input. Raises EngineError."""
        return call((self.name, *words), given=given, seconds=seconds)

    def containers(self, project: str, service: str = "") -> list[str]:
        """Ids of the containers of a project, ended ones too, the oldest first."""
        wanted = [f"label=com.docker.compose.project={project}"]
        wanted += [f"label=com.docker.compose.service={service}"] if service else []
        found = self.run("ps", "-aq", *(word for each in wanted for word in ("--filter", each)))
        return list(reversed(found.split()))

    def told(self, container: str, template: str) -> str:
        """What `inspect` says of it, by a template of Go's."""
        return self.run("inspect", "-f", template, container).strip()

    def process(self, container: str) -> int:
        """Process id of its main process, as this machine counts; 0 if it does not run."""
        return int(self.told(container, "{{.State.Pid}}"))

    def is_healthy(self, container: str) -> bool:
        """Whether it runs, and its health check, if it has one, is content."""
        if self.told(container, "{{.State.Running}}") != "true":
            return False
        if self.name == "podman":
            # Without systemd nobody asks by himself; asking once more does no harm.
            asked = subprocess.run(
                (self.name, "healthcheck", "run", container), capture_output=True, text=True, check=False
            )
            return asked.returncode == 0 or "no defined healthcheck" in asked.stderr
        return self.told(container, "{{if .State.Health}}{{.State.Health.Status}}{{end}}") in ("", "healthy")

    def kill(self, container: str, image: str) -> None:
        """SIGKILL to its main process. `docker kill` would be a wish, after which nothing starts it again."""
        process = self.process(container)
        try:
            os.kill(process, signal.SIGKILL)
        except PermissionError:
            code = f"import os; os.kill({process}, 9)"
            rights = ("--pid", "host", "--user", "0", "--cap-add", "KILL")
            self.run("run", "--rm", *rights, "--entrypoint", "python", image, "-c", code)

    def host_address(self) -> str:
        """Under which containers find this machine, for `extra_hosts`."""
        if self.name == "docker":
            return "host-gateway"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("203.0.113.1", 9))  # sends nothing: the system says from where it would
            return str(probe.getsockname()[0])


def find() -> Engine:
    """Docker with its compose if its engine answers, else podman with podman-compose. Raises NoEngine."""
    if _works("docker", "info") and _works("docker", "compose", "version"):
        return Engine("docker", ("docker", "compose"))
    if _works("podman", "info") and _works("podman-compose", "version"):
        return Engine("podman", ("podman-compose",))
    raise NoEngine("Containers cannot be run here: neither docker with compose nor podman with podman-compose answers.")


def _works(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def call(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    without: Collection[str] = (),
    given: str | None = None,
    seconds: float = 600,
) -> str:
    """What the command printed to standard output; `without` names variables that it is not to see.

    Raises EngineError if it fails or takes too long.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name not in without},
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"{' '.join(command)[:200]} took more than {seconds:g} s") from None
    if done.returncode:
        raise EngineError(f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return done.stdout
