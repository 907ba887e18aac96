"""Whether the dashboard itself works: `manage.py health`, the canary, the status page, /metrics."""

from __future__ import annotations

import io
import json
import re
import time
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from anosim_dashboard import shared_clock
from dashboard import health, tasks
from dashboard.models import Account, Heartbeat, Purchase
from tests.factories import make_account, make_purchase, make_sync_states
from tests.query_plans import statements_of


@pytest.fixture
def well(account: Account, redis_url: str, settings: Any) -> Account:
    """An account of a dashboard in which all is well."""
    settings.REDIS_URL = redis_url
    Heartbeat.objects.beat(timezone.now())
    make_sync_states(account)
    return account


def told() -> tuple[int, dict[str, Any]]:
    """Exit status and answers of the command."""
    output, status = io.StringIO(), 0
    try:
        call_command("health", "--json", stdout=output)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, json.loads(output.getvalue())


def test_all_is_well(well: Account) -> None:
    status, found = told()
    assert status == 0
    assert [name for name, check in found.items() if not check["ok"]] == []
    assert list(found) == ["database", "broker", "clock", "canary", "queued", "unknown", f"sync_{well.pk}"]


def test_people_read_a_line_for_each_question(well: Account) -> None:
    output = io.StringIO()
    call_command("health", stdout=output)
    lines = output.getvalue().splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok  ") for line in lines)
    assert lines[-1].split("  ", 1)[0] == "ok"
    assert "Sync of Shop" in lines[-1]


def test_a_silent_canary_is_told(well: Account) -> None:
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=21))
    status, found = told()
    assert status == 1
    assert "21 s ago: beat, the queue or every worker stands still" in found["canary"]["words"]


@pytest.mark.parametrize(("minutes", "words"), [(60, "1 h ahead: too far"), (-60, "1 h behind: too far")])
def test_a_clock_of_redis_that_is_far_off_is_told(
    well: Account, monkeypatch: pytest.MonkeyPatch, minutes: int, words: str
) -> None:
    monkeypatch.setattr(shared_clock, "_apart", timedelta(minutes=minutes))
    monkeypatch.setattr(shared_clock, "_ask_at", time.monotonic() + 60)
    status, found = told()
    assert (status, found["clock"]["ok"]) == (1, False)
    assert words in found["clock"]["words"]
    assert [name for name, check in found.items() if not check["ok"]] == ["clock"]


def test_before_the_first_tick_nothing_is_well(well: Account) -> None:
    Heartbeat.objects.all().delete()
    status, found = told()
    assert (status, found["canary"]["ok"]) == (1, False)


def test_a_refused_key_is_told_at_once(well: Account) -> None:
    Account.objects.update(key_ok=False)
    status, found = told()
    assert (status, found[f"sync_{well.pk}"]["words"]) == (1, "ANOSIM refuses the key")


