"""docs/monitoring: the dashboard for Grafana and the rules for Prometheus ask only for what /metrics really gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from anosim_dashboard import redis_server
from dashboard import tally
from dashboard.models import Account, Heartbeat
from tests.factories import make_booking, make_sync_states

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "monitoring"
BOARD = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
RULES = (FOLDER / "alerts.yml").read_text(encoding="utf-8")
# Prometheus gives these to every series by itself.
OWN = {"job", "instance"}
ALERTS = re.findall(r"expr: (?:>-\n)?(.*?)\n {8}for:", RULES, re.DOTALL)


def exprs() -> Iterator[tuple[str, str]]:
    """Where it stands, and what is asked."""
    for panel in BOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for expr in ALERTS:
        yield "alerts.yml", expr


@pytest.fixture
def counted(redis_url: str, settings: Any) -> Iterator[Redis]:
    """Counting starts anew, and goes to the server of the tests."""
    settings.REDIS_URL = redis_url
    redis_server.client.cache_clear()
    tally._collected.clear()
    redis = redis_server.client()
    redis.delete(*(f"tally:{number}" for number in range(1, 50)))
    yield redis
    tally._collected.clear()
    redis_server.client.cache_clear()


@pytest.fixture
def scraped(client: Client, account: Account, counted: Redis, settings: Any) -> dict[str, list[dict[str, str]]]:
    """What /metrics gives while all kinds of things happen: the labels of each sample, by name."""
    settings.METRICS_TOKEN = "a-long-token"
    Heartbeat.objects.beat(timezone.now())
    make_sync_states(account)
    make_booking(account)
    Account.objects.update(balance_usd="4.20", open_alerts=[{"kind": "low_balance", "words": "Low"}])
    tally.called(account.pk, "200", 0.2)
    tally.stored(account.pk, [timezone.now()])
    tally.tell()
    answer = client.get("/metrics", headers={"Authorization": "Bearer a-long-token"})
    found: dict[str, list[dict[str, str]]] = {"up": [{}]}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def test_every_question_is_about_series_that_are_there(scraped: dict[str, list[dict[str, str]]]) -> None:
    wrong, asked = [], 0
    for where, expr in exprs():
        for name, matchers in re.findall(r"\b(up|(?:anosim|process)_\w+)\{([^}]*)\}", expr):
            asked += 1
            wanted = re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers)
            if not any(fits(labels, wanted) for labels in scraped.get(name, [])):
                wrong.append(f"{where}: {name}{{{matchers}}}")
    assert wrong == []
    assert asked > 30


def test_every_grouping_goes_by_labels_that_are_there(scraped: dict[str, list[dict[str, str]]]) -> None:
    for where, expr in exprs():
        names = re.findall(r"\b(up|(?:anosim|process)_\w+)\{", expr)
        known = OWN.union(*(labels for name in names for labels in scraped[name]))
        for group in re.findall(r"by \(([^)]*)\)", expr):
            assert set(re.split(r",\s*", group)) <= known, (where, expr)


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert BOARD["__inputs"][0]["pluginId"] == "prometheus"
    assert BOARD["schemaVersion"] >= 36
    assert BOARD["uid"]
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in BOARD["panels"]:
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${DS_PROMETHEUS}"
    spots = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in BOARD["panels"]]
    assert len(spots) == len(set(spots))


def test_the_rules_are_all_read() -> None:
    assert len(ALERTS) == RULES.count("- alert:") >= 8


def fits(labels: dict[str, str], wanted: list[tuple[str, str, str]]) -> bool:
    for label, how, value in wanted:
        if label in OWN or value.startswith("$"):
            if label not in OWN and label not in labels:
                return False
        elif label not in labels or not (labels[label] == value if how == "=" else re.fullmatch(value, labels[label])):
            return False
    return True


# --- counting


def test_calls_and_messages_are_counted_over_all_processes(counted: Redis, account: Account) -> None:
    for how in ("200", "201", "429", "404", "500", "NotSent", "NoAnswer"):
        tally.called(account.pk, how, 0.3)
    tally.tell()
    # Another process adds to the same.
    tally.called(account.pk, "200", 3)
    tally.tell()
    found = tally.totals([account.pk])[account.pk]
    told = {name: found[f"calls:{name}"] for name in tally.OUTCOMES}
    assert told == {"ok": 3, "throttled": 1, "refused": 1, "failed": 2, "unreachable": 1}
    assert (found["call:0.5"], found["call:2.5"], found["call:+Inf"]) == (7, 7, 8)
    assert found["call:sum"] == pytest.approx(5.1)


def test_the_way_of_old_messages_is_not_measured(counted: Redis, account: Account) -> None:
    now = timezone.now()
    tally.stored(account.pk, [now - timedelta(seconds=4), now + timedelta(seconds=2), now - timedelta(days=3)])
    tally.tell()
    found = tally.totals([account.pk])[account.pk]
    assert (found["sms"], found["delay:+Inf"], found["delay:1"], found["delay:5"]) == (3, 2, 1, 2)


def test_what_redis_does_not_take_is_told_later(counted: Redis, account: Account) -> None:
    away = Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2)
    tally.called(account.pk, "200", 0.1)
    tally.tell(away)
    tally.called(account.pk, "200", 0.1)
    tally.tell()
    assert tally.totals([account.pk])[account.pk]["calls:ok"] == 2


def test_without_redis_there_are_no_counts_and_the_rest_stands(client: Client, account: Account, settings: Any) -> None:
    settings.METRICS_TOKEN = "a-long-token"
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis_server.client.cache_clear()
    content = client.get("/metrics", headers={"Authorization": "Bearer a-long-token"}).content.decode()
    redis_server.client.cache_clear()
    assert 'anosim_check_ok{check="broker"} 0.0' in content
    assert "anosim_provider_calls_total{" not in content
