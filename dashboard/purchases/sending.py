"""Sending a purchase: look, commit, one call, commit. At most one call that can take effect per purchase."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection

from anosim_dashboard import shared_clock

from ..access_rules import Rule, may_now, people_with
from ..anosim import AnosimError, BadKey, Client, Order, OutcomeUnknown, Product, Refused, TryLater
from ..encryption import CannotUnseal
from ..models import Account, Purchase
from ..sync.clients import client_for_one_call, heed_silence, spending_client_for, take_turn
from . import booked, evidence, presence
from .failpoints import reach
from .transitions import move

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)
Status = Purchase.Status
Kind = Purchase.Kind
MOST_ATTEMPTS = 3
FRESH = 5.0  # seconds between the decision to send and the call; a process that slept longer sends nothing
LOOK_FRESH = 20.0  # seconds; an older look says too little about the moment of sending (its reads may queue)
FORGOTTEN = timedelta(hours=1)  # what still waits then (the workers were away) would be bought by surprise
WAIT_AT_MOST = timedelta(minutes=10)  # that long a purchase waits for a provider that cannot be read
NO_RIGHT = "Nothing was sent: who asked for it may not buy in this account any more."
NOTED_WITHIN = 25.0  # seconds in which a database that restarts is waited for; later the lists tell what was bought
NOTE_AGAIN = 0.5
DATABASE_AWAY = (OperationalError, InterfaceError)
STOPPED = "Spending was stopped before anything was sent."
NOT_KNOWN = "Not known yet: do not order again. We are looking whether it was bought."


def send(pk: UUID) -> str:
    """Send a queued purchase, if it is still queued and nothing else is in flight. Gives the status it has after.

    At most once: the claim and the status `sending` are committed before the call, and nothing leads back from there
    but a connection that was provably not made. Whatever is not a clear answer leaves `unknown` behind.
    """
    purchase = Purchase.objects.select_related("account", "product", "booking", "requested_by").filter(pk=pk).first()
    if purchase is None or purchase.status != Status.QUEUED:
        return purchase.status if purchase else "gone"
    if shared_clock.now() - purchase.created_at > FORGOTTEN:
        move(
            purchase, Status.CANCELLED, "Nothing was sent: it waited for more than an hour. Ask again if it is wanted."
        )
        return purchase.status
    if not may_now(purchase.requested_by, Rule.BUY, purchase.account_id):
        move(purchase, Status.CANCELLED, NO_RIGHT)
        return purchase.status
    try:
        claimed = move(
            purchase,
            Status.PREPARING,
            "Reading price and balance.",
            attempt=purchase.attempt + 1,
            sender=presence.me(),
        )
    except IntegrityError:
        return "waits"  # another one in flight, or one like it not settled; its end rings the bell for this one
    if not claimed:
        return "taken"
    try:
        look = _prepare(purchase)
        client = _committed(purchase, look) if look is not None else None
    except DATABASE_AWAY:
        patiently(lambda: _give_back(purchase))
        return purchase.status
    if client is None:
        return purchase.status
    reach("send:before-call")
    return _outcome(purchase, client)


def _prepare(purchase: Purchase) -> evidence.Look | None:
    """Look at the provider and decide; None if it is not to be sent now (the purchase has moved then)."""
    account = purchase.account
    if not account.enabled or account.spending_stopped:
        move(purchase, Status.REJECTED, STOPPED)
        return None
    begun = presence.boot_seconds()
    reach("prepare:before-look")
    try:
        if account.breaker_until is not None:
            raise TryLater("ANOSIM does not answer at the moment.")
        # The turn of the call itself comes first: nothing waits between the look and the call.
        take_turn(account)
        product, look = take_look(spending_client_for(account), purchase, with_product=True)
        if presence.boot_seconds() - begun > LOOK_FRESH:
            raise TryLater("Reading price and balance took too long.")
        heed_silence(account)
    except (AnosimError, CannotUnseal) as error:
        _back_or_refused(purchase, error)
        return None
    reach("prepare:looked")
    if reason := _why_not(purchase, product, look):
        move(purchase, Status.REJECTED, reason)
        return None
    return look


def take_look(
    client: Client, purchase: Purchase, *, with_product: bool = False
) -> tuple[Product | None, evidence.Look]:
    """Read, at once, what a verdict needs: orders, balance, the extended booking, and the product's price today."""
    at = shared_clock.now()
    booking_id = purchase.booking.remote_id if purchase.booking and purchase.kind == Kind.EXTEND else None
    if purchase.account.breaker_failures:
        client.balance()  # where the schedule's last reads failed, one call tells as much as four
    with ThreadPoolExecutor(4, thread_name_prefix="look") as readers:
        orders = readers.submit(client.orders)
        balance = readers.submit(client.balance)
        product = readers.submit(client.product, purchase.product.remote_id) if with_product else None
        booking = readers.submit(client.booking, booking_id) if booking_id is not None else None
        look = evidence.look_of(orders.result(), at, balance.result(), booking.result() if booking else None)
        return product.result() if product else None, look


