"""Which messages a URL of the inbox is about, before they are narrowed by what they hold."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.http import HttpRequest

from ..models import Booking, Sms
from ..models.sms import SmsQuerySet
from ..reading import FEW, unread_rows
from .access import accounts_in_view
from .parameters import text_of, whole_of
from .unread import states_in_view

# Bookings of a person that are looked up one by one.
OWN = 1000


def in_scope(request: HttpRequest, unread: bool) -> SmsQuerySet:
    """Messages of the accounts in view, or the unread ones; of one booking or the person's own, where the URL says so.

    What is few is looked up by index and sorted; what is much is walked in the order of the list.
    """
    rows = None
    if unread:
        rows = unread_rows(request.user.pk or 0, states_in_view(request))
    if whole_of(request.GET, "booking") is not None:
        booking = booking_of(request)
        every = _few(request) if rows is None else rows
        rows = every.filter(booking=booking.pk) if booking else every.none()
    if text_of(request.GET, "mine") == "1":
        rows = _of_person(request, rows)
    return Sms.objects.of_accounts(accounts_in_view(request)) if rows is None else rows


def booking_of(request: HttpRequest) -> Booking | None:
    """The booking that the URL names, if the person sees it. One query a request."""
    known: dict[str, Booking | None] = request.__dict__.setdefault("_booking_named", {})
    if "" not in known:
        pk = whole_of(request.GET, "booking")
        rows = Booking.objects.of_accounts(accounts_in_view(request)).only("number", "service", "account_id")
        known[""] = None if pk is None else rows.filter(pk=pk).first()
    return known[""]


def _of_person(request: HttpRequest, rows: SmsQuerySet | None) -> SmsQuerySet:
    user, in_view = request.user.pk or 0, accounts_in_view(request)
    own = Booking.objects.own_of(user, in_view, OWN)
    if own is not None and sum(own.values()) <= FEW:
        return (_few(request) if rows is None else rows).filter(booking__in=list(own))
    rows = Sms.objects.of_accounts(in_view) if rows is None else rows
    return rows.filter(Exists(Booking.objects.of_accounts(in_view).of_person(user).filter(pk=OuterRef("booking"))))


def _few(request: HttpRequest) -> SmsQuerySet:
    return Sms.objects.few_of(accounts_in_view(request))