def test_a_redis_that_is_away_is_told(well: Account, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    status, found = told()
    assert (status, found["broker"]["words"]) == (1, "Redis does not answer")


def test_what_waits_too_long_is_told(well: Account, operator: Any) -> None:
    purchase = make_purchase(well, operator, created_at=timezone.now() - timedelta(minutes=4))
    assert told()[0] == 0
    Purchase.objects.filter(pk=purchase.pk).update(created_at=timezone.now() - timedelta(minutes=6))
    status, found = told()
    assert (status, found["queued"]["words"]) == (1, "has waited 6 min")


def test_a_purchase_that_stays_unknown_is_told(well: Account, operator: Any) -> None:
    sent_at = timezone.now() - timedelta(minutes=2)
    purchase = make_purchase(well, operator, status="unknown", sent_at=sent_at)
    assert told()[1]["unknown"] | {"words": ""} == {
        "name": "unknown",
        "label": "Purchases not known yet",
        "ok": True,
        "words": "",
        "value": 1,
    }
    Purchase.objects.filter(pk=purchase.pk).update(sent_at=timezone.now() - timedelta(hours=2))
    assert told()[1]["unknown"]["ok"] is False


def test_a_sync_that_is_late_is_told_and_a_paused_account_is_not(well: Account) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    make_sync_states(make_account("Late"), last_success_at=long_ago, pace_seconds=60)
    make_sync_states(make_account("Paused", enabled=False), last_success_at=long_ago)
    status, found = told()
    assert status == 1
    bad = [check["label"] for check in found.values() if not check["ok"]]
    assert bad == ["Sync of Late"]


@pytest.mark.django_db
def test_a_tick_is_noted_every_ten_seconds_and_not_each() -> None:
    now = timezone.now()
    Heartbeat.objects.beat(now)
    Heartbeat.objects.beat(now + timedelta(seconds=9))
    assert Heartbeat.objects.get().at == now
    Heartbeat.objects.beat(now + timedelta(seconds=10))
    assert Heartbeat.objects.get().at == now + timedelta(seconds=10)


@pytest.mark.django_db
def test_the_tick_of_beat_is_what_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.look_for_alerts, "apply_async", lambda **options: None)
    tasks.tick()
    assert Heartbeat.objects.age(timezone.now()) < timedelta(seconds=5)  # type: ignore[operator]


def test_the_status_page_tells_the_same(client: Client, viewer: Any, well: Account) -> None:
    client.force_login(viewer)
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=5))
    words = re.sub(r"<[^>]+>|\s+", " ", client.get("/status/").content.decode())
    assert "5 min ago: beat, the queue or every worker stands still" in words


# --- /metrics


def figures(client: Client, **headers: Any) -> dict[str, float]:
    response = client.get("/metrics", **headers)
    assert response.status_code == 200
    lines = response.content.decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def test_the_token_opens_the_metrics(client: Client, well: Account, settings: Any, operator: Any) -> None:
    settings.METRICS_TOKEN = "a-long-token"
    make_purchase(well, operator)
    found = figures(client, headers={"Authorization": "Bearer a-long-token"})
    assert found['anosim_check_ok{check="canary"}'] == 1
    assert found['anosim_purchases_open{status="queued"}'] == 1
    assert found['anosim_sync_age_seconds{account="Shop",kind="sms"}'] < 60
    assert "anosim_live_streams" in found
    assert "process_resident_memory_bytes" in found


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-long-token"}])
def test_without_it_there_is_nothing(client: Client, well: Account, settings: Any, sent: dict[str, str]) -> None:
    settings.METRICS_TOKEN = "a-long-token"
    assert client.get("/metrics", headers=sent).status_code == 404


def test_without_settings_nobody_reads_them(client: Client, well: Account, admin: Any) -> None:
    client.force_login(admin)
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_a_network_opens_them_but_not_through_a_proxy(client: Client, well: Account, settings: Any) -> None:
    settings.METRICS_NETWORKS = [ip_network("10.0.0.0/8")]
    assert figures(client, REMOTE_ADDR="10.1.2.3")
    assert client.get("/metrics", REMOTE_ADDR="192.168.1.1").status_code == 404
    through = client.get("/metrics", REMOTE_ADDR="10.1.2.3", headers={"X-Forwarded-For": "10.9.9.9"})
    assert through.status_code == 404


def test_the_metrics_cost_the_same_whatever_there_is(client: Client, well: Account, settings: Any) -> None:
    settings.METRICS_TOKEN = "a-long-token"
    header: Any = {"Authorization": "Bearer a-long-token"}
    few = len(statements_of(client, "/metrics", **header))
    for _ in range(4):
        make_sync_states(make_account())
    assert len(statements_of(client, "/metrics", **header)) == few == 9


def test_health_asks_nothing_of_a_dead_database(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    dead = health.Check("database", "Database", False, "does not answer")
    monkeypatch.setattr(health, "_database", lambda: dead)
    assert health.checks([]) == [dead]
