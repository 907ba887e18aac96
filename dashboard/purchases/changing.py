"""Changes that cost nothing: cancel an Activation, switch auto-renewal. Set to a value, then read back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from anosim_dashboard import shared_clock

from .. import audit
from ..access_rules import Rule, may, may_now
from ..anosim import AnosimError, Client, OutcomeUnknown, Refused, TryLater, Unreadable
from ..encryption import CannotUnseal
from ..live import topics
from ..models import Account, Booking, BookingChange, SyncState, User
from ..sync.clients import spending_client_for, stopped
from ..wording import usd
from .intents import Declined

logger = logging.getLogger(__name__)
Kind = BookingChange.Kind
Status = BookingChange.Status
TRIES = 3
# What is being made so long has lost its worker; setting a value once more is harmless. Longer than three tries.
LEASE = timedelta(seconds=3 * settings.PURCHASE_DEADLINE_SECONDS + 30)
# States of a booking whose money came back.
GIVEN_BACK = Booking.CLOSED_STATES - {"ended", "expired"}


def why_not_cancel(booking: Booking) -> str:
    """Why this booking cannot be cancelled; nothing if it can (anosim-api.md #14)."""
    if booking.rental_type.lower() != "activation":
        return "Only Activations can be cancelled."
    if booking.is_closed or booking.runs_until <= shared_clock.now():
        return "The booking has ended."
    if booking.sms_count:
        return "An SMS has come: ANOSIM gives no money back any more."
    return ""


def why_not_renew(booking: Booking) -> str:
    """Why auto-renewal cannot be switched for this booking; nothing if it can (anosim-api.md #17)."""
    if booking.rental_type.lower() == "activation":
        return "Activations do not renew."
    if booking.extends is not None:
        return "This is an extension: what renews is the booking that it belongs to."
    if booking.is_closed or booking.runs_until <= shared_clock.now():
        return "The booking has ended."
    return ""


def queue(
    user: User,
    account: Account,
    kind: str,
    booking: Booking | None = None,
    also: Callable[[BookingChange], object] | None = None,
) -> BookingChange:
    """Write the change, with what `also` writes about it; the same one on its way already is given back.

    Without a booking it is about all of the account. Raises Declined.
    """
    if not _may(may, user, account.pk, kind, booking):
        raise Declined("Your role in this account does not allow this.")
    if booking is not None and (reason := why_not_cancel(booking) if kind == Kind.CANCEL else why_not_renew(booking)):
        raise Declined(reason)
    try:
        with transaction.atomic():
            change = BookingChange.objects.create(account=account, booking=booking, kind=kind, requested_by=user)
            if also is not None:
                also(change)
            topics.touch(account.pk, topics.BOOKINGS)
            return change
    except IntegrityError:
        known = BookingChange.objects.open().filter(account=account, booking=booking).first()
    if known is None or known.kind != kind:
        raise Declined("Another change is on its way. Wait until it is done, then try again.")
    return known


def _may(asked: Callable[..., bool], user: User, account_id: int, kind: str, booking: Booking | None) -> bool:
    """`asked` is access_rules.may, or may_now for what was asked for a while ago."""
    if kind == Kind.CANCEL:
        return asked(user, Rule.ACT, account_id)
    if booking is None:
        return asked(user, Rule.RENEW_ALL, account_id)
    return asked(user, Rule.RENEW, account_id, own=booking.is_of(user.pk))


def apply(pk: int) -> str:
    """Make the change and read it back. Gives its status; "passed" if another worker is at it, or it is done."""
    change = BookingChange.objects.select_related("account", "booking", "requested_by").filter(pk=pk).first()
    now = shared_clock.now()
    left = Q(status=Status.QUEUED) | Q(status=Status.SENDING, status_at__lt=now - LEASE)
    mine = BookingChange.objects.filter(left, pk=pk)
    if change is None or not mine.filter(status_at=change.status_at).update(status=Status.SENDING, status_at=now):
        return "passed"
    change.status_at = now
    if not change.account.enabled:
        return _end(change, Status.REFUSED, "The account is paused. Nothing was sent.")
    if not _may(may_now, change.requested_by, change.account_id, change.kind, change.booking):
        return _end(change, Status.REFUSED, f"{change.requested_by} may not do this any more. Nothing was sent.")
    try:
        if change.status == Status.QUEUED:  # else a worker that died may have sent it: only a call tells
            stopped(change.account)
        words = _make(spending_client_for(change.account), change)
    except OutcomeUnknown as error:
        return _end(change, Status.UNKNOWN, f"{error.text} The next reading shows it.")
    except (AnosimError, CannotUnseal) as error:
        return _end(change, Status.REFUSED, error.text if isinstance(error, AnosimError) else str(error))
    except Exception as error:
        # Ours to mend; tried again and again it would not get better.
        logger.exception("change %s: an error of our own", pk)
        return _end(change, Status.UNKNOWN, f"An error of the dashboard itself ({type(error).__name__}).")
    return _end(change, Status.DONE, words)


def _make(client: Client, change: BookingChange) -> str:
    doubt: OutcomeUnknown | None = None
    error: AnosimError = OutcomeUnknown("It was not tried.")
    for _ in range(TRIES):
        try:
            if change.kind != Kind.CANCEL:
                return _renew(client, change)
            if change.booking is not None:
                return _cancel(client, change.booking)
        except OutcomeUnknown as problem:
            error = doubt = problem
        except TryLater as problem:
            error = problem
            if problem.throttled:
                break
    # What was sent once may have taken effect, whatever the tries after it met.
    raise doubt or error


def _cancel(client: Client, booking: Booking) -> str:
    try:
        client.cancel_booking(booking.remote_id)
    except (OutcomeUnknown, Refused) as error:
        # A refusal may be the answer to our own second try.
        if not _gave_back(client, booking):
            raise error
    return (
        "Cancelled. The money comes back."
        if booking.price_usd is None
        else f"Cancelled. {usd(booking.price_usd)} back."
    )


def _renew(client: Client, change: BookingChange) -> str:
    on = change.kind == Kind.RENEWAL_ON
    booking = change.booking
    result = client.set_auto_renewal(on, booking.remote_id if booking else None)
    if not result.success:
        raise OutcomeUnknown(result.message or "ANOSIM did not say that it was set.")
    now_on = _read_back(client, booking) if booking else None
    rows = Booking.objects.filter(account=change.account).running().exclude(rental_type__iexact="activation")
    if booking is not None:
        rows = rows.filter(pk=booking.pk)
    # What was asked for before this moment shows how it was.
    rows.update(auto_renewal_set=on, auto_renewal=on if now_on is None else now_on, read_at=shared_clock.now())
    if now_on is not None and now_on != on:
        raise OutcomeUnknown("ANOSIM took it, but shows the booking unchanged.")
    count = "" if booking or result.affected is None else f" for {result.affected} bookings"
    return f"Auto-renewal is {'on' if on else 'off'}{count}."


def _gave_back(client: Client, booking: Booking) -> bool:
    """Whether the provider shows the booking as cancelled. Raises OutcomeUnknown when it cannot be read."""
    try:
        return client.booking(booking.remote_id).state.strip().lower() in GIVEN_BACK
    except (TryLater, Unreadable) as error:
        raise OutcomeUnknown(error.text) from error


def _read_back(client: Client, booking: Booking) -> bool | None:
    """What the provider shows; None where it does not show it or does not answer."""
    try:
        return client.booking(booking.remote_id).auto_renewal
    except AnosimError:
        return None


def _end(change: BookingChange, status: str, words: str) -> str:
    with transaction.atomic():
        # A worker that slept past its lease has no word any more.
        mine = BookingChange.objects.filter(pk=change.pk, status=Status.SENDING, status_at=change.status_at)
        if not mine.update(status=status, words=words[:400], status_at=shared_clock.now()):
            return "passed"
        if status == Status.DONE and change.kind == Kind.CANCEL and change.booking is not None:
            Booking.objects.filter(pk=change.booking.pk).update(
                state="Cancelled", runs_until=shared_clock.now(), read_at=shared_clock.now()
            )
        told = {"change": change.kind, "status": status, "words": words}
        audit.by_machine("booking.change_ended", change.booking or change.account, told)
        topics.touch(change.account_id, topics.BOOKINGS)
    kinds = SyncState.Kind
    SyncState.objects.hurry(change.account_id, kinds.CURRENT, kinds.BOOKINGS, kinds.BALANCE)
    return status
