"""The client: one method for each of the 17 calls of anosim-api.md, numbered as there.

Three kinds of calls, three rules (issue 2, section 1; reliability.md 4.2 and 4.8):
reads are tried again, with jitter, within one total deadline;
changes that cost nothing (cancel, auto-renewal) are sent once;
spends are sent at most once, and whatever is not clearly a yes or a no is OutcomeUnknown.
"""

import random
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

from dashboard.anosim import answers
from dashboard.anosim.address import check_base_url
from dashboard.anosim.answers import Answer
from dashboard.anosim.errors import AnosimError, BadKey, OutcomeUnknown, Refused, TryLater, Unreadable
from dashboard.anosim.records import (
    AutoRenewal,
    Booking,
    Country,
    Listing,
    Order,
    Product,
    Row,
    SimCard,
    Sms,
    parse_auto_renewal,
    parse_booking,
    parse_country,
    parse_order,
    parse_product,
    parse_sim_card,
    parse_sms,
)
from dashboard.anosim.secret import Key
from dashboard.anosim.wire import NotSent, Spoilt, Wire, WireError

T = TypeVar("T")

FIRST_PAUSE = 0.3  # seconds; doubled for each further try, then a random part of it (full jitter)
LONGEST_PAUSE = 5.0


class _Deadline:
    """The moment (monotonic seconds) by which a call with all its attempts has ended."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        return self._ends - time.monotonic()

    def put_off(self, seconds: float) -> None:
        self._ends += seconds


class Client:
    """Speaks to one ANOSIM account. Reads may run in several threads at once.

    base_url as check_base_url takes it (ValueError otherwise). A key that cannot be one raises BadKey at the
    first call. `before_call` runs before every HTTP attempt and may raise TryLater to forbid it; the time it
    waits does not count. `told_to_wait` runs at once when an answer asks for silence: with the seconds that it
    names (None if it names none) and whether it was "too many calls" (429). `after_call` is told of each call
    how it ended (status, or the kind of error) and its seconds. `read_deadline` and `spend_deadline` are
    seconds, all in (look-up, connection, headers, body): the first for one attempt of a read, and twice that
    for all its tries; the second for a call that changes something. `max_body` is in bytes.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        before_call: Callable[[], None] | None = None,
        told_to_wait: Callable[[float | None, bool], None] | None = None,
        after_call: Callable[[str, float], None] | None = None,
        read_deadline: float = 10.0,
        spend_deadline: float = 90.0,
        tries: int = 3,
        max_body: int = 5_000_000,
    ) -> None:
        self.base_url = check_base_url(base_url)
        self._key = Key(key)
        self._wire = Wire(self.base_url, self._key, max_body, after_call)
        self._before_call = before_call
        self._told_to_wait = told_to_wait
        self._read_deadline = read_deadline
        self._spend_deadline = spend_deadline
        self._tries = max(1, tries)

    def __repr__(self) -> str:
        return f"<Client {self.base_url}>"

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the kept connections; the client can still be used and opens new ones."""
        self._wire.close()

    # Reads: raise TryLater, BadKey, Refused or Unreadable.

    def balance(self) -> Decimal:
        """#1, US dollars; may be below zero. Unreadable if the amount is not exact to the cent."""
        return self._read(answers.balance, "/Balance")

    def countries(self) -> Listing[Country]:
        """#2, names as they came (CamelCase)."""
        return self._list(parse_country, "/Countries")

    def products(self, country_id: int | None = None) -> Listing[Product]:
        """#3, of one country or of all; `providers` is empty here."""
        query = {} if country_id is None else {"countryId": int(country_id)}
        return self._list(parse_product, "/Products", query)

    def product(self, id: int) -> Product:
        """#4, with the networks and how many numbers each has."""
        return self._one(parse_product, id, f"/Products/{int(id)}")

    def orders(self) -> Listing[Order]:
        """#6, the last 100."""
        return self._list(parse_order, "/Orders")

    def order(self, id: int) -> Order:
        """#7."""
        return self._one(parse_order, id, f"/Orders/{int(id)}")

    def sim_cards(self) -> Listing[SimCard]:
        """#8, cards booked now."""
        return self._list(parse_sim_card, "/SimCards")

    def sms(self) -> Listing[Sms]:
        """#9, the last 100. Equal rows are different messages (wild fact 7). A person waits for what is in it: of
        several tries the first has half the time, so that one lost packet does not hold up all messages."""
        return self._list(parse_sms, "/Sms", hasty=True)

    def booking_sms(self, booking_id: int) -> Listing[Sms]:
        """#10."""
        return self._list(parse_sms, f"/Sms/{int(booking_id)}", of_object=True)

    def bookings(self) -> Listing[Booking]:
        """#11, the last 100."""
        return self._list(parse_booking, "/OrderBookings")

    def current_bookings(self) -> Listing[Booking]:
        """#12, all that run or ended within 12 hours; without price and without `extends`."""
        return self._list(parse_booking, "/OrderBookingsCurrent")

    def booking(self, id: int) -> Booking:
        """#13."""
        return self._one(parse_booking, id, f"/OrderBookings/{int(id)}", f"/OrderBooking/{int(id)}")

    # Changes that cost nothing: sent once; raise TryLater, BadKey, Refused or OutcomeUnknown.

    def cancel_booking(self, id: int) -> None:
        """#14, cancels an Activation without SMS. Returns only if the provider says that it is cancelled."""
        paths = (f"/OrderBookings/{int(id)}", f"/OrderBooking/{int(id)}", f"/OrderBooking{int(id)}")
        answer = self._once("PATCH", paths, {})
        if not _settled(answer, answers.succeeded, spends=False):
            said = answers.words_of(answer)
            raise Refused(said or "The provider did not cancel the booking.", answer.status)

    def set_auto_renewal(self, enable: bool, booking_id: int | None = None) -> AutoRenewal:
        """#17, for one booking or, without an id, for all. Sending a value twice is harmless."""
        query = {"enable": int(enable)} | ({} if booking_id is None else {"orderBookingId": int(booking_id)})
        paths = ("/OrderBookingsAutoRenewal", "/OrderBookingsAutoRenewal/SetAutoRenewalAsync")
        answer = self._once("POST", paths, query)
        result = _settled(answer, lambda each: answers.single(each, parse_auto_renewal), spends=False)
        return AutoRenewal(result.success, answers.clean(result.message, self._key.hide), result.affected)

    # Spends: one call sends at most one request that can take effect. TryLater means that nothing was sent,
    # BadKey and Refused that nothing was bought; all else is OutcomeUnknown.

    def place_order(self, product_id: int, amount: int, provider_id: int = 0) -> Order:
        """#5. May come without bookings; they turn up in bookings() some seconds later (wild fact 3)."""
        query = {"productId": int(product_id), "amount": int(amount), "providerId": int(provider_id)}
        return self._spend(("/Orders",), query)

    def reuse_booking(self, id: int) -> Order:
        """#15, the same number again; only for Activations of the service Kleinanzeigen."""
        return self._spend((f"/OrderBookingsReUse/{int(id)}", f"/OrderBookingReUse/{int(id)}"), {})

    def extend_booking(self, id: int, minutes: int) -> Order:
        """#16, extends a rental; the order's booking is Pending and names the extended one."""
        return self._spend(("/OrderBookings",), {"orderBookingId": int(id), "extentionInMinutes": int(minutes)})

    def _list(
        self,
        parse: Callable[[Row], T | None],
        path: str,
        query: Mapping[str, int] | None = None,
        *,
        of_object: bool = False,
        hasty: bool = False,
    ) -> Listing[T]:
        def judge(answer: Answer) -> Listing[T]:
            return answers.listing(answer, parse, of_object=of_object)

        return self._read(judge, path, query=query, hasty=hasty)

    def _one(self, parse: Callable[[Row], T | None], id: int, *paths: str) -> T:
        return self._read(lambda answer: answers.single(answer, parse, wanted=int(id)), *paths)

    def _read(
        self,
        judge: Callable[[Answer], T],
        *paths: str,
        query: Mapping[str, int] | None = None,
        hasty: bool = False,
    ) -> T:
        deadline = _Deadline(2 * self._read_deadline)
        turn = 1

        def send(path: str) -> Answer:
            share = 2 if hasty and turn == 1 < self._tries else 1
            return self._send_read(path, query or {}, min(self._read_deadline / share, deadline.left()))

        while True:
            try:
                return judge(self._first_known(paths, send, deadline))
            except (TryLater, Unreadable) as error:
                pause = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (turn - 1)))
                if not error.passing or turn == self._tries or pause >= deadline.left():
                    raise
            time.sleep(pause)
            turn += 1

    def _once(self, method: str, paths: tuple[str, ...], query: Mapping[str, int]) -> Answer:
        deadline = _Deadline(self._spend_deadline)

        def send(path: str) -> Answer:
            return self._send_change(method, path, query, deadline.left())

        return self._first_known(paths, send, deadline)

    def _spend(self, paths: tuple[str, ...], query: Mapping[str, int]) -> Order:
        answer = self._once("POST", paths, query)
        return _settled(answer, answers.new_order, spends=True)

    def _first_known(self, paths: tuple[str, ...], send: Callable[[str], Answer], deadline: _Deadline) -> Answer:
        """Asks the first path and, told 404 or 405, the other documented ones: nothing was executed then."""
        if self._key.fault:
            raise BadKey(self._key.fault)
        unknown: list[Answer] = []
        for path in paths:
            begun = time.monotonic()
            if self._before_call is not None:
                self._before_call()
            deadline.put_off(time.monotonic() - begun)
            if unknown and deadline.left() <= 0:
                break
            answer = send(path)
            self._heed(answer)
            if answer.status not in (404, 405):
                return answer
            unknown.append(answer)
        return answers.most_telling(unknown)

    def _heed(self, answer: Answer) -> None:
        """Pass on a wish for silence before anything else is done with the answer: other threads are about to call."""
        if self._told_to_wait is None or answer.status < 400:
            return
        seconds = answers.retry_after(answer)
        if answer.status == 429 or (answer.status >= 500 and seconds is not None):
            self._told_to_wait(seconds, answer.status == 429)

    def _send_read(self, path: str, query: Mapping[str, int], seconds: float) -> Answer:
        error: AnosimError
        try:
            return self._wire.send("GET", path, query, seconds=seconds)
        except Spoilt as problem:
            error = Unreadable(problem.text, passing=problem.passing)
        except WireError as problem:
            error = TryLater(problem.text, passing=problem.passing)
        raise error

    def _send_change(self, method: str, path: str, query: Mapping[str, int], seconds: float) -> Answer:
        error: AnosimError
        try:
            return self._wire.send(method, path, query, seconds=seconds, fresh=True)
        except NotSent as problem:
            error = TryLater(f"{problem.text} Nothing was sent.")
        except WireError as problem:
            error = _unknown(problem.text)
        except Exception:  # noqa: BLE001  after a byte has left, no fault of ours may look like "not bought"
            error = _unknown("The call was interrupted by a fault on our side")
        raise error


def _unknown(text: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"{text.rstrip('.')}. Whether it took effect is not known yet.")


def _settled(answer: Answer, judge: Callable[[Answer], T], *, spends: bool) -> T:
    """The result of a change, or the no that its answer proves (reliability.md 4.2); else OutcomeUnknown."""
    said = answers.words_of(answer)
    if answer.status in (400, 404) and said:
        # Only these two, and only with words, prove a no; a proxy or a fault can send the other statuses.
        raise Refused(said, answer.status)
    error: AnosimError
    try:
        return judge(answer)
    except BadKey:
        raise
    except (Refused, TryLater, Unreadable) as problem:
        # "Too many calls" may come from a proxy after the provider has sold; a free change can be repeated.
        if isinstance(problem, TryLater) and problem.throttled and not spends:
            raise
        error = _unknown(problem.text)
    raise error
