"""A PostgreSQL server of one's own on a free port, which a measurement may kill, restart and fill."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


class NoPostgres(Exception):
    """The programs of PostgreSQL are not on this machine."""


def programs() -> Path:
    """Where initdb and pg_ctl are. Raises NoPostgres."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
    if not places:
        raise NoPostgres("There is no PostgreSQL on this machine.")
    return places[-1]


class Postgres:
    """`with Postgres() as server:` makes and starts a cluster that is durable, as in production (fsync on).

    `options` go to the server as `-c`. Ends by process id, and takes its files away. Raises NoPostgres.
    """

    def __init__(self, folder: Path | None = None, **options: str) -> None:
        self._bin = programs()
        self._folder = folder or Path(tempfile.mkdtemp(prefix="bench-postgres-"))
        self._cluster = self._folder / "cluster"
        self._options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "''", **options}
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]

    def __enter__(self) -> Postgres:
        if os.getuid() == 0:
            self._folder.chmod(0o755)
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", str(self._cluster), "-U", "bench", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://bench@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Of the postmaster; 0 if it does not run."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self._cluster / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, 0)
            return pid
        return 0

    def start(self) -> None:
        """Returns when it answers, after a kill once it has recovered."""
        options = " ".join(f"-c {name}={value}" for name, value in self._options.items())
        log = str(self._folder / "log")
        self._run(
            "pg_ctl", "-D", str(self._cluster), "-l", log, "-w", "-t", "60", "-o", f"-p {self.port} {options}", "start"
        )

    def stop(self) -> None:
        """In an orderly way, with no patience for clients."""
        if pid := self.pid:
            os.kill(pid, signal.SIGINT)
            self._gone(pid)

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children see that and end by themselves."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        self._gone(pid)

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as the owner of everything."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _gone(self, pid: int) -> None:
        ends = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists() and time.monotonic() < ends:
            time.sleep(0.02)

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._bin / program), *words]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL)
