"""One pass over an account's data by hand, with a progress bar."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from anosim_dashboard import shared_clock
from dashboard.models import Account, Booking, SyncState
from dashboard.sync import runs, schedule

# Bookings before SMS: a message then finds its booking at once.
ORDER = (
    "balance",
    "countries",
    "products",
    "orders",
    "bookings",
    "current_bookings",
    "sim_cards",
    "sms",
    "booking_sms",
)


class Command(BaseCommand):
    help = "Read ANOSIM once, now: all kinds of data or the named ones. Works beside the running workers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", nargs="*", choices=[*ORDER, []], help=f"one or more of {', '.join(ORDER)}")
        parser.add_argument("--account", help="name or id of the account; without it every account that is not paused")

    def handle(self, *args: Any, **options: Any) -> None:
        kinds = [kind for kind in ORDER if not options["kind"] or kind in options["kind"]]
        accounts = self._accounts(options["account"])
        schedule.ensure_states()
        failed = []
        for account in accounts:
            for done, kind in enumerate(kinds):
                self._bar(account.name, kind, done, len(kinds))
                error = self._read(account, kind)
                if error:
                    failed.append(f"{account.name}, {kind}: {error}")
            self._bar(account.name, "done", len(kinds), len(kinds))
            self.stdout.write("")
        if failed:
            raise CommandError("\n".join(failed))

    def _accounts(self, wanted: str | None) -> list[Account]:
        if not wanted:
            found = list(Account.objects.enabled())
            if not found:
                raise CommandError("There is no account with a key that is not paused. Make one in /admin/.")
            return found
        by_id = Account.objects.filter(pk=int(wanted)) if wanted.isascii() and wanted.isdigit() else None
        account = Account.objects.filter(name=wanted).first() or (by_id.first() if by_id else None)
        if account is None:
            raise CommandError(f"There is no account {wanted!r}.")
        return [account]

    def _read(self, account: Account, kind: str) -> str:
        """Read one kind to its end; the error in words, or nothing."""
        while True:
            state = SyncState.objects.get(account=account, kind=kind)
            number = SyncState.objects.claim(state, shared_clock.now() + schedule.CLAIM)
            if number is None:
                continue  # a worker claimed it just now; its run ends and ours follows
            runs.run(state.pk, number)
            state.refresh_from_db()
            more = kind == "booking_sms" and Booking.objects.filter(account=account).sms_wanted().exists()
            if state.error or not more:
                return state.error

    def _bar(self, name: str, kind: str, done: int, total: int) -> None:
        if not sys.stdout.isatty():
            self.stdout.write(f"{name}: {kind}")
            return
        width = 24
        filled = width * done // total
        self.stdout.write(f"\r{name}  [{'█' * filled}{'·' * (width - filled)}] {done}/{total} {kind:<18}", ending="")
        self.stdout.flush()
