"""Backups: everything in one file, taken while the dashboard works; taken back into either database; nothing is bought
again."""

from __future__ import annotations

import json
import shutil
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import manage, new_database

FILL = """
from datetime import timedelta
from decimal import Decimal
from django.utils import timezone
from tests.factories import *
from dashboard import audit
from dashboard.models import *
account = make_account("Shop", api_key="canary-key-0123456789abcdef")
admin = User.objects.create_superuser("admin", "", "admin-password")
member = User.objects.create_user("operator", password="operator-password")
Membership.objects.create(user=member, account=account, role="operator", daily_cap_usd=Decimal("12.30"))
booking = make_booking(account, note="Свет 验证", ends_at=None)
for text in ("Your code is 482913", "<b>&amp;\\u0000 نص", "=1+1", "", "👍🏽"):
    make_sms(booking, text.replace("\\u0000", "\\u2400"))
make_sync_states(account)
states = ("queued", "preparing", "sending", "unknown", "confirmed", "needs_review")
for at, status in enumerate(states):
    shop = account if at < 1 else make_account(f"Shop {at}")
    make_purchase(shop, member, status=status, before={"orders": [1, 2], "balance": "3.40"}, sent_at=timezone.now())
BookingChange.objects.create(account=account, booking=booking, kind="cancel", requested_by=member)
alert = Alert.objects.create(account=account, kind="low_balance", words="The balance is low.")
channel = AlertChannel.objects.create(user=member, name="Mail", sealed_address="x")
AlertNotice.objects.create(alert=alert, channel=channel, what="opened")
Invite.make(invited_by=admin, account=account, role="viewer")
for action in ("account.created", "account.changed"):
    audit.by_console(action, account)
"""
STATE = """
import json
from django.apps import apps
told = {}
for model in apps.get_app_config("dashboard").get_models():
    told[model._meta.db_table] = [list(map(str, row)) for row in model._base_manager.order_by("pk").values_list()]
print(json.dumps(told))
"""
# Moved by `_come_to_rest`, or by the migration's own bookkeeping.
MOVED = {
    "dashboard_purchase",
    "dashboard_purchasestep",
    "dashboard_bookingchange",
    "dashboard_invite",
    "dashboard_alertnotice",
    "dashboard_syncstate",
    "dashboard_heartbeat",
    "dashboard_auditevent",
    "dashboard_audithead",
    "dashboard_topicversion",
}


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A database with some of everything, made once, and the data folder with its keys."""
    folder = tmp_path_factory.mktemp("pattern")
    with new_database(folder) as url:
        ran(manage(url, folder, "migrate", "-v0"))
        ran(manage(url, folder, code=FILL))
        yield url, folder


@pytest.fixture
def filled(pattern: tuple[str, Path], tmp_path: Path) -> Iterator[str]:
    """The URL of a copy of it that is this test's own."""
    url, folder = pattern
    shutil.copytree(folder / "secrets", tmp_path / "secrets")
    with new_database(tmp_path, like=url) as copy:
        yield copy


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[str]:
    with new_database(tmp_path) as url:
        yield url


def ran(done: Any) -> str:
    assert done.returncode == 0, done.stderr[-3000:]
    return str(done.stdout)


