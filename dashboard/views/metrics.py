"""`/metrics` for Prometheus: figures of the whole dashboard, read from the database, and of this web process."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Count, Max
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from anosim_dashboard import shared_clock

from .. import tally
from ..health import checks
from ..live.stream import hub
from ..models import Account, Alert, Booking, Purchase, Sms, SyncState


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For who brings METRICS_TOKEN as bearer, or asks from METRICS_NETWORKS; others get 404."""
    if not (_has_token(request) or _is_near(request)):
        raise Http404
    registry = CollectorRegistry()
    registry.register(Figures())
    ProcessCollector(registry=registry)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    wanted = settings.METRICS_TOKEN
    return bool(wanted) and constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {wanted}")


def _is_near(request: HttpRequest) -> bool:
    """Asked directly, from one of the networks. What a proxy passes on may come from anywhere."""
    if "X-Forwarded-For" in request.headers:
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return any(address in network for network in settings.METRICS_NETWORKS)


class Figures(Collector):
    """Asked anew for each scrape; a fixed number of queries, none of which reads a table that grows."""

    def collect(self) -> Iterator[Metric]:
        # Read by the checks, once they know that the database answers.
        accounts = Account.objects.only("name", "enabled", "key_ok", "balance_usd", "breaker_until", "open_alerts")
        found = checks(accounts)
        up = GaugeMetricFamily("anosim_check_ok", "1 where what `manage.py health` asks is well.", labels=["check"])
        for check in found:
            up.add_metric([check.name], float(check.ok))
        yield up
        value = GaugeMetricFamily("anosim_check_value", "Its figure, in seconds or a count.", labels=["check"])
        for check in found:
            if check.value is not None:
                value.add_metric([check.name], check.value)
        yield value
        if not found[0].ok:
            return
        names = {account.pk: account.name for account in accounts}
        yield from self._of_accounts(accounts, names)
        yield from self._of_syncs(names)
        yield self._of_purchases()
        yield from self._of_tally(names)
        yield GaugeMetricFamily(
            "anosim_sms_last_id",
            "Highest id of an SMS: grows by one with each, now and then by more.",
            Sms.objects.aggregate(last=Max("pk"))["last"] or 0,
        )
        yield GaugeMetricFamily("anosim_live_streams", "Open live streams of this process.", len(hub.clients))

    def _of_accounts(self, accounts: Iterable[Account], names: dict[int, str]) -> Iterator[Metric]:
        balance = GaugeMetricFamily("anosim_balance_usd", "Balance as read last.", labels=["account"])
        for account in accounts:
            if account.balance_usd is not None:
                balance.add_metric([account.name], float(account.balance_usd))
        yield balance
        alerts = GaugeMetricFamily("anosim_alerts_open", "Alerts that stand.", labels=["account", "kind"])
        stopped = GaugeMetricFamily("anosim_sync_stopped", "1 while only probes are made.", labels=["account"])
        for account in accounts:
            stopped.add_metric([account.name], float(account.breaker_until is not None))
            counts = Counter(alert["kind"] for alert in account.open_alerts)
            for kind in Alert.Kind.values:
                alerts.add_metric([account.name, kind], counts[kind])
        yield alerts
        yield stopped
        running = GaugeMetricFamily("anosim_bookings_running", "Numbers that can get SMS.", labels=["account"])
        rows = Booking.objects.running().order_by().values_list("account").annotate(Count("pk"))
        for account_id, count in rows:
            running.add_metric([names[account_id]], count)
        yield running

    def _of_syncs(self, names: dict[int, str]) -> Iterator[Metric]:
        labels = ["account", "kind"]
        age = GaugeMetricFamily("anosim_sync_age_seconds", "Seconds since the kind was read well.", labels=labels)
        failures = GaugeMetricFamily("anosim_sync_failures", "Failed reads in a row.", labels=labels)
        now = shared_clock.now()
        for state in SyncState.objects.filter(account__enabled=True):
            key = [names[state.account_id], state.kind]
            failures.add_metric(key, state.failures)
            if state.last_success_at is not None:
                age.add_metric(key, (now - state.last_success_at).total_seconds())
        yield age
        yield failures

    def _of_purchases(self) -> Metric:
        family = GaugeMetricFamily("anosim_purchases_open", "Purchases that are not settled.", labels=["status"])
        rows = Purchase.objects.filter(status__in=Purchase.OPEN).order_by().values_list("status").annotate(Count("pk"))
        counts = dict(rows)
        for status in Purchase.OPEN:
            family.add_metric([status], counts.get(status, 0))
        return family

    def _of_tally(self, names: dict[int, str]) -> Iterator[Metric]:
        """What all processes count in Redis: without it there is nothing to tell."""
        labels = ["account"]
        calls = CounterMetricFamily("anosim_provider_calls", "Calls to ANOSIM by outcome.", labels=[*labels, "outcome"])
        call = HistogramMetricFamily("anosim_provider_call_seconds", "How long they took.", labels=labels)
        sms = CounterMetricFamily("anosim_sms_stored", "Messages stored.", labels=labels)
        delay = HistogramMetricFamily("anosim_sms_delay_seconds", "From ANOSIM's stamp to our database.", labels=labels)
        for account_id, counts in tally.totals(names).items():
            name = names[account_id]
            for outcome in tally.OUTCOMES:
                calls.add_metric([name, outcome], counts.get(f"calls:{outcome}", 0))
            sms.add_metric([name], counts.get("sms", 0))
            for family, kind in ((call, "call"), (delay, "delay")):
                buckets = [(str(end), counts.get(f"{kind}:{end}", 0)) for end in (*tally.BUCKETS[kind], "+Inf")]
                family.add_metric([name], buckets, sum_value=counts.get(f"{kind}:sum", 0))
        yield from (calls, call, sms, delay)
