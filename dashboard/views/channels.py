"""Where a person's alerts go: the addresses they chose, in their own settings."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from .. import audit, tasks
from ..alerts.telling import BadAddress, check_address
from ..dispatch import enqueue
from ..models import AlertChannel
from .answering import done
from .parameters import text_of

MOST = 10


@sensitive_post_parameters("address")
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """POST: `name` and `address`, one of the apprise library. A test message goes there at once."""
    back = reverse("settings")
    name, address = text_of(request.POST, "name", 80), text_of(request.POST, "address", 500)
    if AlertChannel.objects.filter(user=request.user.pk).count() >= MOST:
        return done(request, back, f"There are {MOST} already. Remove one first.", "bad")
    try:
        address = check_address(address)
    except BadAddress as refused:
        return done(request, back, str(refused), "bad")
    channel = AlertChannel(user_id=request.user.pk or 0, name=name or address.partition(":")[0])
    channel.address = address
    with transaction.atomic():
        channel.save()
        audit.record(request, "alerts.channel_added", channel)
    return _test(request, channel, "Added. ")


@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    return _test(request, _mine(request, pk))


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _mine(request, pk)
    with transaction.atomic():
        audit.record(request, "alerts.channel_removed", channel)
        channel.delete()
    return done(request, reverse("settings"), f"Alerts no longer go to {channel.name}.")


def rows_of(request: HttpRequest) -> list[dict[str, Any]]:
    """What the settings show: never the address, which may hold a password."""
    channels = AlertChannel.objects.filter(user=request.user.pk).defer("sealed_address")
    return [
        {"pk": each.pk, "name": each.name, "verdict": each.verdict, "verdict_at": each.verdict_at} for each in channels
    ]


def _test(request: HttpRequest, channel: AlertChannel, before: str = "") -> HttpResponse:
    queued = enqueue(tasks.test_alert_channel, channel.pk)
    words = "A test message is on its way; how it went stands here in a moment."
    if not queued:
        words = "The queue does not answer at the moment, so no test message was sent."
    return done(request, reverse("settings"), before + words, "info" if queued else "bad")


def _mine(request: HttpRequest, pk: int) -> AlertChannel:
    channel = AlertChannel.objects.filter(user=request.user.pk, pk=pk).first() if pk < 2**63 else None
    if channel is None:
        raise Http404
    return channel
