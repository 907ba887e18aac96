"""`manage.py sandbox`: a stand-in provider to try the dashboard against, without a key and without money."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard.sandbox.program import add_arguments, serve


class Command(BaseCommand):
    """Runs in the foreground until SIGTERM or Ctrl-C; the same options as `python -m dashboard.sandbox`."""

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Share the options of the program."""
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve; leave with the program's exit code."""
        code = serve(argparse.Namespace(**options))
        if code:
            sys.exit(code)
