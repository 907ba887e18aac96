"""The dashboard on several hosts, each part started as docker-compose.yml does, over one PostgreSQL and one Redis."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from anosim_dashboard.children import die_with

from .figures import BASE_DIR
from .network import Network
from .postgres import Postgres
from .stack import StackError, descendants, processor_seconds_of

_WORKER = (
    *(sys.executable, "-m", "celery", "--quiet", "-A", "anosim_dashboard.worker:app", "worker", "--concurrency", "4"),
    *("--max-tasks-per-child", "1000", "--without-gossip", "--without-mingle", "--without-heartbeat"),
)
_BEAT = (
    *(sys.executable, "-m", "celery", "--quiet", "-A", "anosim_dashboard.beat:app", "beat"),
    *("--scheduler", "celery.beat:Scheduler"),
)
PROGRAMS = {"worker": _WORKER, "beat": _BEAT, "web": (sys.executable, "-m", "anosim_dashboard.web")}


class Hosts:
    """`with Hosts(network) as hosts:` has both servers up and the database made; `start` starts programs, by the
    host's name without its number. Everything ends by process id, also when this process is killed."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.folder = Path(tempfile.mkdtemp(prefix="bench-scale-"))
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        hba = self.folder / "pg_hba.conf"
        hba.write_text(f"host all all 127.0.0.1/32 trust\nhost all all {network.subnet} trust\n")
        self.folder.chmod(0o755)
        self._postgres = Postgres(
            self.folder / "postgres", listen_addresses=f"127.0.0.1,{network.gateway}", hba_file=str(hba)
        )
        self._redis_port = _free_port()
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Hosts:
        (self.folder / "postgres").mkdir()
        self._postgres.__enter__()
        try:
            self._start_redis()
            self.environment = self._environment()
            command = [sys.executable, "manage.py", "prepare"]
            environment = {**self.environment, "ADMIN_USERNAME": "bench", "ADMIN_PASSWORD": secrets.token_hex()}
            subprocess.run(command, cwd=BASE_DIR, env=environment, check=True, stdout=subprocess.DEVNULL)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(*[name for name in self._programs if name != "redis"])
        self.stop("redis")
        self._postgres.__exit__()
        if os.environ.get("BENCH_KEEP"):
            print(f"  Kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def database_url(self) -> str:
        return f"postgresql://bench@{self.network.gateway}:{self._postgres.port}/postgres"

    @property
    def redis_url(self) -> str:
        return f"redis://{self.network.gateway}:{self._redis_port}/0"

    def _start_redis(self) -> None:
        gateway = self.network.gateway
        options = ("--protected-mode", "no", "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction")
        where = ("--port", str(self._redis_port), "--bind", "127.0.0.1", gateway, "--dir", str(self.folder))
        self._run("redis", ["redis-server", *where, *options])
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex((gateway, self._redis_port)) == 0:
                    return
            time.sleep(0.05)
        raise StackError("Redis did not come up.")

    def _environment(self) -> dict[str, str]:
        addresses = ("127.0.0.1", *(self.network.address(name) for name in self.network.hosts))
        return {
            **os.environ,
            "DATA_DIR": str(self.folder / "data"),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "ALLOWED_HOSTS": ",".join(addresses),
            "PORT": "8000",
            **dict.fromkeys(("SECRET_KEY", "FIELD_KEYS", "DEBUG", "ANOSIM_API_KEY", "HOST"), ""),
        }

    # Programs --------------------------------------------------------------------------------------

    def start(self, *names: str, ahead: int = 0) -> None:
        """Start the programs of these hosts, whose clocks are `ahead` so many seconds."""
        for name in names:
            clock = {"LD_PRELOAD": self._wrong_clock(), "WRONG_BY": str(ahead)} if ahead else {}
            environment = {
                **self.environment,
                "HOST": self.network.address(name),
                "WORKER_ALIVE_FILE": str(self.folder / f"{name}.alive"),
                **clock,
            }
            self._run(name, self.network.command(name, *PROGRAMS[name.rstrip("0123456789")]), environment)

    def hold_account(self, name: str, pk: int) -> int:
        """Let a program on that host lock the account's row, as one that saves does, and keep it; gives its id."""
        code = (
            "import time, django; django.setup()\n"
            "from django.db import transaction; from dashboard.models import Account\n"
            "with transaction.atomic():\n"
            f" Account.objects.select_for_update().get(pk={pk}); print('held'); time.sleep(300)"
        )
        environment = {**self.environment, "DJANGO_SETTINGS_MODULE": "anosim_dashboard.settings"}
        self._run("holder", self.network.command(name, sys.executable, "-u", "-c", code), environment)
        end = time.monotonic() + 60
        while "held" not in (self.folder / "holder.log").read_text():
            if time.monotonic() > end:
                raise StackError("No program could lock the account.")
            time.sleep(0.1)
        return pk

    def _wrong_clock(self) -> str:
        library = self.folder / "wrong_clock.so"
        source = BASE_DIR / "bench/wrong_clock.c"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        return str(library)

    def _run(self, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._programs[name] = subprocess.Popen(
                command, cwd=BASE_DIR, env=environment, stdout=log, stderr=log, preexec_fn=die_with(os.getpid())
            )

    def stop(self, *names: str, patience: float = 20.0) -> None:
        """SIGTERM to all of them, SIGKILL after a while."""
        ending = [self._programs.pop(name) for name in names]
        for program in ending:
            program.send_signal(signal.SIGTERM)
        end = time.monotonic() + patience
        for program in ending:
            below = descendants(program.pid)
            try:
                program.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                for pid in (program.pid, *below):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                program.wait()

    def processor_seconds(self, kind: str) -> float:
        """What the programs of this kind have used so far."""
        mains = [program.pid for name, program in self._programs.items() if name.startswith(kind)]
        mains += [self._postgres.pid] if kind == "database" else []
        return sum(processor_seconds_of(pid) for main in mains for pid in (main, *descendants(main)))

    def connections(self) -> int:
        """To the database, without this one."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def complaints(self) -> list[str]:
        """Lines of the logs that tell of an error."""
        found = []
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            found += [f"{log.stem}: {line}" for line in lines if " ERROR " in line or " CRITICAL " in line]
        return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
