"""`manage.py move_database URL`: everything from the present database to another, SQLite to PostgreSQL above all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from dashboard.backups.restoring import CannotRestore, refuse_if_running
from dashboard.backups.taking import take


class Command(BaseCommand):
    help = "Copy everything to the empty database at URL and compare the counts. Stop the dashboard first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", metavar="URL", help="postgresql://USER:PASSWORD@HOST:5432/NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refuse_if_running()
        except CannotRestore as error:
            raise CommandError(str(error)) from None
        with tempfile.TemporaryDirectory(dir=settings.DATA_DIR) as folder:
            file = Path(folder) / "moving"
            manifest = take(file)
            self.stdout.write(f"{manifest.rows:,} rows leave {connection.vendor}.", ending="\n")
            self.stdout.flush()
            # In a process of its own, for which the other database is the one.
            environment = {**os.environ, "DATABASE_URL": options["url"], "DATABASE_URL_FILE": ""}
            moved = subprocess.run(
                [sys.executable, str(settings.BASE_DIR / "manage.py"), "restore", str(file)], env=environment
            )
        if moved.returncode:
            raise CommandError("Nothing was moved: the reason stands above. The present database is as it was.")
        self.stdout.write("Now set DATABASE_URL to the new database and start again. The old one stays as it is.")
