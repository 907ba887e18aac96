"""A backup file as it is, judged by itself: whether all its tables can be of one moment."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from dashboard.backups.archive import Reader

# Moved on purpose when a backup is taken back, or by the doing of it.
MOVED = frozenset(
    f"dashboard_{name}"
    for name in (
        *("purchase", "purchasestep", "bookingchange", "invite", "alertnotice", "syncstate", "heartbeat"),
        *("auditevent", "audithead", "topicversion"),
    )
)
# Child table, its column, the table that it points into.
POINTERS = (
    ("dashboard_booking", "order_id", "dashboard_order"),
    ("dashboard_sms", "booking_id", "dashboard_booking"),
    ("dashboard_purchase", "order_id", "dashboard_order"),
    ("dashboard_purchase", "product_id", "dashboard_product"),
    ("dashboard_purchasestep", "purchase_id", "dashboard_purchase"),
)
Row = dict[str, Any]


class Archived:
    """`with Archived(file) as archived:` reads it by the program's own reader. Raises BadArchive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = Reader(path)
        self._tables: dict[str, list[Row]] = {}

    def __enter__(self) -> Archived:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @property
    def rows(self) -> int:
        return self._reader.manifest.rows

    def table(self, name: str) -> list[Row]:
        if name not in self._tables:
            columns = self._reader.manifest.tables[name]["columns"]
            self._tables[name] = [dict(zip(columns, row, strict=True)) for row in self._reader.rows(name)]
        return self._tables[name]

    def value(self, table: str, column: str, wanted: str, other: str) -> Any:
        """`other` of the row whose `column` is `wanted`; None without such a row."""
        return next((row[other] for row in self.table(table) if row[column] == wanted), None)

    def statuses(self) -> list[str]:
        return [row["status"] for row in self.table("dashboard_purchase")]

    def contradictions(self) -> list[str]:
        """Where one table says what another one of the same moment cannot."""
        return [*self._dangling(), *self._steps(), *self._counts(), *self._chains()]

    def _dangling(self) -> list[str]:
        found = []
        for child, column, parent in POINTERS:
            key = "uuid" if parent == "dashboard_purchase" else "id"
            known = {row[key] for row in self.table(parent)}
            lost = [row for row in self.table(child) if row[column] is not None and row[column] not in known]
            found += [f"{child} names {row[column]}, which is not in {parent}" for row in lost]
        return found

    def _steps(self) -> list[str]:
        """A purchase stands where its last step led: both are written in one transaction."""
        last: dict[str, Row] = {}
        for step in self.table("dashboard_purchasestep"):
            if step["purchase_id"] not in last or step["id"] > last[step["purchase_id"]]["id"]:
                last[step["purchase_id"]] = step
        rows = self.table("dashboard_purchase")
        return [
            f"purchase {row['uuid']} is {row['status']}, its last step says {last[row['uuid']]['new']}"
            for row in rows
            if last[row["uuid"]]["new"] != row["status"]
        ]

    def _counts(self) -> list[str]:
        """A booking counts its messages in the transaction that stores them."""
        counts = Counter(row["booking_id"] for row in self.table("dashboard_sms"))
        rows = self.table("dashboard_booking")
        return [
            f"booking {row['id']} counts {row['sms_count']} messages, {counts[row['id']]} are there"
            for row in rows
            if row["sms_count"] != counts[row["id"]]
        ]

    def _chains(self) -> list[str]:
        """The record of deeds has no gap, and ends where its head says."""
        numbers: dict[int, list[int]] = defaultdict(list)
        for event in self.table("dashboard_auditevent"):
            numbers[event["chain"]].append(event["seq"])
        return [
            f"chain {head['chain']} ends with {head['seq']}, and has {len(numbers[head['chain']])} events"
            for head in self.table("dashboard_audithead")
            if head["chain"] in numbers and sorted(numbers[head["chain"]]) != list(range(1, head["seq"] + 1))
        ]

    def unlike(self, other: Archived) -> list[str]:
        """Tables whose rows are not, byte for byte, those of the other; of those that move, whether a row is gone."""
        found = []
        for name in sorted(self._reader.manifest.tables):
            if name in MOVED:
                fewer = len(self.table(name)) - len(other.table(name))
                # A heart that has stopped leaves no row.
                if fewer > 0 and name != "dashboard_heartbeat":
                    found.append(f"{name}: {fewer} rows fewer")
            elif self._checksum(name) != other._checksum(name):
                found.append(name)
        return found

    def _checksum(self, table: str) -> str:
        with zipfile.ZipFile(self._path) as archive:
            return hashlib.sha256(archive.read(f"{table}.jsonl")).hexdigest()
