from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from django.db import connections, models
from django.db.models import F, Q, Value
from django.db.models.functions import StrIndex, Substr
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..search_form import FIELD_END, SHORTEST, wanted, words_of
from . import search, search_fts
from .accounts import Account
from .bookings import Booking
from .visibility import AccountQuerySet

# So many noted bookings are named one by one in a search.
NOTED = 500


class SmsQuerySet(AccountQuerySet["Sms"]):
    # Set by `matching`.
    is_searched: bool = False
    # Set by `few_of`.
    is_few: bool = False

    def few_of(self, account_ids: Iterable[int]) -> Self:
        """Rows of these accounts, for who adds a condition that finds few, and of them only: by ids, or bookings.

        No condition on the accounts is made: it would tempt SQLite to walk the list from its top instead.
        """
        rows = self._clone()
        rows.account_ids, rows.is_few = tuple(account_ids), True
        return rows

    def blank(self, now: datetime) -> int:
        """Take text and code out of these rows for good; how many. Row, sender and fingerprint stay, so that the
        next read of the provider's list finds the message stored and does not bring the text back (issue 5)."""
        # The document begins with the text (search_text below).
        rest = Substr("search_text", StrIndex("search_text", Value(FIELD_END)))
        return self.update(text="", code="", search_text=rest, blanked_at=now)

    def matching(self, typed: str) -> SmsQuerySet:
        """Messages with all the words typed in text, sender and number, or all in the note of their booking: parts of
        words, in any script, case and grouping (search_form.py). None where nothing typed could be found.

        After `visible_to` or `of_accounts`; one query, for the noted bookings.
        """
        looked_for = wanted(typed)
        if not looked_for:
            return self.none()
        noted = Booking.objects.all() if self.account_ids is None else Booking.objects.of_accounts(self.account_ids)
        noted = noted.noted(looked_for)
        ids = list(noted.values_list("pk", flat=True)[: NOTED + 1])
        # Few are compared one by one, rather than looked up among all that the words find.
        found: Any = (
            search.holding("search_text", looked_for) if self.is_few else search.Found(F("search_text"), looked_for)
        )
        if ids:
            found = Q(found) | Q(booking_id__in=ids if len(ids) <= NOTED else noted.values("pk"))
        rows = self.filter(found)
        rows.is_searched = not self.is_few
        return rows

    def holding(self, typed: str) -> Self:
        """Rows that hold this somewhere in text, sender or number: added to a condition on one of these that would
        have to read every row. Unchanged where too little is typed, and of few rows."""
        if self.is_few or len("".join(words_of(typed))) < SHORTEST:
            return self
        rows = self.filter(search.Found(F("search_text"), wanted(typed)))
        rows.is_searched = True
        return rows

    def by_account(self) -> list[Self]:
        return [self] if self.is_few else super().by_account()

    def parts(self, columns: tuple[str, ...], limit: int) -> list[Self]:
        """Of a search: what is found by text and by note apart, each by the index that serves it."""
        if not self.is_searched:
            return self.by_account()
        text, *by_note = search.halves(self)
        noted = [part for half in by_note for part in half.by_account()]
        by_time = columns in (("-received_at", "-id"), ("received_at", "id"))
        if connections[self.db].vendor != "sqlite" or not by_time or not search.founds(text):
            return [*text.by_account(), *noted]
        ids = search_fts.first_ids(text, backwards=columns[0].startswith("-"), limit=limit)
        # Nothing found is no part, unless it is the only one.
        return [*([self._known(ids)] if ids or not noted else []), *noted]

    def _known(self, ids: list[int]) -> Self:
        """The same columns of just these rows, without asking all the conditions again."""
        rows = self.all()
        rows.query.clear_where()
        return rows.filter(pk__in=ids)

    def _clone(self) -> Self:
        clone = super()._clone()
        clone.is_searched, clone.is_few = self.is_searched, self.is_few
        return clone

    def newest(self) -> SmsQuerySet:
        return self.order_by("-received_at", "-id")

    def for_list(self) -> Any:
        """Named tuples of what a list shows, its booking's country and service included; half the cost of models."""
        return self.values_list(
            "id", "account_id", "booking_id", "number", "sender", "text", "received_at", "code",
            "booking__country", "booking__service", "blanked_at",
            named=True,
        )  # fmt: skip


class Sms(models.Model):
    """One message received by a number. Its text and sender are somebody else's: never trusted, always escaped.

    The provider gives no id. A row is known by account, fingerprint (HMAC of number, sender, text and second) and
    ordinal, its place among equal rows of one answer (reliability.md 4.6).
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="sms", db_index=False)
    booking = models.ForeignKey(Booking, models.SET_NULL, null=True, related_name="sms", db_index=False)
    number = models.CharField(max_length=40, blank=True)
    sender = models.TextField(blank=True)
    text = models.TextField(blank=True)
    received_at = models.DateTimeField()
    code = models.CharField(max_length=32, blank=True)
    fingerprint = models.CharField(max_length=64)
    ordinal = models.PositiveSmallIntegerField()
    seen_at = models.DateTimeField(default=timezone.now)
    # Text first (see `blank`). Its index is made by search_index.py.
    search_text = search.SearchField("text", "sender", "number")
    # When retention took text and code away.
    blanked_at = models.DateTimeField(null=True)

    objects = SmsQuerySet.as_manager()

    class Meta:
        verbose_name = "SMS"
        verbose_name_plural = "SMS"
        constraints = [
            # Pollers that save one message at once, and every re-read: the row is there once.
            models.UniqueConstraint(fields=["account", "fingerprint", "ordinal"], name="sms_once"),
        ]
        indexes = [
            # The inbox; that of several accounts joins the first rows of each.
            models.Index(fields=["account", "received_at", "id"], name="sms_inbox"),
            # The inbox "with a code".
            models.Index(fields=["account", "received_at", "id"], name="sms_with_code", condition=~models.Q(code="")),
            # A booking's thread.
            models.Index(fields=["booking", "received_at", "id"], name="sms_thread"),
            # What a person has not read: beyond the mark of theirs.
            models.Index(fields=["account", "id"], name="sms_by_id"),
            # A number's messages, and those whose booking is not known yet.
            models.Index(fields=["account", "number", "received_at", "id"], name="sms_of_number"),
        ]

    def __str__(self) -> str:
        # Never the text: this ends up in logs and in the admin.
        return f"SMS {self.pk}"


class SmsGapQuerySet(AccountQuerySet["SmsGap"]):
    def open(self) -> SmsGapQuerySet:
        return self.filter(closed_at=None)


class SmsGap(models.Model):
    """A span in which the window of 100 may have let messages pass. Filled by the bookings' own lists, or shown."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="sms_gaps", db_index=False)
    from_at = models.DateTimeField(null=True, help_text=_("Newest message known before; empty at the first read."))
    to_at = models.DateTimeField(help_text=_("Oldest message of the window that showed the gap."))
    found_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    # A booking whose own list was full as well: what lay before it cannot be had any more.
    lost = models.BooleanField(default=False)

    objects = SmsGapQuerySet.as_manager()

    class Meta:
        verbose_name = _("SMS gap")
        indexes = [
            models.Index(fields=["account", "found_at"], name="gap_open", condition=models.Q(closed_at__isnull=True)),
            models.Index(fields=["account", "found_at"], name="gap_lost", condition=models.Q(lost=True)),
        ]

    def __str__(self) -> str:
        return f"Gap up to {self.to_at}"
