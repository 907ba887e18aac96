"""Saving messages: nothing lost, nothing doubled (reliability.md 4.5, 4.6)."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from anosim_dashboard import shared_clock

from ..anosim import Listing
from ..anosim import Sms as SmsRecord
from ..codes import find_code
from ..live.topics import BOOKINGS, SMS, SYNC
from ..models import Account, Booking, Sms, SmsGap, SyncState
from .changes import Changes
from .columns import CHUNK, fitted

logger = logging.getLogger(__name__)
WINDOW = 100  # rows of a full list (anosim-api.md #9)
# A message may be stamped a little before its booking starts, and arrive a while after it has ended.
EARLY = timedelta(minutes=1)
LATE = timedelta(hours=1)
Kind = SyncState.Kind


def save_sms(account: Account, listing: Listing[SmsRecord], asked_at: datetime, state: SyncState) -> Changes:
    """Save a list of all SMS, and find out whether the window of 100 may have let some pass since the last list.

    `state` is the row of the kind SMS; its `window_newest_at` is moved here and saved by the caller.
    """
    changes = _save(account, listing.rows, asked_at, None)
    stamps = [row.received_at for row in listing.rows if row.received_at]
    if not stamps:
        return changes
    full = listing.total >= WINDOW
    known = state.window_newest_at
    # To the second, as messages are told apart: of equal ones in the second that the window cuts some may be beyond it.
    if full and (known is None or _second(min(stamps)) >= _second(known) or changes.new >= len(listing.rows)):
        _open_gap(account, known, min(stamps))
        changes.topics.add(SYNC)
        changes.hurry.add(Kind.BOOKING_SMS)
    # A stamp from the future must not make later windows look complete: capped at the moment that we asked.
    newest = min(max(stamps), listing.server_time or asked_at, asked_at)
    state.window_newest_at = max(newest, known) if known else newest
    return changes


def save_booking_sms(booking: Booking, listing: Listing[SmsRecord], asked_at: datetime, wanted_at: datetime) -> Changes:
    """Save the list of one booking and take it off the list of wanted ones, if nobody wanted it anew meanwhile."""
    changes = _save(booking.account, listing.rows, asked_at, booking)
    stamps = [row.received_at for row in listing.rows if row.received_at]
    lost = _mark_lost(booking, min(stamps)) if listing.total >= WINDOW and stamps else False
    if lost:
        changes.topics.add(SYNC)
    mine = Booking.objects.filter(pk=booking.pk)
    mine.filter(sms_wanted_at=wanted_at).update(sms_wanted_at=None)
    if lost is not None:
        # By the provider's clock where it tells it: ours may be ahead, and what came meanwhile would count as read.
        mine.update(sms_read_at=min(asked_at, listing.server_time or asked_at))
    return changes


def close_gaps(account: Account) -> bool:
    """Close the open gaps once no booking's list is wanted any more. Whether any was open."""
    if Booking.objects.filter(account=account).sms_wanted().exists():
        return False
    return SmsGap.objects.filter(account=account).open().update(closed_at=shared_clock.now()) > 0


@dataclass(frozen=True)
class Owners:
    """The bookings of some numbers: whose is a message?"""

    spans: dict[str, list[tuple[datetime, datetime, int]]] = field(default_factory=dict)

    def booking_of(self, number: str, received_at: datetime) -> int | None:
        """Id of the booking that the number had at that time; of several the one that began last."""
        fitting = [
            (starts, pk)
            for starts, ends, pk in self.spans.get(number, ())
            if starts - EARLY <= received_at <= ends + LATE
        ]
        return max(fitting)[1] if fitting else None


def whose(account: Account, numbers: Iterable[str]) -> Owners:
    """The bookings of these numbers. One query."""
    owners = Owners()
    rows = Booking.objects.filter(account=account, number__in=set(numbers)).values_list(
        "number", "starts_at", "first_seen_at", "ends_at", "runs_until", "pk"
    )
    for number, starts_at, first_seen_at, ends_at, runs_until, pk in rows:
        span = (starts_at or first_seen_at, max(ends_at or runs_until, runs_until), pk)
        owners.spans.setdefault(number, []).append(span)
    return owners


def settle_bookings(ids: Iterable[int]) -> None:
    """Bring count and newest message of these bookings in line with the stored messages. One statement."""
    ids = set(ids)
    if not ids:
        return
    mine = Sms.objects.filter(booking=OuterRef("pk"))
    count = mine.order_by().values("booking").annotate(n=Count("pk")).values("n")
    Booking.objects.filter(pk__in=ids).update(
        newest_sms=Subquery(mine.newest().values("pk")[:1]), sms_count=Coalesce(Subquery(count), 0)
    )


