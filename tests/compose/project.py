"""One compose project of a run: files in a folder of its own, free ports, its own volumes, gone afterwards.

It stands in for tests.stack.Stack, so that what drives the embedded dashboard drives the containers, too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from .engine import Engine, EngineError, call

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("migrate", "web", "worker", "beat")
LASTING = ("postgres", "redis", "web", "worker", "beat")
PROVIDER = "provider"  # the name under which containers reach the sandbox of this machine
HEALTHY_WITHIN = 180.0


class Project:
    """`with Project(engine, image, variables) as project:` gives it a folder and ends it, volumes included.

    `variables` go to its .env.
    """

    def __init__(
        self,
        engine: Engine,
        image: str,
        variables: dict[str, str],
        *,
        files: tuple[str, ...] = ("docker-compose.yml",),
    ) -> None:
        self.engine, self.image, self.variables = engine, image, variables
        self.folder = Path(tempfile.mkdtemp(prefix="compose-"))
        self.name = self.folder.name.lower().replace("_", "x")
        self.web_port, self.postgres_port, self.redis_port = free_port(), free_port(), free_port()
        self._files = files
        self.use_files()

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                (Path(tempfile.gettempdir()) / f"{self.name}.log").write_text(self.logs())
        finally:
            self.end()

    # Its files -------------------------------------------------------------------------------------

    def use_files(self) -> None:
        """Put the files of the working tree in its folder, with its .env."""
        for each in self.folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        copy_tree(self.folder)
        lines = {"PORT": str(self.web_port), **self.variables}
        example = (self.folder / ".env.example").read_text()
        self._known = {*re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE), *lines}
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        self.use_image(self.image)

    def use_image(self, image: str) -> None:
        """What `up` will run from now on."""
        self.image = image
        (self.folder / "of-the-run.yml").write_text(json.dumps(self._additions()))

    def _additions(self) -> dict[str, Any]:
        """What the run needs beside the files as they are: its image, a way to the provider, a look inside."""
        ours = {"image": self.image, "extra_hosts": [f"{PROVIDER}:{self.engine.host_address()}"]}
        return {
            "services": {
                **dict.fromkeys(OURS, ours),
                "postgres": {"ports": [f"127.0.0.1:{self.postgres_port}:5432"]},
                "redis": {"ports": [f"127.0.0.1:{self.redis_port}:6379"]},
            }
        }

    # Its life --------------------------------------------------------------------------------------

    def compose(self, *words: str, seconds: float = 600) -> str:
        """`docker compose WORDS`. Raises EngineError."""
        files = [word for name in (*self._files, "of-the-run.yml") for word in ("-f", name)]
        command = (*self.engine.compose, "-p", self.name, *files, *words)
        # What the caller's environment says of them would win over .env.
        return call(command, folder=self.folder, without=self._known, seconds=seconds)

    def up(self, *words: str) -> float:
        """`up -d`, until all is healthy; gives the seconds. Raises EngineError, also if that does not come about."""
        began = time.monotonic()
        self.compose("up", "-d", *words)
        self.wait_healthy()
        return time.monotonic() - began

    def wait_healthy(self, seconds: float = HEALTHY_WITHIN) -> None:
        """Raises EngineError after so many seconds: it says which container is not."""
        end = time.monotonic() + seconds
        while ill := self.ill():
            if time.monotonic() > end:
                raise EngineError(f"not healthy after {seconds:g} s: {', '.join(ill)}\n{self.logs()[-3000:]}")
            time.sleep(0.5)

    def ill(self) -> list[str]:
        """Services of which no container runs, or one is not healthy."""
        found = []
        for service in (*LASTING, *(["caddy"] if len(self._files) > 1 else [])):
            containers = self.engine.containers(self.name, service)
            if not containers or not all(self.engine.is_healthy(each) for each in containers):
                found.append(service)
        return found or ([] if self.get("/healthz")[0] else ["web, from outside"])

    def up_untied(self, *words: str) -> None:
        """As `up`, so that podman's restart policy works, too: podman-compose turns `depends_on` into podman's
        `--requires`, and what requires a container that has ended, as `migrate` has, is not started again (its pull
        request 1476). The order of `depends_on` is kept by hand.
        """
        if self.engine.name != "podman":
            self.up(*words)
            return
        for container in [each for service in reversed(OURS) for each in self.engine.containers(self.name, service)]:
            self.engine.run("rm", "-f", "-t", "10", container)
        self.compose("up", "-d", "migrate", "redis", "postgres")
        self.engine.run("wait", self.container("migrate"))
        self.compose("up", "-d", "--no-deps", *words, *OURS[1:])
        self.wait_healthy()

    def end(self) -> None:
        """Remove containers, networks, volumes and files. Safe to repeat."""
        with contextlib.suppress(EngineError):
            self.compose("down", "-v", "-t", "5", seconds=300)
        # What is left when that broke off; one that others depend on goes in a later round.
        for _ in range(3):
            for container in self.engine.containers(self.name):
                with contextlib.suppress(EngineError):
                    self.engine.run("rm", "-f", "-v", container)
        for kind in ("volume", "network"):
            label = f"label=com.docker.compose.project={self.name}"
            for name in self.engine.run(kind, "ls", "-q", "--filter", label).split():
                with contextlib.suppress(EngineError):
                    self.engine.run(kind, "rm", name)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Its containers --------------------------------------------------------------------------------

    def container(self, service: str) -> str:
        """The id of the service's oldest container."""
        found = self.engine.containers(self.name, service)
        assert found, f"there is no container of {service}"
        return found[0]

    def exec(self, service: str, *words: str, given: str | None = None) -> str:
        """Run a command in the service's container; gives what it printed. Raises EngineError."""
        return self.engine.run("exec", *(("-i",) if given else ()), self.container(service), *words, given=given)

    def python(self, service: str, code: str) -> Any:
        """What a program says as JSON that runs in the container, with the rights of its process."""
        return json.loads(self.exec(service, "python", "-", given=code))

    def sql(self, statement: str) -> str:
        """What PostgreSQL answers, a line a row."""
        return self.exec("postgres", "psql", "-U", "dashboard", "-At", "-c", statement)

    def secret(self, file: str) -> str:
        return self.exec("web", "cat", f"/secrets/{file}").strip()

    def logs(self, service: str = "") -> str:
        """Both outputs of the service's containers, or of all, one after the other."""
        parts = []
        for container in self.engine.containers(self.name, service):
            done = subprocess.run(
                (self.engine.name, "logs", container), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            parts.append(done.stdout)
        return "".join(parts)

    def first_password(self) -> str:
        """Of the admin that the first start made, as `docker compose logs migrate` tells it."""
        found = re.search(r"^Admin: admin (\S+)$", self.logs("migrate"), re.MULTILINE)
        assert found, "migrate did not tell the first admin's password"
        return found[1]

    # As tests.stack.Stack --------------------------------------------------------------------------

    def port(self) -> int:
        return self.web_port

    def kill(self, program: str) -> None:
        """SIGKILL to the main process of the container that runs the program (anosim_dashboard.web, …)."""
        self.engine.kill(self.container(program.rpartition(".")[2]), self.image)

    def get(self, path: str) -> tuple[int, str]:
        """Status and Location; (0, "") if nobody answers, which for the port of a container is not a refusal alone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.getheader("Location", "")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()


def build(engine: Engine, image: str, folder: Path) -> float:
    """Build the image from the files in a folder; gives the seconds. Raises EngineError."""
    began = time.monotonic()
    engine.run("build", "-t", image, str(folder), seconds=1800)
    return time.monotonic() - began


def copy_tree(target: Path) -> None:
    """What the working tree holds of what belongs to the repository."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def seconds_until(true: Callable[[], bool], patience: float, pause: float = 0.25) -> float:
    """Seconds until it is so; `patience` if it never is."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        if true():
            return time.monotonic() - began
        time.sleep(pause)
    return patience
