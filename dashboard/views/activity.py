"""Activity: who did what, when, from where. Managers read their accounts', admins all, everybody their own deeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from ..access_rules import Rule, accounts_with, may
from ..live import topics
from ..models import AuditEvent, Booking, Order, Purchase, User
from ..models.audit import AuditQuerySet
from ..sign_in.devices import device_words
from ..wording import number_text, whole
from .access import accounts_in_view, activity_for
from .activity_words import actor_of, detail_pairs, sentence_of
from .listing import form_state, name_accounts, set_filters
from .paging import Sort, first_rows, page_of
from .panels import Context, Panel
from .parameters import days_of, text_of, whole_of

SORTS = (
    Sort("newest", gettext_lazy("Newest first"), "at"),
    Sort("oldest", gettext_lazy("Oldest first"), "at", descending=False),
)
OBJECTS = ("booking", "order", "purchase", "person")
FILTERS = ("q", "kind", "who", "from", "to", *OBJECTS)
# `who` without the steps that the dashboard makes by itself.
PEOPLE = "people"
MOST_PEOPLE = 500
MOST_COUNTED = 1000
# Of one object: as many events as anybody will read.
MOST_OF_OBJECT = 2000


@dataclass(frozen=True)
class About:
    """One object whose history is asked for: parameter and value, what it is called, which events tell of it."""

    name: str
    value: str
    words: str
    events: Q


@require_safe
def activity(request: HttpRequest) -> HttpResponse:
    """The page. Filters of its URL: `who`, `kind`, `account`, `from`, `to`, `q`, and one object of OBJECTS."""
    context = form_state(request, FILTERS, SORTS) | PANEL.context(request)
    others = may(request.user, Rule.ACTIVITY)
    context |= {
        "kinds": AuditEvent.Kind.choices,
        "people": _people(request) if others else [],
        "others": others,
    }
    return render(request, "dashboard/activity.html", context)


def _build(request: HttpRequest) -> Context:
    found = _filtered(request)
    page = page_of(found.defer("previous", "hash"), request.GET, SORTS)
    is_admin = may(request.user, Rule.ADMIN)
    several = name_accounts(request, page.rows)
    rows = [
        {
            "event": each,
            "actor": actor_of(each),
            "sentence": sentence_of(each, is_admin),
            "pairs": detail_pairs(each),
            "device": device_words(each.device) if each.device else "",
        }
        for each in page.rows
    ]
    return {
        "page": page,
        "rows": rows,
        # To count what holds a word would mean to read all that does not.
        "count": "" if text_of(request.GET, "q") else _count(found),
        "filtered": bool(set_filters(request, FILTERS)),
        "several_accounts": several,
        "others": may(request.user, Rule.ACTIVITY),
        "about": _about(request),
    }


def _count(found: AuditQuerySet) -> str:
    """As `count_up_to`, but each part of the list is walked by its own index, and no further than to the limit."""
    count = len(first_rows(found.only("pk", "at"), ("-at", "-id"), MOST_COUNTED + 1))
    return f"{whole(MOST_COUNTED)}+" if count > MOST_COUNTED else whole(count)


def _filtered(request: HttpRequest) -> AuditQuerySet:
    query, found = request.GET, activity_for(request.user)
    in_view = accounts_in_view(request)
    if in_view != getattr(request.user, "visible_account_ids", ()):
        found = found.filter(account__in=in_view) if len(in_view) != 1 else found.filter(account=in_view[0])
    if (kind := text_of(query, "kind")) in AuditEvent.Kind.values:
        found = found.filter(kind=kind)
    if (who := whole_of(query, "who")) is not None:
        found = found.filter(user=who)
    elif text_of(query, "who") == PEOPLE:
        found = found.exclude(role=AuditEvent.Role.MACHINE)
    start, end = days_of(request)
    if start is not None:
        found = found.filter(at__gte=start)
    if end is not None:
        found = found.filter(at__lt=end)
    if q := text_of(query, "q"):
        found = found.filter(object_text__icontains=q)
    if (about := _about(request)) is not None:
        # Read first, since they are few: else a database may walk the whole list to find them.
        ids = AuditEvent.objects.filter(about.events).order_by("-at").values_list("pk", flat=True)
        found = found.only_these(list(ids[:MOST_OF_OBJECT]))
    return found


def _about(request: HttpRequest) -> About | None:
    """The object that the URL names, if it names one. Of one that the person does not see nothing is told but what
    they did with it themselves."""
    known: tuple[About | None] | None = request.__dict__.get("_about")
    if known is None:
        known = request.__dict__["_about"] = (_find_about(request),)
    return known[0]


def _find_about(request: HttpRequest) -> About | None:
    query = request.GET
    if (pk := whole_of(query, "booking")) is not None:
        return _about_booking(request, pk)
    if (pk := whole_of(query, "order")) is not None:
        return _about_order(request, pk)
    if (pk := whole_of(query, "person")) is not None:
        return _about_person(request, pk)
    if text := text_of(query, "purchase"):
        try:
            return About("purchase", text, _("this purchase"), _of("purchase", UUID(text)))
        except ValueError:
            return None
    return None


def _about_booking(request: HttpRequest, pk: int) -> About:
    """The booking, the purchase that brought it, and those that extend it or use its number again."""
    found = Booking.objects.visible_to(request.user).filter(pk=pk).only("number", "order_id").first()
    if found is None:
        return About("booking", str(pk), _("this booking"), _of("booking", pk))
    bought = Q(booking=pk) if found.order_id is None else Q(booking=pk) | Q(order=found.order_id)
    words = number_text(found.number) or _("this booking")
    return About("booking", str(pk), words, _of("booking", pk) | _of_purchases(request, bought))


def _about_order(request: HttpRequest, pk: int) -> About:
    """The order, what it was bought by, and its bookings."""
    found = Order.objects.visible_to(request.user).filter(pk=pk).only("remote_id").first()
    if found is None:
        return About("order", str(pk), _("this order"), _of("order", pk))
    bookings = Booking.objects.visible_to(request.user).filter(order=pk).values_list("pk", flat=True)
    events = _of("order", pk) | _of("booking", *bookings) | _of_purchases(request, Q(order=pk))
    return About("order", str(pk), _("order %(id)s") % {"id": found.remote_id}, events)


def _about_person(request: HttpRequest, pk: int) -> About:
    """What was done to a person's rights and sign-in; what they did themselves is told by `who`."""
    name = (
        User.objects.filter(pk=pk).values_list("username", flat=True).first() if may(request.user, Rule.ADMIN) else ""
    )
    return About("person", str(pk), name or _("this person"), _of("user", pk))


def _of_purchases(request: HttpRequest, which: Q) -> Q:
    ids = Purchase.objects.visible_to(request.user).filter(which).order_by().values_list("pk", flat=True)
    return _of("purchase", *ids)


def _of(kind: str, *ids: Any) -> Q:
    return Q(object_type=kind, object_id__in=[str(each) for each in ids])


def _people(request: HttpRequest) -> list[tuple[int, str]]:
    """Whom the list can be narrowed to: everybody for an admin, the members of their accounts for a manager."""
    people = User.objects.order_by("username")
    if not may(request.user, Rule.ADMIN):
        people = people.filter(memberships__account__in=accounts_with(request.user, Rule.ACTIVITY)).distinct()
    return list(people.values_list("pk", "username")[:MOST_PEOPLE])


def _newest(request: HttpRequest) -> str:
    """What moves the list without a topic: events that belong to no account."""
    newest = first_rows(activity_for(request.user).only("pk", "at"), ("-at", "-id"), 1)
    return str(newest[0].pk) if newest else ""


PANEL = Panel("activity", (topics.ACTIVITY,), _build, salt=_newest, every="20s")
