"""Reseal what is stored with the newest field key, so that an old one can leave FIELD_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard import encryption
from dashboard.models import Account

# Each sealed column and what it holds, as people call it.
COLUMNS = {"sealed_key": "API key", "sealed_fingerprint_key": "fingerprint key"}
# A column that changed between our reading and our writing was set by somebody else: read again, a few times.
TRIES = 5


class Command(BaseCommand):
    help = (
        "Seal every stored secret with the first key of FIELD_KEYS. Put the new key first, run this, then take the "
        "old key out. Safe to repeat, and while the dashboard runs."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """One small compare-and-set update for each secret. Raises CommandError if one could not be resealed."""
        done, stuck = 0, []
        for pk, name in Account.objects.order_by("pk").values_list("pk", "name"):
            for column, words in COLUMNS.items():
                try:
                    resealed = _reseal(pk, column)
                except encryption.CannotUnseal as error:
                    stuck.append(f"{name}: the {words} was left as it is. {error}")
                    continue
                if resealed:
                    done += 1
                    self.stdout.write(f"{name}: {words} sealed with the newest key.")
        self.stdout.write(f"{done} {'secret' if done == 1 else 'secrets'} resealed.")
        if stuck:
            raise CommandError("\n".join(stuck))


def _reseal(pk: int, column: str) -> bool:
    """Whether the column held a secret, which is now sealed with the newest key. Raises CannotUnseal."""
    for _ in range(TRIES):
        token = Account.objects.filter(pk=pk).values_list(column, flat=True).first()
        if not token:
            return False
        mine = Account.objects.filter(pk=pk, **{column: token})
        if mine.update(**{column: encryption.reseal(token)}):
            return True
    raise encryption.CannotUnseal("It changed all the time; run this again.")
