#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anosim_dashboard.settings")
    from anosim_dashboard.environment import BadEnvironment

    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except BadEnvironment as error:
        _stop(str(error))


def _stop(sentence: str) -> None:
    """A wrong variable is the operator's to mend: one sentence instead of a traceback, and status 2."""
    print(sentence, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
