"""Where a person's alerts go: the addresses they chose, in their own settings."""

from __future__ import annotations

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from .. import audit, tasks
from ..alerts.telling import BadAddress, check_address
from ..dispatch import enqueue
from ..models import AlertChannel, User
from ..sayings import said
from .answering import done
from .parameters import text_of
from .personal import PersonalForm, page

MOST = 10


@sensitive_post_parameters("address")
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """POST: `name` and `address`, one of the apprise library. A test message goes there at once. Status 422 with what
    was typed when it is not taken."""
    name, address = text_of(request.POST, "name", 80), text_of(request.POST, "address", 500)
    try:
        if AlertChannel.objects.filter(user=request.user.pk).count() >= MOST:
            raise BadAddress(_("There are %(most)s already. Remove one first.") % {"most": MOST})
        checked = check_address(address)
    except BadAddress as refused:
        form = PersonalForm(instance=User.objects.get(pk=request.user.pk or 0))
        return page(request, form, typed_name=name, typed_address=address, refused=said(str(refused)))
    channel = AlertChannel(user_id=request.user.pk or 0, name=name or checked.partition(":")[0])
    channel.address = checked
    with transaction.atomic():
        channel.save()
        audit.record(request, "alerts.channel_added", channel)
    return _test(request, channel, _("Added.") + " ")


@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    return _test(request, _mine(request, pk))


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _mine(request, pk)
    with transaction.atomic():
        audit.record(request, "alerts.channel_removed", channel)
        channel.delete()
    return done(request, reverse("settings"), _("Alerts no longer go to %(name)s.") % {"name": channel.name})


def _test(request: HttpRequest, channel: AlertChannel, before: str = "") -> HttpResponse:
    queued = enqueue(tasks.test_alert_channel, channel.pk)
    words = _("A test message is on its way; how it went stands here in a moment.")
    if not queued:
        words = _("The queue does not answer at the moment, so no test message was sent.")
    return done(request, reverse("settings"), before + words, "info" if queued else "bad")


def _mine(request: HttpRequest, pk: int) -> AlertChannel:
    channel = AlertChannel.objects.filter(user=request.user.pk, pk=pk).first() if pk < 2**63 else None
    if channel is None:
        raise Http404
    return channel
