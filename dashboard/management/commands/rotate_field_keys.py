"""Reseal what is stored with the newest field key, so that an old one can leave FIELD_KEYS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import transaction
from django.db.models import Model

from dashboard import audit, encryption
from dashboard.audit_check import chain_name
from dashboard.models import Account, AlertChannel, AuditHead

# Each sealed column and what it holds, as people call it.
COLUMNS = {"sealed_key": "API key", "sealed_fingerprint_key": "fingerprint key"}
# The same of second factors: keys of their JSON.
FACTOR_SECRETS = {"secret": "authenticator app", "seed": "recovery codes"}
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
        for row, column, name, words in _secrets():
            try:
                resealed = _reseal(row, column)
            except encryption.CannotUnseal as error:
                stuck.append(f"{name}: the {words} was left as it is. {error}")
                continue
            if resealed:
                done += 1
                self.stdout.write(f"{name}: {words} sealed with the newest key.")
        done += _reseal_factors(self.stdout, stuck)
        audit.by_console("keys.rotated", details={"resealed": done, "left": len(stuck)})
        self.stdout.write(f"{done} {'secret' if done == 1 else 'secrets'} resealed.")
        if stuck:
            raise CommandError("\n".join(stuck))


def _reseal_factors(out: OutputWrapper, stuck: list[str]) -> int:
    """Authenticator apps and recovery codes; gives how many were resealed, adds those that were not to `stuck`."""
    done = 0
    for pk, name in Authenticator.objects.order_by("pk").values_list("pk", "user__username"):
        try:
            words = _reseal_factor(pk)
        except encryption.CannotUnseal as error:
            stuck.append(f"{name}: a second factor was left as it is. {error}")
            continue
        if words:
            done += 1
            out.write(f"{name}: {words} sealed with the newest key.")
    return done


@transaction.atomic
def _reseal_factor(pk: int) -> str:
    """What was resealed, in words, or nothing. Locks the row: a code that is used meanwhile stays used.

    Raises CannotUnseal.
    """
    factor = Authenticator.objects.select_for_update().filter(pk=pk).first()
    for field, words in FACTOR_SECRETS.items():
        if factor is not None and field in factor.data:
            factor.data[field] = encryption.reseal(factor.data[field])
            factor.save(update_fields=["data"])
            return words
    return ""


def _secrets() -> Iterator[tuple[Model, str, str, str]]:
    """Each row and sealed column, with what they are called."""
    for account in Account.objects.order_by("pk").only("pk", "name"):
        for column, words in COLUMNS.items():
            yield account, column, account.name, words
    for head in AuditHead.objects.order_by("chain").only("pk"):
        yield head, "sealed_key", f"Audit events, {chain_name(head.chain)}", "key of the chain"
    for channel in AlertChannel.objects.select_related("user").only("pk", "name", "user__username"):
        yield channel, "sealed_address", f"Alert channel {channel.name} of {channel.user.username}", "address"


def _reseal(row: Model, column: str) -> bool:
    """Whether the column held a secret, which is now sealed with the newest key. Raises CannotUnseal."""
    rows = type(row)._default_manager.filter(pk=row.pk)
    for _ in range(TRIES):
        token = rows.values_list(column, flat=True).first()
        if not token:
            return False
        if rows.filter(**{column: token}).update(**{column: encryption.reseal(token)}):
            return True
    raise encryption.CannotUnseal("It changed all the time; run this again.")