def _back_or_refused(purchase: Purchase, error: AnosimError | CannotUnseal) -> None:
    """A look that failed sends nothing: queued again for a while, or refused where trying again is useless."""
    words = error.text if isinstance(error, AnosimError) else str(error)
    hopeless = isinstance(error, BadKey | Refused | CannotUnseal)
    if hopeless or shared_clock.now() - purchase.created_at > WAIT_AT_MOST:
        move(purchase, Status.REJECTED, f"Nothing was sent. {words}")
        return
    wait = getattr(error, "retry_after", None) or 2.0
    next_at = shared_clock.now() + timedelta(seconds=min(wait, 60.0))
    move(purchase, Status.QUEUED, f"Waiting: {words}", next_check_at=next_at)


def _why_not(purchase: Purchase, product: Product | None, look: evidence.Look) -> str:
    """Why it is not sent after all, in words; the last check before the money goes."""
    if product is None or product.price is None:
        return "ANOSIM does not say the price of this product now. Nothing was bought."
    total = product.price * purchase.amount
    if total > purchase.price_usd:
        return f"The price has risen to ${total:,.2f}; you confirmed ${purchase.price_usd:,.2f}. Nothing was bought."
    if look.balance is not None and look.balance < total:
        return f"The balance of ${look.balance:,.2f} is not enough for ${total:,.2f}. Nothing was bought."
    return ""


def _give_back(purchase: Purchase) -> None:
    """The database went away before the call, so nothing was sent: it waits again. Whether the last move was committed
    is not known, but the attempt is ours alone since the claim."""
    attempt = purchase.attempt
    purchase.refresh_from_db(fields=["status", "attempt"])
    if purchase.attempt == attempt and purchase.status in Purchase.IN_FLIGHT:
        move(purchase, Status.QUEUED, "Waiting: The database was away before anything was sent.", next_check_at=None)


def _committed(purchase: Purchase, look: evidence.Look) -> Client | None:
    """What makes the one call, with the status `sending` committed; None if it is not to be sent after all."""
    begun = presence.boot_seconds()

    def still_fresh() -> None:
        # A process that slept (a stopped machine, a frozen container) must not wake up and send what others have
        # long given up. Asked as the last thing before the bytes leave, by a clock that counts the sleep.
        if presence.boot_seconds() - begun > FRESH:
            raise TryLater("The worker was held up before the call. Nothing was sent.")

    try:
        client = client_for_one_call(purchase.account, still_fresh)
    except CannotUnseal as error:
        move(purchase, Status.REJECTED, f"Nothing was sent. {error}")
        return None
    sent = move(
        purchase,
        Status.SENDING,
        "Sent to ANOSIM.",
        # Read last: a stop switch thrown a moment ago still stops it, and so does a right that was taken.
        only_if={
            "account__in": Account.objects.filter(spending_stopped=False, enabled=True),
            "requested_by__in": people_with(Rule.BUY, purchase.account_id),
        },
        before=look.as_json(),
        after={},
        empty_looks=0,
        refusal="",
        sent_at=shared_clock.now(),
    )
    if not sent:
        if purchase.status == Status.PREPARING:
            _stopped(purchase)
        return None
    return client


def _stopped(purchase: Purchase) -> None:
    """Say why it was not sent in the last moment: the switch of the account, or the right of who asked."""
    if may_now(purchase.requested_by, Rule.BUY, purchase.account_id):
        move(purchase, Status.REJECTED, STOPPED)
    else:
        move(purchase, Status.CANCELLED, NO_RIGHT)


