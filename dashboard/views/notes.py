"""What the team notes about a booking: what it is for, labels, who looks after it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from .. import audit
from ..access_rules import Rule, may
from ..live import topics
from ..models import Booking, Membership, User
from ..models.bookings import labels_of
from ..wording import number_text
from .access import booking_for
from .answering import done
from .parameters import text_of, whole_of

LENGTH = 200
Errors = dict[str, str]


@require_http_methods(["GET", "HEAD", "POST"])
def notes(request: HttpRequest, pk: int) -> HttpResponse:
    """The form, and saving it: `note`, `labels` (with commas between them), `assignee` (pk, empty for nobody)."""
    booking = booking_for(request, pk)
    members = _members(booking)
    if request.method != "POST":
        values = {"note": booking.note, "labels": booking.labels, "assignee": booking.assignee_id}
        return _form(request, booking, members, values, {})
    values = {
        "note": text_of(request.POST, "note", 2000),
        "labels": ", ".join(labels_of(text_of(request.POST, "labels", 2000))),
        "assignee": whole_of(request.POST, "assignee"),
    }
    if errors := _errors(values, members):
        return _form(request, booking, members, values, errors)
    _save(request, booking, values)
    words = _("Saved for %(name)s.") % {"name": number_text(booking.number) or _("the booking")}
    fresh = booking_for(request, pk)
    return done(request, reverse("booking", args=[pk]), words, content=_shown(request, fresh))


@require_safe
def shown(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment without the form."""
    return HttpResponse(_shown(request, booking_for(request, pk)))


def _members(booking: Booking) -> list[User]:
    """Who can look after it: the account's active members, admins, and who does so now. By name; one query."""
    ids = Membership.objects.filter(account=booking.account_id).values("user")
    members = User.objects.filter(Q(pk__in=ids) | Q(is_superuser=True), is_active=True)
    found = list(members.only("username").order_by("username"))
    if booking.assignee is not None and booking.assignee not in found:
        found.append(booking.assignee)
    return found


def _errors(values: dict[str, Any], members: list[User]) -> Errors:
    errors = {}
    too_long = {
        "note": _("A note has at most %(most)s characters; these are %(count)s."),
        "labels": _("Labels have together at most %(most)s characters; these are %(count)s."),
    }
    for name, words in too_long.items():
        if len(values[name]) > LENGTH:
            errors[name] = words % {"most": LENGTH, "count": len(values[name])}
    if values["assignee"] is not None and values["assignee"] not in {member.pk for member in members}:
        errors["assignee"] = _("Choose a member of this account.")
    return errors


def _save(request: HttpRequest, booking: Booking, values: dict[str, Any]) -> None:
    columns = {"note": values["note"], "labels": values["labels"], "assignee_id": values["assignee"]}
    changed = sorted(name for name, value in columns.items() if getattr(booking, name) != value)
    if not changed:
        return
    with transaction.atomic():
        # Only what is ours: the workers write to the same row.
        Booking.objects.filter(pk=booking.pk).update(**{name: columns[name] for name in changed})
        audit.record(request, "booking.noted", booking, {"fields": changed})
        # The inbox finds messages by the note, and by whose the booking is.
        found_by = () if changed == ["labels"] else (topics.SMS,)
        topics.touch(booking.account_id, topics.BOOKINGS, *found_by)


def _form(
    request: HttpRequest, booking: Booking, members: list[User], values: dict[str, Any], errors: Errors
) -> HttpResponse:
    """The form in place, or as a page of its own. Status 422 with what was typed, when something is wrong."""
    inline = bool(request.htmx)  # type: ignore[attr-defined]
    context = {
        "booking": booking,
        "number_text": number_text(booking.number),
        "members": members,
        "values": values,
        "errors": errors,
        "inline": inline,
    }
    template = "dashboard/_booking_notes_form.html" if inline else "dashboard/booking_notes.html"
    response = render(request, template, context, status=422 if errors else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _shown(request: HttpRequest, booking: Booking) -> str:
    context = {"booking": booking, "may_act": may(request.user, Rule.ACT, booking.account_id)}
    return render_to_string("dashboard/_booking_notes.html", context, request)
