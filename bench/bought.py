"""Judging purchases by the provider's own books: each sale belongs to one purchase, each purchase to at most one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

from .figures import Report

OPEN = ("queued", "preparing", "sending")
NOTHING = ("rejected", "absent", "cancelled")
DECIDED = ("confirmed", *NOTHING)


class Books(Protocol):
    """What a provider wrote down: sales and calls."""

    @property
    def ledger(self) -> list[dict[str, Any]]: ...

    @property
    def calls(self) -> list[dict[str, Any]]: ...


def judge(report: Report, sandboxes: Sequence[Books], accounts: list[Any]) -> None:
    """Add the figures: doubled, lost, wrong verdicts, cents, what is left open."""
    from dashboard.models import Purchase

    purchases = list(Purchase.objects.select_related("order", "product"))
    statuses: Counter[str] = Counter(each.status for each in purchases)
    found: dict[str, list[str]] = {"doubled": [], "wrong": [], "lost": []}
    sold_sum = told_sum = Decimal(0)
    met: Counter[str] = Counter()
    for sandbox, account in zip(sandboxes, accounts, strict=True):
        mine = [each for each in purchases if each.account_id == account.pk]
        sales = [row for row in sandbox.ledger if row["origin"] == "api"]
        met.update(call["fault"] for call in sandbox.calls if call["method"] == "POST" and call.get("fault"))
        sold_sum += sum(Decimal(row["price"]) for row in sales)
        told_sum += sum((each.charged_usd or Decimal(0) for each in mine), Decimal(0))
        told_sum += _undecided(mine, sales)
        _judge_account(mine, sales, found)
    silent = [each for each in purchases if each.status in ("unknown", "needs_review") and not each.words]
    report.add("bought twice", len(found["doubled"]), "purchases", 0, spread="; ".join(found["doubled"][:3]))
    report.add(
        "sold without a purchase that says so", len(found["lost"]), "sales", 0, spread="; ".join(found["lost"][:3])
    )
    report.add("wrong verdicts", len(found["wrong"]), "purchases", 0, spread="; ".join(found["wrong"][:3]))
    report.add("difference of the sums", float(abs(sold_sum - told_sum)), "USD", 0, spread=f"{sold_sum} sold")
    report.add("still under way", sum(statuses[each] for each in OPEN), "purchases", 0)
    report.add("left open without a reason", len(silent), "purchases", 0)
    decided = sum(statuses[each] for each in DECIDED)
    report.add("decided by the machine", 100 * decided / max(1, len(purchases)), "%", spread=str(dict(statuses)))
    posts = sum(call["method"] == "POST" for sandbox in sandboxes for call in sandbox.calls)
    report.add("spending calls that a fault met", 100 * sum(met.values()) / max(1, posts), "%", n=posts)
    report.remark("faults met: " + ", ".join(f"{name} {n}" for name, n in sorted(met.items())))


def _key(kind: str, product: int) -> tuple[str, int]:
    return kind, product


def _judge_account(purchases: list[Any], sales: list[dict[str, Any]], found: dict[str, list[str]]) -> None:
    of: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in sales:
        of.setdefault(_key(row["kind"], row["product"]), []).append(row)
    for each in purchases:
        rows = of.pop(_key(each.kind, each.product.remote_id), [])
        name = f"{each} ({each.status}, {len(rows)} sold)"
        if len(rows) > 1:
            found["doubled"].append(name)
        linked = each.order.remote_id if each.order else None
        right = (
            linked in [row["order"] for row in rows] and str(each.charged_usd) == rows[0]["price"] if rows else False
        )
        if (each.status == "confirmed" and not right) or (each.status in NOTHING and rows):
            found["wrong"].append(name)
        if rows and each.status in OPEN:
            found["lost"].append(name)
    found["lost"] += [f"order {row['order']}" for rows in of.values() for row in rows]


def _undecided(purchases: list[Any], sales: list[dict[str, Any]]) -> Decimal:
    """Price of the sales whose purchases say that it is not known: told, though not yet as spent."""
    open_ones = {
        _key(each.kind, each.product.remote_id) for each in purchases if each.status in ("unknown", "needs_review")
    }
    rows = [row for row in sales if _key(row["kind"], row["product"]) in open_ones]
    return sum((Decimal(row["price"]) for row in rows), Decimal(0))
