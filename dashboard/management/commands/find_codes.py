"""Search the stored messages for their codes again, after the rules in `code_rules/` have changed."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Max, Q

from dashboard.codes import find_code
from dashboard.live import topics
from dashboard.models import Account, Sms
from dashboard.sync.columns import fitted, write_changed

BATCH = 1000  # messages in memory at a time


class Command(BaseCommand):
    help = (
        "Search every stored SMS for its code again and store the codes that come out differently. Safe to repeat, "
        "to interrupt, and while the dashboard runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", help="name or id of the account; without it all accounts")
        parser.add_argument("--dry-run", action="store_true", help="count what would change, store nothing")
        parser.add_argument("--after", type=int, default=0, metavar="ID", help="begin behind the SMS with this id (0)")

    def handle(self, *args: Any, **options: Any) -> None:
        """One pass by id, up to the SMS that is the newest now: later ones get their code from the same rules.

        Raises CommandError if the account is unknown or the pass was interrupted; what it stored until then stays.
        """
        terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the pages are told
        self.store = not options["dry_run"]
        self.changed: Counter[int] = Counter()
        self.position, self.read = options["after"], 0
        try:
            self._pass(_account(options["account"]))
        except KeyboardInterrupt:
            raise CommandError(f"Stopped. To go on from here add: --after {self.position}") from None
        finally:
            signal.signal(signal.SIGTERM, terminate)
            for account in self.changed if self.store else ():
                # Lists of bookings show the code of their newest SMS.
                topics.touch(account, topics.SMS, topics.BOOKINGS)
        verb = "changed" if self.store else "would change"
        number = self.changed.total()
        self.stdout.write(f"{self.read} SMS read, {number} {'code' if number == 1 else 'codes'} {verb}.")

    def _pass(self, account: Account | None) -> None:
        rows = Sms.objects.filter(account=account) if account else Sms.objects.all()
        rows = rows.filter(pk__gt=self.position).order_by("pk").only("account_id", "text", "code")
        end = rows.aggregate(end=Max("pk"))["end"]
        total = rows.count()
        while batch := list(rows.filter(pk__gt=self.position, pk__lte=end or 0)[:BATCH]):
            different = [sms for sms in batch if _search_again(sms)]
            if self.store and different:
                _store(different)
            self.changed.update(sms.account_id for sms in different)
            self.position = batch[-1].pk
            self.read += len(batch)
            self._bar(total)

    def _bar(self, total: int) -> None:
        if not sys.stdout.isatty():
            if self.read % (100 * BATCH) == 0:
                self.stdout.write(f"{self.read}/{total}")
        else:
            filled = 24 * self.read // max(total, self.read)
            bar = "█" * filled + "·" * (24 - filled)
            end = "\n" if self.read >= total else ""
            self.stdout.write(f"\r[{bar}] {self.read}/{total}, {self.changed.total()} different", ending=end)
            self.stdout.flush()


def _store(different: list[Sms]) -> None:
    """Write the codes, but none of a message whose text retention has taken away since it was read."""
    with transaction.atomic():
        ids = [sms.pk for sms in different]
        kept = set(Sms.objects.filter(pk__in=ids, blanked_at=None).values_list("pk", flat=True))
        write_changed([sms for sms in different if sms.pk in kept], ["code"])


def _search_again(sms: Sms) -> bool:
    """Set the row's code to what the rules find today; whether it is another one than before."""
    before, sms.code = sms.code, fitted(Sms, "code", find_code(sms.text) or "")
    return bool(sms.code != before)


def _account(wanted: str | None) -> Account | None:
    if not wanted:
        return None
    by_id = Q(pk=int(wanted)) if wanted.isascii() and wanted.isdigit() else Q()
    found = Account.objects.filter(name=wanted).first() or (by_id and Account.objects.filter(by_id).first())
    if not found:
        raise CommandError(f"There is no account {wanted!r}.")
    return found
