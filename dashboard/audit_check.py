"""Whether the record of deeds is what was written: every event of every chain, read once in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from . import audit_chain, audit_guard
from .encryption import CannotUnseal
from .models import Account, AuditEvent, AuditHead

CHUNK = 2000  # events held in memory at a time


@dataclass
class Check:
    """`problems()` gives what is wrong, in sentences; `events` counts what was looked at by then.

    `account_id` limits it to one account's chain. Of each chain it begins with the first event at or after `since`:
    what is older is believed.
    """

    account_id: int | None = None
    since: datetime | None = None
    events: int = 0
    heads: list[AuditHead] = field(default_factory=list)

    def problems(self) -> Iterator[str]:
        for way in audit_guard.missing():
            yield f"The database does not refuse {way} of audit events. `manage.py migrate` puts its guard back."
        # In one statement, so that all of them are of one moment.
        heads = {head.chain: head for head in AuditHead.objects.order_by("chain")}
        root = heads.pop(audit_chain.ROOT, None)
        if self.account_id is None:
            yield from _root_problems(root, heads)
            chains = set(heads) | set(AuditEvent.objects.order_by().values_list("chain", flat=True).distinct())
        else:
            chains = {self.account_id}
        self.heads = [heads[chain] for chain in sorted(chains) if chain in heads]
        for chain in sorted(chains):
            yield from self._chain_problems(chain, heads.get(chain))

    def _chain_problems(self, chain: int, head: AuditHead | None) -> Iterator[str]:
        name = chain_name(chain)
        rows = AuditEvent.objects.filter(chain=chain).order_by("seq")
        if head is None:
            if first := rows.first():
                yield f"{name}: the end of the chain is gone; its events, from {_called(first)} on, prove nothing."
            return
        try:
            key = audit_chain.open_key(head.sealed_key, chain)
        except CannotUnseal as error:
            yield f"{name}: the key of the chain cannot be opened, so that its events prove nothing. {error}"
            return
        if head.mac != audit_chain.head_mac(key, chain, head.seq, head.hash):
            yield f"{name}: the end of the chain was changed by somebody without its key."
        yield from self._row_problems(key, head, name)
        # Those that came while we read have moved the head with them.
        now = AuditHead.objects.filter(chain=chain).values("seq")
        if beyond := rows.filter(seq__gt=now).first():
            yield f"{name}: {_called(beyond)} was put in behind the end of the chain."

    def _row_problems(self, key: bytes, head: AuditHead, name: str) -> Iterator[str]:
        rows = AuditEvent.objects.filter(chain=head.chain, seq__lte=head.seq).order_by("seq")
        seq, newest = 0, ""
        if self.since is not None:
            first = rows.filter(at__gte=self.since).first()
            if first is None:
                return
            rows, seq, newest = rows.filter(seq__gte=first.seq), first.seq - 1, first.previous
        for event in rows.iterator(chunk_size=CHUNK):
            self.events += 1
            if lost := _lost(seq, event.seq):
                yield f"{name}: {lost} missing before {_called(event)}: deleted, or moved elsewhere."
            elif event.previous != newest:
                yield f"{name}: {_called(event)} does not follow the one before it: one of the two was put in or moved."
            if wrong := _wrong(key, event):
                yield f"{name}: {_called(event)} {wrong}"
            seq, newest = event.seq, event.hash
        if lost := _lost(seq, head.seq + 1):
            yield f"{name}: {lost} missing at the end, after #{seq}: the newest were deleted."
        elif newest != head.hash and head.seq:
            yield f"{name}: the end of the chain names another event than #{seq}: the newest was replaced."


_NAMES = {audit_chain.NO_ACCOUNT: "Without account", audit_chain.ROOT: "Count of the chains"}


def has_head(chain: int, seq: int, beginning: str) -> bool:
    """Whether the chain still holds the event that was its newest when a log line named it."""
    return AuditEvent.objects.filter(chain=chain, seq=seq, hash__startswith=beginning).exists()


def chain_name(chain: int) -> str:
    if chain in _NAMES:
        return _NAMES[chain]
    name = Account.objects.filter(pk=chain).values_list("name", flat=True).first()
    return f"Account {name or chain}"


def _root_problems(root: AuditHead | None, heads: dict[int, AuditHead]) -> Iterator[str]:
    if root is None:
        if heads:
            yield "The count of the chains is gone."
        return
    try:
        key = audit_chain.open_key(root.sealed_key, root.chain)
    except CannotUnseal as error:
        yield f"The count of the chains cannot be opened. {error}"
        return
    if root.mac != audit_chain.head_mac(key, root.chain, root.seq, root.hash):
        yield "The count of the chains was changed by somebody without its key."
    if root.seq != len(heads):
        yield f"Of {root.seq} chains {len(heads)} are left: the others are gone with all their events."


def _wrong(key: bytes, event: AuditEvent) -> str:
    """What is wrong with the event by itself; nothing if it is what was written."""
    values = event.chained_values()
    if event.hash == audit_chain.link(key, event.previous, values):
        return ""
    if event.hash == audit_chain.link(b"", event.previous, values):
        return "proves nothing: it was written while FIELD_KEYS did not open the key of the chain, or put in."
    return "is not what was written: it was changed or put in."


def _lost(before: int, after: int) -> str:
    """How many are missing between two numbers, in words; empty where none is."""
    count = after - before - 1
    return "" if count < 1 else "1 event is" if count == 1 else f"{count:,} events are"


def _called(event: AuditEvent) -> str:
    return f"event {event.pk} (#{event.seq}, {event.at:%Y-%m-%d %H:%M:%S} UTC, {event.action})"
