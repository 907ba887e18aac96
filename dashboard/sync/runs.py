"""One run: ask, save, note how it went. What fails becomes data that the status page shows, never a lost error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from django.db import transaction

from anosim_dashboard import shared_clock

from .. import tally
from ..anosim import AnosimError, BadKey, Client, Listing, Refused
from ..encryption import CannotUnseal
from ..live import topics
from ..models import Account, Booking, SyncState
from . import outcomes, schedule
from .changes import Changes
from .clients import client_for
from .save_balance import save_balance
from .save_bookings import save_bookings, save_orders
from .save_catalogue import save_countries, save_products
from .save_sim_cards import save_sim_cards
from .save_sms import close_gaps, save_booking_sms, save_sms

logger = logging.getLogger(__name__)
Kind = SyncState.Kind
BOOKINGS_A_RUN = 20
READERS = 3  # booking lists asked for at once
BACKFILL_SECONDS = 8.0  # after which a run asks for no further booking: the next one goes on
MANY_NEW = 50  # new messages that make the next read of SMS immediate: half a window


@dataclass(frozen=True)
class Reading:
    """How a kind that is one list is asked for and saved."""

    fetch: Callable[[Client], Listing[Any]]
    save: Callable[[Account, Listing[Any], datetime], Changes]


_READINGS: dict[str, Reading] = {
    Kind.COUNTRIES: Reading(lambda client: client.countries(), save_countries),
    Kind.PRODUCTS: Reading(lambda client: client.products(), save_products),
    Kind.ORDERS: Reading(lambda client: client.orders(), save_orders),
    Kind.BOOKINGS: Reading(lambda client: client.bookings(), save_bookings),
    Kind.CURRENT: Reading(lambda client: client.current_bookings(), save_bookings),
    Kind.SIM_CARDS: Reading(lambda client: client.sim_cards(), save_sim_cards),
}


def run(state_id: int, number: int) -> str:
    """Do run `number` of a claimed row, if nobody else has begun it. Gives one word for the log.

    At most one reader works on a row: the claim is a compare-and-set, and the result of a reader that slept past its
    lease is not noted. What it saved is right all the same, since saving twice is saving once.
    """
    now = shared_clock.now()
    if not SyncState.objects.begin(state_id, number, now, now + schedule.LEASE):
        return "passed"
    state = SyncState.objects.select_related("account").get(pk=state_id)
    try:
        # A booking's list that cannot be had goes to the end of the line, which is try enough: nothing waits for it.
        client = client_for(state.account, tries=1) if state.kind == Kind.BOOKING_SMS else client_for(state.account)
        changes, soon = _read(state, client)
    except AnosimError as error:
        return outcomes.failed(state, error)
    except CannotUnseal as error:
        return outcomes.failed(state, BadKey(f"The stored key cannot be opened: {error}"))
    except Exception as error:
        # Ours to mend, but the row must not stay claimed without a word.
        outcomes.failed(state, outcomes.OurFault(type(error).__name__))
        raise
    return outcomes.succeeded(state, changes, soon)


def _read(state: SyncState, client: Client) -> tuple[Changes, bool]:
    """What the run changed, and whether the kind is to be read again at once."""
    if state.kind == Kind.BALANCE:
        asked_at = shared_clock.now()
        balance = client.balance()
        return _saved(state, "", lambda account: save_balance(account, balance, asked_at)), False
    if state.kind == Kind.SMS:
        return _read_sms(state, client)
    if state.kind == Kind.BOOKING_SMS:
        return _read_booking_sms(state, client)
    return _read_list(state, client, _READINGS[state.kind]), False


def _read_list(state: SyncState, client: Client, reading: Reading) -> Changes:
    asked_at = shared_clock.now()
    listing = reading.fetch(client)
    state.unreadable = listing.unreadable
    if listing.digest == state.body_digest:
        return Changes()
    return _saved(state, listing.digest, lambda account: reading.save(account, listing, asked_at))


def _read_sms(state: SyncState, client: Client) -> tuple[Changes, bool]:
    asked_at = shared_clock.now()
    listing = client.sms()
    state.unreadable = listing.unreadable
    if listing.digest == state.body_digest:
        return Changes(), False
    changes = _saved(state, listing.digest, lambda account: save_sms(account, listing, asked_at, state))
    return changes, changes.new >= MANY_NEW


def _read_booking_sms(state: SyncState, client: Client) -> tuple[Changes, bool]:
    """Read the lists of some wanted bookings, a few at once; the rest is the next run's."""
    total, stop = Changes(), monotonic() + BACKFILL_SECONDS
    wanted = list(Booking.objects.filter(account=state.account).select_related("account").sms_wanted()[:BOOKINGS_A_RUN])
    trouble: list[AnosimError] = []
    read = 0

    def ask(booking: Booking) -> tuple[datetime, Listing[Any]] | None:
        # The provider being away is found out once, not for each of many bookings.
        away = sum(not isinstance(error, Refused) for error in trouble) >= READERS
        return None if away or monotonic() > stop else (shared_clock.now(), client.booking_sms(booking.remote_id))

    with ThreadPoolExecutor(READERS, thread_name_prefix="booking-sms") as readers:
        asked = {readers.submit(ask, booking): booking for booking in wanted}
        for answer in as_completed(asked):
            booking = asked[answer]
            try:
                found = answer.result()
            except AnosimError as error:
                trouble.append(error)
                _put_back(booking, error)
                continue
            if found is not None:
                total.add(_save_one(state, booking, *found))
                read += 1
    if trouble and (not read or isinstance(trouble[0], BadKey)):
        raise trouble[0]
    remaining = Booking.objects.filter(account=state.account).sms_wanted().exists()
    if not remaining:
        total.add(_saved(state, "", _close_gaps))
    return total, remaining


def _save_one(state: SyncState, booking: Booking, asked_at: datetime, listing: Listing[Any]) -> Changes:
    wanted_at = booking.sms_wanted_at or asked_at
    changes = _saved(state, "", lambda account: save_booking_sms(booking, listing, asked_at, wanted_at))
    outcomes.renew_lease(state)
    return changes


def _close_gaps(account: Account) -> Changes:
    return Changes(topics={topics.SYNC} if close_gaps(account) else set())


def _put_back(booking: Booking, error: AnosimError) -> None:
    """A list that cannot be had now goes to the end of the line; one that the provider refuses is no longer wanted."""
    mine = Booking.objects.filter(pk=booking.pk, sms_wanted_at=booking.sms_wanted_at)
    mine.update(sms_wanted_at=None if isinstance(error, Refused) else shared_clock.now())


def _saved(state: SyncState, digest: str, save: Callable[[Account], Changes]) -> Changes:
    """Save in one transaction, with the digest of what was saved: both stand, or neither.

    The account's row is locked first (PostgreSQL; SQLite has one writer anyway), so an account has one saver at a time.
    """
    with transaction.atomic():
        Account.objects.select_for_update(of=("self",)).only("pk").get(pk=state.account_id)
        changes = save(state.account)
        if digest:
            SyncState.objects.filter(pk=state.pk, run=state.run).update(
                body_digest=digest, window_newest_at=state.window_newest_at
            )
        topics.touch(state.account_id, *changes.topics)
    tally.stored(state.account_id, changes.received)
    return changes
