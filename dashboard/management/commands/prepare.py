"""Everything between a fresh install and a server that can start: one process, so that a start stays quick."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from anosim_dashboard.environment import BadEnvironment, env, env_secret
from dashboard import audit, audit_guard, schema, search_index
from dashboard.models import Account, User
from dashboard.sync import schedule
from dashboard.sync.single import check_base_url

DEMO = "Demo"


class Command(BaseCommand):
    help = "Bring the database up to date, make the first admin and account, collect static files. Safe to repeat."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wait", type=float, default=0, metavar="SECONDS", help="how long PostgreSQL may take to come up (0)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            _reach_database(options["wait"])
            self._migrate()
            with schema.turn(connection, self.stderr.write):  # two hosts would both make the first admin
                admin = self._admin()
                demo = self._accounts()
        except DatabaseError as error:
            raise BadEnvironment(_database_sentence(error)) from None
        self._static()
        if admin:
            self.stdout.write(f"Admin: {admin[0]} {admin[1]}")
        if demo:
            self.stdout.write("Sandbox: needed")

    def _migrate(self) -> None:
        executor = MigrationExecutor(connection)
        loader = executor.loader
        unknown = loader.applied_migrations.keys() - loader.disk_migrations.keys()
        if newer := sorted(name for app, name in unknown if app == "dashboard"):
            raise BadEnvironment(
                f"The database is of a newer version of the dashboard than this one ({newer[-1]}): start that version, "
                "or go back as docs/upgrading.md says."
            )
        # What comes after migrations counts too: they may have been killed half-way.
        planned = executor.migration_plan(loader.graph.leaf_nodes())
        if planned or audit_guard.missing() or not search_index.is_made():
            call_command("migrate", interactive=False, verbosity=0)

    def _admin(self) -> tuple[str, str] | None:
        """Make or update the admin that the environment names, or the first one; (name, password) if one was made."""
        name, password = env("ADMIN_USERNAME"), env_secret("ADMIN_PASSWORD")
        if not name and not password and User.objects.filter(is_superuser=True).exists():
            return None
        name = name or "admin"
        user = User.objects.filter(username=name).first()
        if user is None:
            made = password or secrets.token_urlsafe(12)
            with transaction.atomic():
                user = User.objects.create_superuser(name, env("ADMIN_EMAIL"), made)
                audit.by_console("user.created", user, {"is_superuser": True})
            # What the operator chose is not repeated on a terminal or in a log.
            return name, "(with the password of ADMIN_PASSWORD)" if password else made
        _make_admin(user, password)
        return None

    def _accounts(self) -> bool:
        """Make the account of ANOSIM_API_KEY, or the demo account on the sandbox; whether the sandbox is needed."""
        demo = Account.objects.filter(is_demo=True)
        schedule.ensure_states()
        if settings.ANOSIM_API_KEY:
            self._first_account(settings.ANOSIM_API_KEY)
            demo.update(enabled=False)
            return False
        if demo.filter(enabled=False).exists() or (not demo.exists() and Account.objects.exists()):
            return False
        url, key = env("SANDBOX_URL"), env_secret("SANDBOX_KEY")
        if url and key:
            self._demo_account(url, key)
        return True

    def _first_account(self, key: str) -> None:
        """The account that the environment keeps: made once, its key and address follow the environment."""
        try:
            base_url = check_base_url(settings.ANOSIM_BASE_URL)
        except ValueError as error:
            raise BadEnvironment(f"ANOSIM_BASE_URL cannot be used: {error}") from None
        with transaction.atomic():
            account = Account.objects.filter(from_environment=True).first()
            if account is None:
                account = Account(name=_free_name("ANOSIM"), from_environment=True)
            if account.pk and account.base_url == base_url and _same_key(account, key):
                return
            _save_account(account, base_url, key)

    def _demo_account(self, url: str, key: str) -> None:
        account = Account.objects.filter(is_demo=True).first() or Account(name=_free_name(DEMO), is_demo=True)
        if account.pk and account.base_url == url and _same_key(account, key):
            return
        with transaction.atomic():
            _save_account(account, url, key)

    def _static(self) -> None:
        """Collect and compress static files, unless they are those that were collected last."""
        if settings.DEBUG:
            return
        root = Path(settings.STATIC_ROOT)
        stamp, wanted = root / ".collected", _static_fingerprint()
        try:
            root.mkdir(exist_ok=True)
            with Path(root, ".lock").open("w") as lock:
                # Two installs may run from one checkout; and nothing is removed, for the other may be serving it.
                fcntl.flock(lock, fcntl.LOCK_EX)
                if stamp.is_file() and stamp.read_text() == wanted:
                    return
                call_command("collectstatic", interactive=False, verbosity=0)
                stamp.write_text(wanted)
        except OSError as error:
            if not stamp.is_file() or stamp.read_text() != wanted:
                raise BadEnvironment(f"{root} cannot be written ({error.strerror}).") from None


def _make_admin(user: User, password: str) -> None:
    """Who is there already becomes what the environment says, and the record tells what changed."""
    was = (user.is_superuser, user.is_active)
    user.is_superuser = user.is_staff = user.is_active = True
    user.email = env("ADMIN_EMAIL") or user.email
    new_password = bool(password) and not user.check_password(password)
    if new_password:
        user.set_password(password)
    with transaction.atomic():
        user.save()
        if was != (True, True):
            audit.by_console("user.changed", user, {"fields": ["is_active", "is_superuser"]})
        if new_password:
            audit.by_console("user.password_set", user)


def _save_account(account: Account, base_url: str, key: str) -> None:
    is_new, had_key = account.pk is None, bool(account.sealed_key)
    account.base_url, account.api_key = base_url, key
    account.save()
    if is_new:
        audit.by_console("account.created", account, {"base_url": base_url})
    audit.by_console("key.replaced" if had_key else "key.set", account, {"ends": account.key_hint})


def _same_key(account: Account, key: str) -> bool:
    from dashboard.encryption import CannotUnseal

    try:
        return secrets.compare_digest(account.api_key, key)
    except CannotUnseal:
        return False


def _free_name(wanted: str) -> str:
    taken = set(Account.objects.values_list("name", flat=True))
    names = (wanted, *(f"{wanted} {number}" for number in range(2, 1000)))
    return next(name for name in names if name not in taken)


def _static_fingerprint() -> str:
    """Of names and contents of our files (an image build changes their times), and of what brings files of its own."""
    import django

    parts = [django.__version__, sys.version]
    for folder in settings.STATICFILES_DIRS:
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                parts.append(f"{file.relative_to(folder)} {hashlib.sha256(file.read_bytes()).hexdigest()}")
    return hashlib.sha256(os.linesep.join(parts).encode()).hexdigest()


def _reach_database(seconds: float) -> None:
    """One plain connection to PostgreSQL: the pool would wait ten seconds and not say why. Raises DatabaseError."""
    if connection.vendor != "postgresql":
        # Who first opens a file of SQLite sets its journal, for which it has to be alone and does not wait.
        with suppress(OSError), schema.turn(connection, sys.stderr.write):
            connection.ensure_connection()
        return
    import psycopg

    end = time.monotonic() + seconds
    while True:
        try:
            with connection.wrap_database_errors:
                psycopg.connect(**connection.get_connection_params()).close()
            return
        except DatabaseError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.5)


def _database_sentence(error: DatabaseError) -> str:
    kind = connection.vendor
    if kind == "sqlite":
        return f"The database in {settings.DATA_DIR} cannot be used ({error}): check its owner, rights and free space."
    if "pg_trgm" in str(error):
        return "The search needs pg_trgm: let a PostgreSQL superuser run CREATE EXTENSION pg_trgm in the database."
    words = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return f"DATABASE_URL points at a PostgreSQL that cannot be used: check the address and password in it ({words})."