def _outcome(purchase: Purchase, client: Client) -> str:
    """Make the call and note what is certain about it (reliability.md 4.2); whatever is not is `unknown`."""
    try:
        order = _spend(client, purchase)
    except TryLater as error:
        return _not_sent(purchase, error)
    except (Refused, BadKey) as error:
        reach("send:after-call")
        return _unknown(purchase, "ANOSIM refused it; its lists are read to be sure.", refusal=error.text[:400])
    except OutcomeUnknown as error:
        reach("send:after-call")
        return _unknown(purchase, error.text)
    except Exception as error:
        # Ours to mend; the call may have been made all the same.
        logger.exception("purchase %s: an error of our own", purchase.pk)
        return _unknown(purchase, f"An error of the dashboard itself ({type(error).__name__}).")
    reach("send:after-call")
    return _confirmed(purchase, order)


def _spend(client: Client, purchase: Purchase) -> Order:
    booking = purchase.booking
    if purchase.kind == Kind.ORDER:
        return client.place_order(purchase.product.remote_id, purchase.amount, purchase.provider_id)
    if purchase.kind == Kind.REUSE and booking is not None:
        return client.reuse_booking(booking.remote_id)
    if purchase.kind == Kind.EXTEND and booking is not None and purchase.minutes is not None:
        return client.extend_booking(booking.remote_id, purchase.minutes)
    raise Refused("The purchase is not complete.")


def _not_sent(purchase: Purchase, error: TryLater) -> str:
    """The connection was provably not made: queued again, a few times."""
    next_at = shared_clock.now() + timedelta(seconds=2 * purchase.attempt)
    if purchase.attempt < MOST_ATTEMPTS:
        patiently(lambda: move(purchase, Status.QUEUED, error.text, next_check_at=next_at))
        return purchase.status
    return _unknown(purchase, error.text, refusal=error.text[:400])


def _unknown(purchase: Purchase, words: str, **values: Any) -> str:
    if purchase.status != Status.SENDING:
        return purchase.status  # the sweeper was quicker
    logger.warning("purchase %s: outcome not known yet", purchase.pk)
    values |= {"next_check_at": shared_clock.now(), "checks": 0}
    patiently(lambda: move(purchase, Status.UNKNOWN, f"{NOT_KNOWN} {words}", **values))
    return purchase.status


def _confirmed(purchase: Purchase, order: Order) -> str:
    """The answer has an order: store and link it. One that does not look like what we asked for is not believed."""
    doubt = {"after": {"answered": order.id}}
    known = str(order.id) in purchase.before.get("orders", {})
    if known or not evidence.answers(sought_of(purchase), order):
        words = f"The answer names order {order.id}, which does not look like this purchase."
        return _unknown(purchase, words, **doubt)
    filing = booked.Filing(purchase, order, purchase.sent_at or shared_clock.now())

    def confirm() -> bool:
        return move(purchase, Status.CONFIRMED, filing.words(), inside=filing.save, charged_usd=order.price)

    try:
        # If the sweeper gave this worker up meanwhile, its word still counts.
        if not patiently(confirm) and purchase.status == Status.UNKNOWN:
            patiently(confirm)
    except IntegrityError:
        return _unknown(purchase, f"Order {order.id} already answers another purchase.", **doubt)
    except Exception:
        # Bought, but not written down; the lists will tell. What went wrong is ours to mend.
        logger.exception("purchase %s: the order could not be stored", purchase.pk)
        return _unknown(purchase, f"The answer names order {order.id}, which could not be stored.", **doubt)
    return purchase.status


def patiently(note: Callable[[], Answer]) -> Answer:
    """Note what came of it, again and again while the database is away: nobody else knows it. A move that was committed
    though its answer was lost is not made twice."""
    ends = presence.boot_seconds() + NOTED_WITHIN
    while True:
        try:
            return note()
        except DATABASE_AWAY:
            if presence.boot_seconds() > ends:
                raise
            connection.close()
            time.sleep(NOTE_AGAIN)


def deadline_of(purchase: Purchase) -> datetime:
    """The moment from which no call of this purchase can be under way any more."""
    return (purchase.sent_at or purchase.status_at) + timedelta(seconds=settings.PURCHASE_DEADLINE_SECONDS + 30)


def sought_of(purchase: Purchase) -> evidence.Sought:
    """The purchase as it would show in the lists."""
    product = purchase.product
    return evidence.Sought(
        kind=purchase.kind,
        country=product.country,
        rental_type=product.rental_type,
        service=product.service,
        minutes=purchase.minutes if purchase.kind == Kind.EXTEND else product.duration_minutes,
        amount=purchase.amount,
        price=Decimal(purchase.price_usd),
        sent_at=purchase.sent_at or purchase.status_at,
        booking_id=purchase.booking.remote_id if purchase.booking else None,
        number=purchase.booking.number if purchase.booking else "",
    )
