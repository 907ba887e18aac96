"""`manage.py backup FILE`: everything in the database in one file, taken while the dashboard runs."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dashboard.backups.taking import take


class Command(BaseCommand):
    help = "Write everything in the database to FILE. Works while the dashboard runs; `restore` takes it back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="a file of that name is replaced")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            manifest = take(file)
        except OSError as error:
            raise CommandError(f"{file} cannot be written ({error.strerror}).") from None
        self.stdout.write(f"{file}: {manifest.rows:,} rows of {len(manifest.tables)} tables.")
        self.stdout.write(
            "The keys are not in it. Keep FIELD_KEYS (if you did not set it: "
            f"{settings.DATA_DIR / 'secrets'}) in another place: without it the API keys in the file cannot be read."
        )
