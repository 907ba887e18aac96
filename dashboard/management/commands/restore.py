"""`manage.py restore FILE`: makes the database what a backup says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dashboard.backups.archive import BadArchive
from dashboard.backups.restoring import CannotRestore, restore


class Command(BaseCommand):
    help = "Make the database what the backup in FILE says. Stop the dashboard first."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--replace", action="store_true", help="set the data that are there now aside")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            manifest, aside = restore(options["file"], options["replace"])
        except (CannotRestore, BadArchive) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database did not take it ({type(error).__name__}): {error}") from None
        for table, told in sorted(manifest.tables.items()):
            self.stdout.write(f"{told['rows']:>10,}  {table}")
        self.stdout.write(f"{manifest.rows:>10,}  rows, all of them compared. The backup is of {manifest.taken_at}.")
        if aside:
            self.stdout.write(f"What was here before is kept: {aside}. Remove it when all is well.")
        self.stdout.write("Everybody signs in anew. Purchases that waited when the backup was taken were cancelled.")
