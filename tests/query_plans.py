"""What a page asks the database: its statements, and which of them would read a whole table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

# Tables that grow without end.
BIG = (
    "product",
    "order",
    "booking",
    "simcard",
    "sms",
    "offer",
    "syncstate",
    "smsgap",
    "auditevent",
    "purchase",
    "purchasestep",
    "bookingchange",
)


def statements_of(client: Client, url: str, status: int = 200, **headers: Any) -> list[str]:
    """The SQL that a GET of `url` sends, with its values."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.get(url, headers=headers)
    assert response.status_code == status, url
    return [query["sql"] for query in captured.captured_queries]


def whole_reads(statements: list[str]) -> list[str]:
    """Steps of the statements' plans that walk through one of the BIG tables from end to end."""
    return [step for sql in statements if sql.startswith("SELECT") for step in _scans(sql)]


def sorts(statements: list[str]) -> list[str]:
    """Statements about the BIG tables that have to sort: SQLite only, where the plan says so."""
    if connection.vendor != "sqlite":
        return []
    names = "|".join(f"dashboard_{name}" for name in BIG)
    found = []
    for sql in statements:
        # The rows of one page, known by id, are sorted for nothing.
        known = re.search(r'WHERE "\w+"\."id" IN \(\d', sql)
        if sql.startswith("SELECT") and re.search(rf'FROM "(?:{names})"', sql) and not known:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                if any("TEMP B-TREE FOR ORDER BY" in row[3] for row in cursor.fetchall()):
                    found.append(sql)
    return found


def _scans(sql: str) -> Iterator[str]:
    names = "|".join(f"dashboard_{name}" for name in BIG)
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # On little data PostgreSQL reads whole tables for good reason; told not to, it does only where it must.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
            steps = re.findall(
                rf'"Node Type": "Seq Scan"[^}}]*?"Relation Name": "(?:{names})"', json.dumps(cursor.fetchone())
            )
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            # Within a subquery a table goes by an alias such as U0.
            steps = [row[3] for row in cursor.fetchall() if re.match(rf"SCAN (?:{names}|[A-Z]\d+)\b", row[3])]
    for step in steps:
        yield f"{step}: {sql}"
