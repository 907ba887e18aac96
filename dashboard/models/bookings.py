from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .accounts import Account
from .orders import Order
from .search import SearchField, holding
from .visibility import AccountQuerySet


def labels_of(text: str) -> list[str]:
    """Labels typed with commas between them, each once, without spaces around it."""
    return list(dict.fromkeys(word for part in text.split(",") if (word := " ".join(part.split()))))


class BookingQuerySet(AccountQuerySet["Booking"]):
    def running(self, now: datetime | None = None) -> Self:
        """Bookings that can receive SMS at `now`, as far as the provider's last word goes."""
        return self.filter(runs_until__gt=now or timezone.now())

    def ended(self, now: datetime | None = None) -> Self:
        return self.filter(runs_until__lte=now or timezone.now())

    def waiting(self, now: datetime | None = None) -> Self:
        """Running, and no SMS yet."""
        return self.running(now).filter(newest_sms=None)

    def for_list(self) -> Any:
        """Named tuples of what a list shows, the newest code included; half the cost of models."""
        return self.values_list(
            "id", "account_id", "remote_id", "number", "country", "rental_type", "service", "starts_at",
            "ends_at", "duration_minutes", "state", "runs_until", "sms_count", "newest_sms__code",
            "labels", "assignee__username",
            named=True,
        )  # fmt: skip

    def labelled(self, label: str) -> Self:
        """Bookings with this label among theirs, which are stored as "one, two"."""
        stored = Q(labels=label) | Q(labels__startswith=f"{label}, ") | Q(labels__endswith=f", {label}")
        return self.filter(stored | Q(labels__contains=f", {label}, "))

    def of_person(self, user_id: int) -> Self:
        """Bookings that the person looks after or has bought."""
        bought = Order.objects.filter(purchases__requested_by=user_id).values("pk")
        return self.filter(Q(assignee=user_id) | Q(order__in=bought))

    def noted(self, pieces: tuple[str, ...]) -> Self:
        """Bookings whose note holds what is wanted."""
        return self.exclude(note_search="").filter(holding("note_search", pieces))

    def update(self, **values: Any) -> int:
        """As everywhere; a note takes its searched form along."""
        if "note" in values:
            values["note_search"] = Booking._meta.get_field("note_search").document(values["note"])
        return super().update(**values)

    update.alters_data = True  # type: ignore[attr-defined]

    def own_of(self, user_id: int, account_ids: Container[int], limit: int) -> dict[int, int] | None:
        """The same bookings in these accounts: how many messages each has, by id; None for more than `limit`.

        Of a person, not of an account: so it costs what the person has, whatever the account holds. One query.
        """
        bought = Order.objects.filter(purchases__requested_by=user_id).values("pk")
        columns = "pk", "account_id", "sms_count"
        assigned = self.filter(assignee=user_id).values_list(*columns)
        found = list(assigned.union(self.filter(order__in=bought).values_list(*columns), all=True)[: limit + 1])
        if len(found) > limit:
            return None
        return {pk: count for pk, account, count in found if account in account_ids}

    def sms_wanted(self) -> Self:
        """Bookings whose own SMS list is to be read, the longest wanted first, of these the longest unread ones first
        (a gap wants all at once, and one more while they are read must not send the last ones back to the end of the
        line), of the never read ones those that run longest."""
        unread_first = models.F("sms_read_at").asc(nulls_first=True)
        return self.exclude(sms_wanted_at=None).order_by("sms_wanted_at", unread_first, "-runs_until")


class Booking(models.Model):
    """One rented number for a time. `state` and `rental_type` are kept as they came, also when they are new to us."""

    CLOSED_STATES = frozenset({"ended", "not used", "notused", "cancelled", "canceled", "refunded", "expired"})

    account = models.ForeignKey(Account, models.CASCADE, related_name="bookings", db_index=False)
    remote_id = models.BigIntegerField()
    order = models.ForeignKey(Order, models.SET_NULL, null=True, related_name="bookings", db_index=False)
    number = models.CharField(max_length=40, blank=True)
    country = models.CharField(max_length=80, blank=True)
    rental_type = models.CharField(max_length=40, blank=True)
    service = models.CharField(max_length=500, blank=True)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    duration_minutes = models.PositiveIntegerField(null=True)
    price_usd = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    state = models.CharField(max_length=40, blank=True)
    extends = models.BigIntegerField(null=True, help_text=_("Remote id of the booking that this one extends."))
    auto_renewal = models.BooleanField(null=True)
    # What we set last; where `auto_renewal` differs, it was changed elsewhere.
    auto_renewal_set = models.BooleanField(null=True)
    # Until when SMS may come: the end while it is open, the moment we learnt of it once it is closed.
    runs_until = models.DateTimeField()
    newest_sms = models.ForeignKey("Sms", models.SET_NULL, null=True, related_name="+")
    sms_count = models.PositiveIntegerField(default=0)
    # Set: the booking's own SMS list is to be read since then (first sight, a gap, its end).
    sms_wanted_at = models.DateTimeField(null=True)
    # When its own list was read last.
    sms_read_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField(default=timezone.now)
    # Ours, not the provider's: what it is for, and who looks after it.
    note = models.CharField(max_length=200, blank=True)
    labels = models.CharField(max_length=200, blank=True, help_text=_("Words with commas between them."))
    note_search = SearchField("note", longest=400)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="assigned_bookings"
    )
    read_at = models.DateTimeField()

    objects = BookingQuerySet.as_manager()

    class Meta:
        constraints = [
            # Two workers that save one booking; serves the list, newest first, too.
            models.UniqueConstraint(fields=["account", "remote_id"], name="booking_once"),
        ]
        indexes = [
            # What runs, soonest end first.
            models.Index(fields=["account", "runs_until", "id"], name="booking_running"),
            # Whose is this SMS: the bookings of a number, newest first.
            models.Index(fields=["account", "number", "starts_at"], name="booking_of_number"),
            # Whose own SMS list is still to be read.
            models.Index(
                fields=["account", "sms_wanted_at"],
                name="booking_sms_wanted",
                condition=models.Q(sms_wanted_at__isnull=False),
            ),
            # What extends a booking.
            models.Index(
                fields=["account", "extends"],
                name="booking_extending",
                condition=models.Q(extends__isnull=False),
            ),
            # What a search looks for in notes, without reading the rows.
            models.Index(fields=["account", "note_search"], name="booking_noted", condition=~models.Q(note_search="")),
            # An order's bookings.
            models.Index(fields=["order", "remote_id"], name="booking_of_order"),
        ]

    def __str__(self) -> str:
        return f"Booking {self.remote_id}"

    def is_of(self, user_id: int | None) -> bool:
        """Whether the person looks after it or has bought it. At most one query."""
        if user_id is None:
            return False
        return self.assignee_id == user_id or Booking.objects.filter(pk=self.pk).of_person(user_id).exists()

    @property
    def label_list(self) -> list[str]:
        return labels_of(self.labels)

    @property
    def is_closed(self) -> bool:
        return self.state.strip().lower() in self.CLOSED_STATES

    def believed_end(self, seen_at: datetime) -> datetime:
        """Value of `runs_until`, by what the provider said in an answer of `seen_at`."""
        end = self.ends_at
        if end is None and self.starts_at and self.duration_minutes:
            end = self.starts_at + timedelta(minutes=self.duration_minutes)
        if self.is_closed:
            return min(end, seen_at) if end else seen_at
        # Open and without an end: it runs until we hear otherwise.
        return end or seen_at + timedelta(days=3650)
