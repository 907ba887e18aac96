"""`manage.py health`: whether everything works together, for people and for whatever restarts things."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from dashboard import health
from dashboard.models import Account


class Command(BaseCommand):
    help = "Tell how database, queue, beat, workers, purchases and sync are. Ends with 1 if anything is not well."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one line of JSON instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        # Read when the database is known to answer, not before.
        found = health.checks(Account.objects.only("name", "enabled", "key_ok").iterator())
        if options["json"]:
            self.stdout.write(json.dumps({check.name: asdict(check) for check in found}))
        else:
            width = max(len(check.label) for check in found)
            for check in found:
                self.stdout.write(f"{'ok ' if check.ok else 'BAD'} {check.label:{width}}  {check.words}")
        if not all(check.ok for check in found):
            sys.exit(1)
