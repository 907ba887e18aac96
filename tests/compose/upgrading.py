"""From the release before the newest migration to this one, over the same volumes, and back by both ways of the page
docs/upgrading.md.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import PurePath

from tests.stack import Session

from .course import Course, at_provider, provider
from .engine import call
from .living import receive
from .project import OURS, ROOT, Project, seconds_until

MIGRATIONS = "dashboard/migrations"
BACKUP = "/data/before"
# What an upgrade may not change, by table; what reading the provider moves by itself is left out.
KEPT = {
    "sms": "account_id, number, sender, text, received_at, code, fingerprint, ordinal",
    "order": "account_id, remote_id, ordered_at, price_usd",
    "booking": "account_id, remote_id, number, country, rental_type, service, starts_at, ends_at, price_usd, note",
    "account": "id, name, sealed_key, base_url, enabled",
    "user": "id, username, password, email, is_superuser",
    "auditevent": "chain, seq, previous, hash",
}

# When the container's main process was started, as seconds since 1970.
STARTED = """
import os, pathlib, re
ticks = int(pathlib.Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
boot = int(re.search(r"^btime (\\d+)", pathlib.Path("/proc/stat").read_text(), re.MULTILINE)[1])
print(boot + ticks / os.sysconf("SC_CLK_TCK"))
"""

Way = Callable[[Project, tuple[str, str], list[str]], None]


def upgrade(course: Course) -> None:
    """Bring the older one up with data in it, then this one; then go back twice."""
    with course.part("e. upgrade and back"):
        older, newest = _before_newest_migration()
        course.report.remark(f"from {older[:12]}, the last before {newest}, to the working tree")
        image = f"{course.image}-before"
        with provider() as sandbox, Project(course.engine, image, at_provider(sandbox), revision=older) as project:
            course.report.add("build of the older one", course.build(image, project.folder), "s")
            course.report.add("older one: until healthy", project.up(), "s", 120)
            password = project.first_password()  # later on, the container that told it is gone
            receive(sandbox, "Before the upgrade 717171")
            session = _signed_in(project, password, "Before the upgrade 717171")
            migrations = _migrations(project)
            for way in (_take_migrations_back, _restore):
                project.exec("web", "python", "manage.py", "backup", BACKUP)
                then = project.sql("SELECT now()").strip()
                kept = _kept(project, then)
                _go_on(course, project, migrations)
                course.hold("data after the upgrade", *_differ(kept, _kept(project, then)))
                course.hold("still signed in after it", *([] if _shows(session, "717171") else ["no"]))
                _go_back(course, project, (image, older), way, migrations)
                course.hold("data after going back", *_differ(kept, _kept(project, then)))
                receive(sandbox, f"Back {way.__name__}")
                began = time.monotonic()
                session = _signed_in(project, password, f"Back {way.__name__}")
                course.report.add("signed in, and a new SMS on the page", time.monotonic() - began, "s", 20)


def _signed_in(project: Project, password: str, text: str) -> Session:
    """Signed in anew, with this message on the page."""
    session = Session(project, "admin", password)  # type: ignore[arg-type]
    assert seconds_until(lambda: _shows(session, text), 60) < 60, f"{text} is not shown"
    return session


def _go_on(course: Course, project: Project, before: list[str]) -> None:
    """The new files and image, `up -d`."""
    with _watched(project) as away:
        project.image, began = course.image, time.monotonic()
        project.use_files()
        project.up()
    course.report.add("upgrade: until all are healthy", time.monotonic() - began, "s", 180)
    course.report.add("upgrade: longest without a page", max(away), "s")
    course.hold("a migration has come", *([] if len(_migrations(project)) > len(before) else ["none"]))
    applied = project.sql("SELECT extract(epoch FROM max(applied)) FROM django_migrations")
    early = float(applied) - project.python("web", STARTED) - 1  # the kernel tells whole seconds
    course.hold("web waited for migrate", *([f"came {early:.0f} s before its end"] if early > 0 else []))


def _go_back(course: Course, project: Project, older: tuple[str, str], way: Way, migrations: list[str]) -> None:
    began = time.monotonic()
    project.compose("stop", *OURS[1:], seconds=300)
    way(project, older, migrations)
    project.image = older[0]
    project.use_files(older[1])
    project.up()
    course.report.add(
        f"{way.__name__.strip('_').replace('_', ' ')}: until pages answer again", time.monotonic() - began, "s", 180
    )


def _take_migrations_back(project: Project, older: tuple[str, str], migrations: list[str]) -> None:
    """By the new version: what came since stays."""
    project.compose(
        "run", "--rm", "--no-deps", "-T", "web", "python", "manage.py", "migrate", "dashboard", migrations[-1]
    )


def _restore(project: Project, older: tuple[str, str], migrations: list[str]) -> None:
    """By the old version: as it was when the backup was taken."""
    project.image = older[0]
    project.use_files(older[1])
    time.sleep(21)  # it refuses while the last sign of life is younger
    project.compose(
        *("run", "--rm", "--no-deps", "-T", "web", "python", "manage.py", "restore", BACKUP, "--replace"),
    )


def _before_newest_migration() -> tuple[str, str]:
    """The commit before the one that brought the newest migration, and the name of that."""
    log = ("git", "log", "-1", "--diff-filter=A", "--name-only", "--format=%H", "--", MIGRATIONS)
    commit, *files = call(log, folder=ROOT).split()
    return call(("git", "rev-parse", f"{commit}^"), folder=ROOT).strip(), PurePath(files[-1]).stem


def _migrations(project: Project) -> list[str]:
    return project.sql("SELECT name FROM django_migrations WHERE app = 'dashboard' ORDER BY name").split()


def _kept(project: Project, until: str) -> dict[str, str]:
    """A mark of the rows of each table."""
    found = {}
    for table, columns in KEPT.items():
        only = f"WHERE at <= '{until}'" if table == "auditevent" else ""
        rows = f"SELECT ROW({columns})::text AS line FROM dashboard_{table} {only}"
        found[table] = project.sql(f"SELECT count(*), md5(string_agg(line, '|' ORDER BY line)) FROM ({rows}) AS lines")
    return found


def _differ(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return [
        f"{table} was {one[table].strip()}, is {other[table].strip()}" for table in one if one[table] != other[table]
    ]


def _shows(session: Session, words: str) -> bool:
    try:
        status, page = session.get("/inbox/")
    except OSError:
        return False
    return status == 200 and words.encode() in page


@contextlib.contextmanager
def _watched(project: Project) -> Iterator[list[float]]:
    """Notes for how long nobody could have a page, while the block runs."""
    away, stop = [0.0], threading.Event()

    def watch() -> None:
        last = time.monotonic()
        while not stop.wait(0.1):
            if project.get("/healthz")[0] == 200:
                last = time.monotonic()
            away.append(time.monotonic() - last)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield away
    finally:
        stop.set()
        thread.join(30)
