"""Verify the record of deeds: that no event was changed, deleted, put in or moved."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.audit_check import Check, chain_name, has_head
from dashboard.models import Account

MOST = 20  # problems that are told one by one


class Command(BaseCommand):
    help = (
        "Verify that the record of who did what is complete and unchanged. Ends 1 and says what is wrong if it is "
        "not. Prints the end of each chain: keep those lines elsewhere and compare them later with --head."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", metavar="NAME", help="only the events of this account (name or id)")
        parser.add_argument("--from", dest="since", metavar="YYYY-MM-DD", help="believe what is older than this day")
        parser.add_argument(
            "--head",
            action="append",
            default=[],
            metavar="'CHAIN SEQ HASH'",
            help="the end of a chain as a log line 'audit head …' told it: it must still be there; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        check = Check(_account(options["account"]), _since(options["since"]))
        found = 0
        for problem in check.problems():
            found += 1
            if found <= MOST:
                self.stderr.write(problem)
        for told in options["head"]:
            if not has_head(*_head(told)):
                found += 1
                self.stderr.write(f"The chain does not hold {told} any more: it was put back to an older copy.")
        for head in check.heads:
            self.stdout.write(f"audit head {head}  ({chain_name(head.chain)})")
        count = f"{check.events:,} {'event' if check.events == 1 else 'events'} checked"
        if found:
            more = f", {found - MOST} more than are told above" if found > MOST else ""
            raise CommandError(f"{count}: {found} wrong{more}.", returncode=1)
        self.stdout.write(f"{count}: all as they were written.")


def _account(named: str | None) -> int | None:
    if named is None:
        return None
    rows = Account.objects.filter(name=named)
    if not rows and named.isascii() and named.isdecimal():
        rows = Account.objects.filter(pk=int(named[:18]))
    if (found := rows.first()) is None:
        raise CommandError(f"There is no account {named!r}.")
    return found.pk


def _since(day: str | None) -> datetime | None:
    if day is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(day), time.min, UTC)
    except ValueError:
        raise CommandError(f"{day!r} is no day: write it as 2026-11-24.") from None


def _head(told: str) -> tuple[int, int, str]:
    try:
        chain, seq, beginning = told.removeprefix("audit head ").split()[:3]
        return int(chain), int(seq), beginning.lower()
    except ValueError:
        raise CommandError(f"{told!r} is no end of a chain: write 'CHAIN SEQ HASH'.") from None
