"""Every run of the sync as the database saw it: when it was due, claimed, begun and over, and from which host.

Written by a trigger in the measured database, by its clock, so that the product and the hosts' clocks have no say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

# A tick takes what is due so soon rather than a second late; a lease that ends is due like everything else.
AHEAD = timedelta(seconds=0.4)
_SET_UP = """
CREATE TABLE bench_run (
    at timestamptz NOT NULL DEFAULT clock_timestamp(), host text NOT NULL DEFAULT host(inet_client_addr()),
    state bigint NOT NULL, what text NOT NULL, run bigint NOT NULL, due timestamptz NOT NULL, pace integer NOT NULL
);
CREATE FUNCTION bench_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.run <> OLD.run THEN
        INSERT INTO bench_run (state, what, run, due, pace)
        VALUES (NEW.id, 'claim', NEW.run, OLD.due_at, OLD.pace_seconds);
    END IF;
    IF NEW.begun <> OLD.begun THEN
        INSERT INTO bench_run (state, what, run, due, pace)
        VALUES (NEW.id, 'begin', NEW.begun, NEW.due_at, OLD.pace_seconds);
    END IF;
    IF OLD.reading AND NOT NEW.reading AND NEW.run = OLD.run THEN
        INSERT INTO bench_run (state, what, run, due, pace)
        VALUES (NEW.id, 'end', NEW.run, NEW.due_at, NEW.pace_seconds);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bench_note AFTER UPDATE ON dashboard_syncstate FOR EACH ROW EXECUTE FUNCTION bench_note();
"""


@dataclass
class Runs:
    """What happened in a span of time. `late`: seconds from due to begun; `silent`: the longest that each row went
    without a finished read, beyond its pace; `of_host`: runs begun; `twice`: runs begun while one before was open."""

    late: list[float] = field(default_factory=list)
    silent: dict[int, float] = field(default_factory=dict)
    of_host: Counter[str] = field(default_factory=Counter)
    twice: int = 0


def watch(url: str) -> None:
    """Put the trigger into the migrated database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SET_UP)


def between(url: str, start: datetime, end: datetime) -> Runs:
    """The runs of a span; a row that was due before it counts from when it was due."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT state, what, at, host, due, pace FROM bench_run WHERE at BETWEEN %s AND %s ORDER BY state, at",
            (start, end),
        ).fetchall()
    runs = Runs()
    for state, events in _by_state(rows):
        _judge(runs, state, events, end)
    return runs


Event = tuple[str, datetime, str, datetime, int]


def _by_state(rows: list[tuple[int, str, datetime, str, datetime, int]]) -> Iterator[tuple[int, list[Event]]]:
    found: dict[int, list[Event]] = {}
    for state, *event in rows:
        found.setdefault(state, []).append(tuple(event))  # type: ignore[arg-type]
    yield from found.items()


def _judge(runs: Runs, state: int, events: list[Event], end: datetime) -> None:
    due_since: datetime | None = None
    open_until: datetime | None = None  # of the run that is being read: the end of its lease
    ended: tuple[datetime, int] | None = None
    for what, at, host, due, pace in events:
        if what == "claim":
            due_since = due_since or due
        elif what == "begin":
            runs.of_host[host] += 1
            runs.twice += open_until is not None and at < open_until - AHEAD
            if due_since is not None:
                runs.late.append(max(0.0, (at - due_since).total_seconds()))
            due_since, open_until = None, due
        else:
            _note_silence(runs, state, ended, at)
            ended, open_until = (at, pace), None
    _note_silence(runs, state, ended, end)


def _note_silence(runs: Runs, state: int, ended: tuple[datetime, int] | None, until: datetime) -> None:
    if ended is not None:
        silent = (until - ended[0]).total_seconds() - ended[1]
        runs.silent[state] = max(runs.silent.get(state, 0.0), silent)
