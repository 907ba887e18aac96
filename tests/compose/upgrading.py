"""From this version to a next one, which has a migration more, over the same volumes; and back by both ways of the
page docs/upgrading.md.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dashboard.sandbox import Sandbox
from tests.stack import Session

from .course import Course, at_provider, provider
from .living import receive
from .project import OURS, Project, seconds_until

MIGRATIONS = "dashboard/migrations"
NEXT = "9999_of_the_run"
MIGRATION = """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "{newest}")]
    operations = [migrations.CreateModel("OfTheRun", [("id", models.BigAutoField(primary_key=True))])]
"""
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

Way = Callable[[Course, Project, str], None]


def upgrade(course: Course) -> None:
    """Bring this one up with data in it, then the next one; then go back, by both ways."""
    with (
        course.part("e. upgrade and back"),
        provider() as sandbox,
        Project(course.engine, course.image, at_provider(sandbox)) as project,
    ):
        newest = _write_migration(project.folder)
        course.build(f"{course.image}-next", project.folder)
        project.up()
        password = project.first_password()  # later on, the container that told it is gone
        receive(sandbox, "Before the upgrade 717171")
        session = _signed_in(project, password, "Before the upgrade 717171")
        for way in (_take_migrations_back, _restore):
            assert seconds_until(lambda: _has_all(project, sandbox), 90) < 90, "not all SMS were read"
            project.exec("web", "python", "manage.py", "backup", BACKUP)
            then = project.sql("SELECT now()").strip()
            kept = _kept(project, then)
            _go_on(course, project)
            course.hold("data after the upgrade", *_differ(kept, _kept(project, then)))
            course.hold("still signed in after it", *([] if _shows(session, "717171") else ["no"]))
            _go_back(course, project, way, newest)
            course.hold("data after going back", *_differ(kept, _kept(project, then)))
            receive(sandbox, f"Back {way.__name__}")
            began = time.monotonic()
            session = _signed_in(project, password, f"Back {way.__name__}")
            course.report.add("signed in, and a new SMS on the page", time.monotonic() - began, "s", 20)


def _write_migration(folder: Path) -> str:
    """Make the files in the folder those of a next version; gives the newest migration of this one."""
    newest = max(file.stem for file in (folder / MIGRATIONS).glob("0*.py"))
    (folder / MIGRATIONS / f"{NEXT}.py").write_text(MIGRATION.format(newest=newest))
    return newest


def _signed_in(project: Project, password: str, text: str) -> Session:
    """Signed in anew, with this message on the page."""
    session = Session(project, "admin", password)  # type: ignore[arg-type]
    assert seconds_until(lambda: _shows(session, text), 60) < 60, f"{text} is not shown"
    return session


def _has_all(project: Project, sandbox: Sandbox) -> bool:
    return int(project.sql("SELECT count(*) FROM dashboard_sms")) == len(sandbox.world.sms)


def _go_on(course: Course, project: Project) -> None:
    """The image of the next version, `up -d`."""
    with _watched(project) as away:
        began = time.monotonic()
        project.use_image(f"{course.image}-next")
        project.up()
    course.report.add("upgrade: until all are healthy", time.monotonic() - began, "s", 180)
    course.report.add("upgrade: longest without a page", max(away), "s")
    at = f"SELECT extract(epoch FROM applied) FROM django_migrations WHERE name = '{NEXT}'"
    applied = project.sql(at).strip()
    course.hold("the migration has come", *([] if applied else ["no"]))
    early = float(applied) - project.python("web", STARTED) - 1  # the kernel tells whole seconds
    course.hold("web waited for migrate", *([f"came {early:.0f} s before its end"] if early > 0 else []))


def _go_back(course: Course, project: Project, way: Way, newest: str) -> None:
    began = time.monotonic()
    project.compose("stop", *OURS[1:], seconds=300)
    way(course, project, newest)
    project.use_image(course.image)
    project.up()
    name = way.__name__.strip("_").replace("_", " ")
    course.report.add(f"{name}: until pages answer again", time.monotonic() - began, "s", 180)


def _take_migrations_back(course: Course, project: Project, newest: str) -> None:
    """By the new version: what came since stays."""
    project.compose("run", "--rm", "--no-deps", "-T", "web", "python", "manage.py", "migrate", "dashboard", newest)


def _restore(course: Course, project: Project, newest: str) -> None:
    """By the old version: as it was when the backup was taken."""
    project.use_image(course.image)
    time.sleep(21)  # it refuses while the last sign of life is younger
    command = ("python", "manage.py", "restore", BACKUP, "--replace")
    project.compose("run", "--rm", "--no-deps", "-T", "web", *command)


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
