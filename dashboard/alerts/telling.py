"""Sending an alert to the channels that people chose, by the apprise library. It says what stands, never an SMS."""

from __future__ import annotations

import ipaddress
import logging
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from anosim_dashboard import shared_clock

from ..encryption import CannotUnseal
from ..languages import current, of_person
from ..local_time import short_day
from ..models import AlertChannel, AlertNotice
from ..sayings import said
from .reach import is_outside, outside_only

# A message that takes longer is taken to have failed.
LEASE = timedelta(minutes=2)
# Schemes of apprise that would do something on our own machine instead of sending anything.
LOCAL = frozenset(
    {"blink1", "dbus", "file", "gio", "glib", "gnome", "includes", "kde", "macosx", "qt", "syslog", "windows"}
)
NO_ADDRESS = "Write a mail address, or an Apprise address such as mailtos://user:password@mail.example.org."
PRIVATE = "This leads into a private network. ALERTS_TO_PRIVATE_NETWORKS=1 would allow it."
SUBJECT = {
    AlertNotice.What.OPENED: gettext_noop("ANOSIM dashboard"),
    AlertNotice.What.RESOLVED: gettext_noop("ANOSIM dashboard: over"),
}

logger = logging.getLogger(__name__)


class BadAddress(ValueError):
    """An address that is not taken; the text says why and does not quote it."""


def check_address(address: str) -> str:
    """The address as it is sent to: a mail address, or what apprise takes. Raises BadAddress.

    The server sends to it, so it must not lead back to our own machine or network, where it could reach what only
    insiders may: names and addresses of other machines out there only, unless ALERTS_TO_PRIVATE_NETWORKS. This is to
    say so early; what counts is where each connection leads (reach.py).
    """
    import apprise

    address = address.strip()
    if _is_mail(address):
        if not settings.MAIL:
            raise BadAddress(
                "This dashboard sends no mail (EMAIL_URL). An address such as mailtos://… has its own server."
            )
        return address
    try:
        parts = urlsplit(address)
    except ValueError:  # a host in brackets that is none
        raise BadAddress(NO_ADDRESS) from None
    if not parts.scheme or parts.scheme.lower() in LOCAL:
        raise BadAddress(NO_ADDRESS)
    if not settings.ALERTS_TO_PRIVATE_NETWORKS and _is_private(parts.hostname or ""):
        raise BadAddress(PRIVATE)
    if apprise.Apprise.instantiate(address) is None:
        raise BadAddress("Apprise does not know such an address. Its documentation lists the services.")
    return address


def _is_mail(address: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        return False
    return True


def _is_private(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith((".localhost", ".local", ".internal", ".lan"))
    return not is_outside(host)


def due() -> list[int]:
    """Claim the notices to send now; ids."""
    now = shared_clock.now()
    rows = AlertNotice.objects.due(now).order_by("next_try_at")[:50]
    return [row.pk for row in rows if AlertNotice.objects.claim(row, now + LEASE)]


def send(notice_id: int) -> str:
    """Send one claimed notice; how it went, in a word."""
    found = AlertNotice.objects.select_related("alert", "channel", "channel__user").filter(pk=notice_id, sent_at=None)
    notice = found.first()
    if notice is None:
        return "gone"
    if not _still_concerned(notice):
        AlertNotice.objects.filter(pk=notice.pk).update(next_try_at=None)
        return "not concerned any more"
    with of_person(notice.channel.user):
        title, words = _(SUBJECT[AlertNotice.What(notice.what)]), said(notice.alert.words)
        if notice.what == AlertNotice.What.RESOLVED and notice.alert.resolved_at:
            over = {"time": _time(notice.alert.resolved_at), "words": words}
            words = _("Over since %(time)s UTC. It was: %(words)s") % over
    trouble = deliver(notice.channel, title, words)
    now = shared_clock.now()
    if not trouble:
        AlertNotice.objects.filter(pk=notice.pk).update(sent_at=now, next_try_at=None)
        return "sent"
    notice.tries -= 1  # the claim has counted this one
    AlertNotice.objects.filter(pk=notice.pk).update(**notice.later(now))
    return f"failed: {trouble}"


def deliver(channel: AlertChannel, title: str, body: str) -> str:
    """Send it now and note on the channel how that went; what went wrong, "" if nothing."""
    trouble = _deliver(channel, title, body)
    now = shared_clock.now()
    AlertChannel.objects.filter(pk=channel.pk).update(verdict=trouble or "The last message was taken.", verdict_at=now)
    return trouble


def _deliver(channel: AlertChannel, title: str, body: str) -> str:
    try:
        # Checked again: what is allowed may have changed since it was stored.
        address = check_address(channel.address)
        if _is_mail(address):
            send_mail(title, body, None, [address])
            return ""
        taken, reason = _notify(address, title, body)
    except CannotUnseal:
        return "No field key opens the stored address."
    except BadAddress as refused:
        return str(refused)
    except Exception as error:  # noqa: BLE001 (of whichever of a hundred plugins; its text could quote the address)
        logger.warning("An alert channel failed (%s).", type(error).__name__)
        return "The service could not be reached."
    return "" if taken else reason


def _notify(address: str, title: str, body: str) -> tuple[bool, str]:
    """Whether apprise could send it, and what to say if not."""
    import apprise

    sender = apprise.Apprise()
    sender.add(address)
    with nullcontext() if settings.ALERTS_TO_PRIVATE_NETWORKS else outside_only() as watch:
        taken = bool(sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT))
    return taken, PRIVATE if watch and watch.refused else "The service did not take it."


def test(channel_id: int) -> str:
    """Send a first message to a channel that a person has just set up, or asks about; how it went, in a word."""
    channel = AlertChannel.objects.select_related("user").filter(pk=channel_id).first()
    if channel is None:
        return "gone"
    with of_person(channel.user):
        title, words = _(SUBJECT[AlertNotice.What.OPENED]), _("This is a test: alerts come here from now on.")
    return deliver(channel, title, words) or "sent"


def _time(moment: datetime) -> str:
    """In UTC: "21 Nov 14:31", with two digits for the day in English."""
    moment = moment.astimezone(UTC)
    return f"{moment:%d %b %H:%M}" if current() != "de" else f"{short_day(moment)} {moment:%H:%M}"


def _still_concerned(notice: AlertNotice) -> bool:
    user = notice.channel.user
    return user.is_active and notice.alert.account_id in user.roles
