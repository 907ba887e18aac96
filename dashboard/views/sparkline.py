"""The line of a balance over time as points of an SVG polyline, made by the server: no script, few bytes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

WIDTH, HEIGHT, MARGIN = 120, 28, 2
POINTS = 60


def points(
    readings: Iterable[tuple[int, datetime, Decimal]], since: datetime, until: datetime, now_usd: Decimal | None
) -> str:
    """`points` of a polyline in a box of 120 × 28: the sum over all accounts, at most POINTS steps of time.

    `readings` are (account, moment, USD), the oldest first; a balance holds until the next one. An account is
    left out before its first reading. `now_usd` ends the line. Empty with fewer than two points.
    """
    step = (until - since) / (POINTS - 1)
    latest: dict[int, Decimal] = {}
    sums: dict[int, Decimal] = {}
    for account, moment, usd in readings:
        latest[account] = usd
        # What was read last within a step stands for it.
        sums[min(POINTS - 2, max(0, (moment - since) // step))] = sum(latest.values(), Decimal())
    if now_usd is not None:
        sums[POINTS - 1] = now_usd
    if len(sums) < 2:
        return ""
    low, high = min(sums.values()), max(sums.values())
    span = float(high - low) or 1.0
    usable = HEIGHT - 2 * MARGIN
    level = 0.5 if high == low else None

    def place(at: int, usd: Decimal) -> str:
        share = level if level is not None else float(usd - low) / span
        return f"{at * WIDTH / (POINTS - 1):.1f},{HEIGHT - MARGIN - share * usable:.1f}"

    return " ".join(place(at, usd) for at, usd in sorted(sums.items()))
