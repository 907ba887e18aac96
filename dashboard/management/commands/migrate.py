"""`manage.py migrate`: Django's, in our turn among the hosts and without keeping anybody waiting (schema.py)."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from dashboard import schema


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        with schema.turn(connection, self.stderr.write):
            schema.patiently(connection, lambda: super(Command, self).handle(*args, **options))
