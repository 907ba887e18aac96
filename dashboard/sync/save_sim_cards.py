from __future__ import annotations

from datetime import datetime
from typing import Any

from ..anosim import Listing
from ..anosim import SimCard as SimCardRecord
from ..live.topics import SIM_CARDS
from ..models import Account, SimCard
from .changes import Changes
from .columns import CHUNK, fitted, write_changed

_Key = tuple[str, str, str]


def save_sim_cards(account: Account, listing: Listing[SimCardRecord], asked_at: datetime) -> Changes:
    """Insert and update cards; those missing from a complete list are no longer in use, but kept."""
    records = {_key(record): record for record in listing.rows}
    stored = {(row.number, row.rental_type, row.service): row for row in SimCard.objects.filter(account=account)}
    new, changed = [], []
    for key, record in records.items():
        values = _values(record)
        row = stored.get(key)
        if row is None:
            number, rental_type, service = key
            new.append(
                SimCard(
                    account=account,
                    number=number,
                    rental_type=rental_type,
                    service=service,
                    last_seen_at=asked_at,
                    **values,
                )
            )
        elif any(getattr(row, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(row, name, value)
            row.last_seen_at = asked_at
            changed.append(row)
    if not listing.unreadable:
        for key, row in stored.items():
            if key not in records and row.in_use:
                row.in_use = False
                row.last_seen_at = asked_at
                changed.append(row)
    SimCard.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)
    write_changed(changed, ("country", "starts_at", "ends_at", "in_use", "last_seen_at"))
    return Changes(len(new), len(changed), {SIM_CARDS} if new or changed else set())


def _key(record: SimCardRecord) -> _Key:
    return (
        fitted(SimCard, "number", record.number),
        fitted(SimCard, "rental_type", record.rental_type),
        fitted(SimCard, "service", record.service),
    )


def _values(record: SimCardRecord) -> dict[str, Any]:
    return {
        "country": fitted(SimCard, "country", record.country),
        "starts_at": record.starts_at,
        "ends_at": record.ends_at,
        "in_use": True,
    }