def fingerprint(key: bytes, record: SmsRecord) -> str:
    """HMAC-SHA-256 of number, sender, text and second, as hex.

    The second, not the raw stamp: the provider writes 0 to 7 fractional digits as it likes (anosim-api.md, wild fact
    4). Equal messages within a second are told apart by their ordinal like all equal rows.
    """
    stamp = record.stamp if record.received_at is None else _second(record.received_at).isoformat()
    canonical = json.dumps(["v1", record.number, record.sender, record.text, stamp])
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _save(account: Account, records: Iterable[SmsRecord], asked_at: datetime, booking: Booking | None) -> Changes:
    """Insert the ordinals that are missing: per fingerprint the highest count ever seen in one answer wins."""
    key = account.fingerprint_key
    marked = [(fingerprint(key, record), record) for record in records]
    stored = dict(
        Sms.objects.filter(account=account, fingerprint__in={mark for mark, _ in marked})
        .order_by()
        .values_list("fingerprint")
        .annotate(Max("ordinal"))
    )
    owners = (
        whose(account, {record.number for mark, record in marked if mark not in stored}) if booking is None else None
    )
    seen: Counter[str] = Counter()
    rows = []
    for mark, record in marked:
        seen[mark] += 1
        if seen[mark] > stored.get(mark, 0):
            rows.append(_row(account, record, mark, seen[mark], asked_at, booking, owners))
    Sms.objects.bulk_create(rows, batch_size=CHUNK, ignore_conflicts=True)
    touched = {row.booking_id for row in rows if row.booking_id}
    if booking is not None:
        touched |= _claim_for(booking, {mark for mark, _ in marked})
    settle_bookings(touched)
    topics = ({SMS} if rows or touched else set()) | ({BOOKINGS} if touched else set())
    return Changes(new=len(rows), topics=topics, received=[row.received_at for row in rows])


def _row(
    account: Account,
    record: SmsRecord,
    mark: str,
    ordinal: int,
    asked_at: datetime,
    booking: Booking | None,
    owners: Owners | None,
) -> Sms:
    received_at = record.received_at or asked_at
    text_ends_at = account.text_ends_at(asked_at)
    too_old = text_ends_at is not None and received_at < text_ends_at
    text = "" if too_old else record.text
    owner = booking.pk if booking else owners.booking_of(record.number, received_at) if owners else None
    return Sms(
        account=account,
        booking_id=owner,
        number=fitted(Sms, "number", record.number),
        sender=fitted(Sms, "sender", record.sender),
        text=fitted(Sms, "text", text),
        received_at=received_at,
        code=_code_of(text),
        blanked_at=asked_at if too_old else None,
        fingerprint=mark,
        ordinal=ordinal,
    )


def _code_of(text: str) -> str:
    try:
        return (find_code(text) or "")[:32]
    except Exception:  # a message is worth more than its code: it must never be lost for a fault in a rule
        logger.exception("The code finder failed")
        return ""


def _claim_for(booking: Booking, marks: set[str]) -> set[int]:
    """A booking's own list says whose a message is: take over those that we had given to nobody, or to a booking
    whose time they do not fit. Gives the ids of the bookings whose count has moved."""
    foreign = Sms.objects.filter(account=booking.account, fingerprint__in=marks).exclude(booking=booking)
    start = booking.starts_at or booking.first_seen_at
    end = max(booking.ends_at or booking.runs_until, booking.runs_until)
    moved: set[int] = set()
    taken = []
    for sms in foreign.select_related(None):
        if sms.booking_id is None or start - EARLY <= sms.received_at <= end + LATE:
            moved |= {booking.pk} | ({sms.booking_id} if sms.booking_id else set())
            taken.append(sms.pk)
    Sms.objects.filter(pk__in=taken).update(booking=booking)
    return moved


def complete_since(account: Account) -> datetime | None:
    """From when on the lists of all SMS have shown everything; None before the first list.

    That is since the last gap: it was filled from the lists of the bookings that were known then, and from no others.
    A first window that was not full held all there was: since ever.
    """
    state = SyncState.objects.filter(account=account, kind=Kind.SMS).only("window_newest_at").first()
    if state is None or state.window_newest_at is None:
        return None
    last: datetime | None = SmsGap.objects.filter(account=account, lost=False).aggregate(at=Max("to_at"))["at"]
    return last or datetime(1970, 1, 1, tzinfo=UTC)


def _open_gap(account: Account, from_at: datetime | None, to_at: datetime) -> None:
    """Note the gap (widening one that is still open) and want the lists of all bookings that it may concern."""
    now = shared_clock.now()
    gap = SmsGap.objects.filter(account=account).open().order_by("found_at").first()
    if gap is None:
        SmsGap.objects.create(account=account, from_at=from_at, to_at=to_at, found_at=now)
    else:
        SmsGap.objects.filter(pk=gap.pk).update(to_at=max(gap.to_at, to_at))
    bookings = Booking.objects.filter(account=account)
    concerned = bookings.filter(Q(starts_at=None) | Q(starts_at__lte=to_at + EARLY))
    if from_at is None:
        # The first list: it has all messages of the bookings that began within it.
        bookings.filter(starts_at__gt=to_at + EARLY).update(sms_wanted_at=None)
    else:
        concerned = concerned.filter(runs_until__gte=from_at - LATE)
    concerned.update(sms_wanted_at=now)


def _mark_lost(booking: Booking, oldest: datetime) -> bool | None:
    """The booking's own list was full too. What lies between the last moment up to which we know everything and its
    oldest row cannot be had any more: note that, for the status page. Whether there is such a span; None while that
    cannot be said, since the lists of all SMS may show with the next one that they let something pass.

    Without its own list we know everything up to the first gap since that was read, also if the gap was filled from the
    lists of other bookings before this one was known. A flood in the first moment of a booking is one, too: better a
    span told that held nothing than a loss that nobody sees.
    """
    known = booking.sms_read_at or booking.starts_at or booking.first_seen_at
    if oldest < known:
        return False
    gaps = SmsGap.objects.filter(account=booking.account, lost=False, to_at__gt=known)
    began = [from_at or known for from_at in gaps.values_list("from_at", flat=True)]
    if not began and booking.sms_read_at:
        return None
    complete_until = max(known, min(began, default=known))
    if oldest < complete_until:
        return False
    SmsGap.objects.create(
        account=booking.account, from_at=complete_until, to_at=oldest, closed_at=shared_clock.now(), lost=True
    )
    return True