def state(url: str, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(ran(manage(url, folder, code=STATE)).splitlines()[-1])
    return told


def ask(url: str, folder: Path, code: str) -> str:
    return ran(manage(url, folder, code=f"from dashboard.models import *\n{code}")).strip()


def test_a_backup_comes_back_as_it_was_with_counts_compared(filled: str, empty: str, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    told = ran(manage(filled, tmp_path, "backup", str(file)))
    assert "The keys are not in it" in told
    before = state(filled, tmp_path)

    told = ran(manage(empty, tmp_path, "restore", str(file)))

    assert "all of them compared" in told
    after = state(empty, tmp_path)
    same = [name for name in before if name not in MOVED]
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert len(before["dashboard_sms"]) == 5
    # New rows come after those that were there.
    ask(empty, tmp_path, 'User.objects.create_user("new")')
    # The key opens with the same field keys, which are not in the file.
    code = 'print(Account.objects.get(name="Shop").api_key)'
    assert ask(empty, tmp_path, code) == "canary-key-0123456789abcdef"
    # The chains of the audit hold, and go on.
    assert "backup.restored" in ask(empty, tmp_path, "print(AuditEvent.objects.latest('pk').action)")
    ran(manage(empty, tmp_path, "check_audit"))
    # The search finds texts and notes as before.
    code = "print(Sms.objects.matching('4829').count(), Sms.objects.matching('验证').count())"
    assert ask(empty, tmp_path, code) == "1 5"


def test_what_waited_is_not_bought_again(filled: str, empty: str, tmp_path: Path) -> None:
    ran(manage(filled, tmp_path, "backup", str(tmp_path / "backup")))
    ran(manage(empty, tmp_path, "restore", str(tmp_path / "backup")))
    code = "print(dict(Purchase.objects.order_by('account').values_list('account__name', 'status')))"
    assert ask(empty, tmp_path, code) == str(
        {
            "Shop": "cancelled",
            "Shop 1": "cancelled",
            "Shop 2": "unknown",
            "Shop 3": "unknown",
            "Shop 4": "confirmed",
            "Shop 5": "needs_review",
        }
    )
    assert ask(empty, tmp_path, "print(BookingChange.objects.open().count(), Invite.objects.open().count())") == "0 0"
    # Sweeping finds nothing to send.
    code = "from dashboard.purchases.sweeping import due\nprint([what for what, pk in due()])"
    assert "send" not in ask(empty, tmp_path, code)
    # Nobody is told once more what they were told then, and the accounts may spend as before.
    assert ask(empty, tmp_path, "from dashboard.alerts import telling\nprint(telling.due())") == "[]"
    assert ask(empty, tmp_path, "print(Account.objects.filter(spending_stopped=True).count())") == "0"


KILLED = """
import os, signal
from pathlib import Path
from dashboard.backups import restoring
restoring._come_to_rest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
restoring.restore(Path("{file}"), True)
"""


def test_a_restore_that_is_killed_leaves_nothing_that_buys(filled: str, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    ran(manage(filled, tmp_path, "backup", str(file)))
    before = state(filled, tmp_path)
    killed = manage(filled, tmp_path, code=KILLED.format(file=file))
    assert killed.returncode == -signal.SIGKILL
    if filled.startswith("sqlite"):
        assert state(filled, tmp_path) == before
    else:
        # The tables are there already, with what waited then in them.
        assert ask(filled, tmp_path, "print(Purchase.objects.filter(status='queued').count())") == "1"
        assert ask(filled, tmp_path, "print(Account.objects.filter(spending_stopped=False).count())") == "0"
    # Once more, and all is well.
    ran(manage(filled, tmp_path, "restore", "--replace", str(file)))
    assert ask(filled, tmp_path, "print(Purchase.objects.filter(status='queued').count())") == "0"


def test_no_secret_stands_in_the_file_in_clear(filled: str, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    ran(manage(filled, tmp_path, "backup", str(file)))
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(file) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
        assert "django_session.jsonl" not in archive.namelist()
    assert b"canary-key-0123456789abcdef" not in everything
    for secret in (tmp_path / "secrets").iterdir():
        assert secret.read_bytes().strip() not in everything


def test_data_are_not_overwritten_unless_asked_and_then_set_aside(filled: str, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    ran(manage(filled, tmp_path, "backup", str(file)))
    ask(filled, tmp_path, 'User.objects.create_user("later")')

    refused = manage(filled, tmp_path, "restore", str(file))
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    assert ask(filled, tmp_path, 'print(User.objects.filter(username="later").count())') == "1"

    told = ran(manage(filled, tmp_path, "restore", "--replace", str(file)))
    assert "before_restore_" in told
    assert ask(filled, tmp_path, 'print(User.objects.filter(username="later").count())') == "0"
    # What is set aside is not in the way of the guard of the audit events, nor of the statistics for the search.
    ran(manage(filled, tmp_path, "check_audit"))
    change = "AuditEvent._base_manager.update(action='x')"
    code = f"try:\n    {change}\nexcept Exception as error:\n    print(type(error).__name__)"
    assert ask(filled, tmp_path, code) == "IntegrityError"
    if filled.startswith("postgres"):
        code = (
            "from django.db import connection\ncursor = connection.cursor()\ncursor.execute('SELECT COUNT(*) FROM "
            "pg_statistic_ext WHERE stxrelid = to_regclass(%s)', ['dashboard_sms'])\nprint(cursor.fetchone()[0])"
        )
        assert ask(filled, tmp_path, code) == "1"


def test_a_restore_that_fails_leaves_everything_as_it_was(filled: str, tmp_path: Path) -> None:
    file, damaged = tmp_path / "backup", tmp_path / "damaged"
    ran(manage(filled, tmp_path, "backup", str(file)))
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(damaged, "w") as copy:
        for name in whole.namelist():
            content = whole.read(name)
            copy.writestr(name, content.split(b"\n", 1)[1] if name == "dashboard_sms.jsonl" else content)
    before = state(filled, tmp_path)

    failed = manage(filled, tmp_path, "restore", "--replace", str(damaged))

    assert failed.returncode == 1
    assert "5 rows were to come, 4 came" in failed.stderr
    assert state(filled, tmp_path) == before
    assert [path.name for path in tmp_path.iterdir() if "restor" in path.name] == []


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_what_is_no_backup_is_refused_in_words(empty: str, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    refused = manage(empty, tmp_path, "restore", str(file))
    assert refused.returncode == 1
    assert "is not a whole backup" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_running_dashboard_is_not_restored_under_its_feet(filled: str, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    ran(manage(filled, tmp_path, "backup", str(file)))
    ask(filled, tmp_path, "from django.utils import timezone\nHeartbeat.objects.beat(timezone.now())")
    for words in (("restore", "--replace", str(file)), ("move_database", "sqlite:////nowhere")):
        refused = manage(filled, tmp_path, *words)
        assert refused.returncode == 1
        assert "is running" in refused.stderr


def test_a_backup_of_a_newer_version_is_refused(filled: str, empty: str, tmp_path: Path) -> None:
    file, newer = tmp_path / "backup", tmp_path / "newer"
    ran(manage(filled, tmp_path, "backup", str(file)))
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(newer, "w") as copy:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "manifest.json":
                told = json.loads(content)
                told["migrations"].append(["dashboard", "9999_from_the_future"])
                content = json.dumps(told).encode()
            copy.writestr(name, content)
    refused = manage(empty, tmp_path, "restore", str(newer))
    assert (refused.returncode, "newer version" in refused.stderr) == (1, True)


def test_a_backup_of_the_first_version_is_brought_up_to_date(empty: str, tmp_path: Path) -> None:
    with new_database(tmp_path) as old:
        ran(manage(old, tmp_path, "migrate", "-v0"))
        ran(manage(old, tmp_path, "migrate", "-v0", "dashboard", "0001"))
        fill = "from django.db import connection\ncursor = connection.cursor()\n"
        fill += "cursor.execute(\"INSERT INTO django_content_type (id, app_label, model) VALUES (999, 'x', 'y')\")\n"
        ran(manage(old, tmp_path, code=fill))
        # The file is written by the tables as they were then.
        ran(manage(old, tmp_path, code=TAKE_OLD.format(file=tmp_path / "backup")))
    ran(manage(empty, tmp_path, "restore", str(tmp_path / "backup")))
    assert ask(empty, tmp_path, "print(Heartbeat.objects.count())") == "0"
    code = "from django.contrib.contenttypes.models import ContentType\nprint(ContentType.objects.get(pk=999).model)"
    assert ask(empty, tmp_path, code) == "y"


TAKE_OLD = """
from pathlib import Path
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from dashboard.backups import taking
executor = MigrationExecutor(connection)
old = executor.loader.project_state(list(executor.loader.applied_migrations)).apps
now = taking.tables
taking.tables = lambda: now(old)
taking.take(Path("{file}"))
"""


def test_one_command_moves_everything_to_another_database(filled: str, empty: str, tmp_path: Path) -> None:
    before = state(filled, tmp_path)
    told = ran(manage(filled, tmp_path, "move_database", empty))
    assert "all of them compared" in told
    after = state(empty, tmp_path)
    assert after["dashboard_sms"] == before["dashboard_sms"]
    assert after["dashboard_account"] == before["dashboard_account"]
    assert state(filled, tmp_path) == before
