"""Fill the database of the environment (DATABASE_URL, or SQLite in DATA_DIR) with an archive, for other measurements.

    DATA_DIR=/tmp/big .venv/bin/python -m bench.fill --sms 1000000

migrates it, adds an account with so many messages in a dozen languages and a tenth as many bookings, and with
`--small` a second account with a thousandth of that. `DATA_DIR=/tmp/big script/server` then serves it.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any


def fill(sms: int, *, small: bool = False) -> list[Any]:
    """The accounts made, Django being set up; progress is printed."""
    from django.core.management import call_command

    from . import archive

    call_command("migrate", interactive=False, verbosity=0)
    accounts = []
    # The small one first: each ends with making the index anew.
    for name, count in [*([("Small", max(sms // 1000, 60))] if small else []), ("Archive", sms)]:
        began = time.monotonic()
        accounts.append(archive.fill(count, max(count // 10, archive.RUNNING), name=name))
        print(f"  {name}: {count:,} SMS in {time.monotonic() - began:.0f} s", flush=True)
    return accounts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sms", type=int, default=1_000_000, help="messages (%(default)s)")
    parser.add_argument("--small", action="store_true", help="a small account beside it")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "anosim_dashboard.settings")
    import django

    django.setup()
    fill(options.sms, small=options.small)


if __name__ == "__main__":
    main()
