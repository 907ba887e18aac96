"""How often a password or a code may be guessed (reliability.md 4.14, G36).

Each wrong try makes the next one wait longer, up to five minutes; an hour without one makes it all forgotten. Nobody
is locked out for good. Counted are

- tries at one person's password from places where they never signed in, from wherever they come;
- tries at it from places where they did: an attacker elsewhere does not hold the owner up there;
- tries from one address at anybody's.

A browser in which this very person has signed in before (a cookie says so) has two tries that wait for none of these:
an attacker at the same address, or behind the same proxy, does not hold its owner up either. Then it is as any other.

Each of the first two lets nine tries through in any fifteen minutes; with those of the browser that makes twenty. A
try is counted before it is judged, in one short transaction: a thousand at once are no more than one after the other.
A name that is nobody's is counted like a person's, so that waiting does not tell which names exist. The counters are in
the database and not in Redis, which may be lost at any time, and with it the memory of an attack.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.core import signing
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..client_address import address_of, network_of
from ..models import GuessCount, KnownPlace, User

FREE = 2  # wrong tries before the first wait
FREE_OF_BROWSER = 2  # of the owner's own; then it counts as any other
FREE_OF_ADDRESS = 20  # an office shares one address
FIRST_WAIT = timedelta(seconds=5)  # doubles with each further one
LONGEST_WAIT = timedelta(minutes=5)
FORGOTTEN = timedelta(hours=1)
PLACE_KNOWN = timedelta(days=90)
COOKIE, COOKIE_SALT = "place", "dashboard.sign_in.place"


class Refused(Exception):
    """The try was not looked at. `seconds` is how long to wait."""

    def __init__(self, wait: timedelta, first: bool) -> None:
        self.seconds = max(1, round(wait.total_seconds()))
        # Whether this wait had not been told of yet.
        self.first = first
        super().__init__(_("Too many wrong tries. Wait %(time)s, then try again.") % {"time": _words(self.seconds)})


@dataclass
class Attempt:
    """A try that may be judged; counted as a wrong one until it `succeeded`."""

    _counted: list[tuple[int, datetime, datetime]] = field(default_factory=list)

    def succeeded(self) -> None:
        """Take back what this try counted, and only that: a right one makes nobody else's wrong ones forgotten."""
        for pk, before, after in self._counted:
            mine = GuessCount.objects.filter(pk=pk)
            mine.filter(failures__gt=0).update(failures=F("failures") - 1)
            mine.filter(blocked_until=after).update(blocked_until=before)


def begin(request: HttpRequest, kind: str, person: User | None = None, name: str = "") -> Attempt:
    """Count one try of `kind` ("password", "code", "reset") at `person`, or at a `name` that is nobody's.

    Raises Refused when it comes too early.
    """
    keys = _keys(request, kind, person, name)
    now = timezone.now()
    # A flood of them costs a read each, and no lock.
    blocked = list(GuessCount.objects.filter(key__in=list(keys), blocked_until__gt=now))
    if not blocked:
        attempt, blocked = _count(keys, now)
        if not blocked:
            return attempt
    untold = [row.pk for row in blocked if not row.told]
    first = bool(untold) and bool(GuessCount.objects.filter(pk__in=untold, told=False).update(told=True))
    raise Refused(max(row.blocked_until for row in blocked) - now, first)


def remember_place(request: HttpRequest, response: HttpResponse, person: User) -> None:
    """After a sign-in: from here, and with this browser, the person is known."""
    KnownPlace.objects.filter(user=person, last_at__lt=timezone.now() - PLACE_KNOWN).delete()
    if address := address_of(request):
        KnownPlace.objects.update_or_create(
            user=person, network=network_of(address), defaults={"last_at": timezone.now()}
        )
    response.set_signed_cookie(
        COOKIE,
        str(person.pk),
        salt=COOKIE_SALT,
        max_age=int(PLACE_KNOWN.total_seconds()),
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def wait_after(failures: int, free: int) -> timedelta:
    """How long to wait after so many wrong tries in a row."""
    over = failures - free
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(over, 16)) if over >= 0 else timedelta(0)


def _keys(request: HttpRequest, kind: str, person: User | None, name: str) -> dict[str, int]:
    """The counters that the try belongs to, with the wrong tries that each lets pass without a wait."""
    if person is not None and _cookie_of(request) == str(person.pk):
        own = f"{kind} person {person.pk} own"
        since = timezone.now() - FORGOTTEN
        if not GuessCount.objects.filter(key=own, failures__gte=FREE_OF_BROWSER, updated_at__gt=since).exists():
            return {own: FREE_OF_BROWSER}
    address = address_of(request)
    network = network_of(address) if address else ""
    if person is None:
        who = f"name {salted_hmac(COOKIE_SALT, name).hexdigest()[:32]} other"
    else:
        who = f"person {person.pk} {'known' if _is_known(person, network) else 'other'}"
    # Over a socket file nobody has an address: one counter for all would shut all out.
    return {f"{kind} {who}": FREE} | ({f"{kind} address {network}": FREE_OF_ADDRESS} if network else {})


def _is_known(person: User, network: str) -> bool:
    since = timezone.now() - PLACE_KNOWN
    return KnownPlace.objects.filter(user=person, network=network, last_at__gt=since).exists()


def _cookie_of(request: HttpRequest) -> str:
    try:
        return str(request.get_signed_cookie(COOKIE, salt=COOKIE_SALT, max_age=PLACE_KNOWN))
    except (KeyError, signing.BadSignature):
        return ""


@transaction.atomic
def _count(keys: dict[str, int], now: datetime) -> tuple[Attempt, list[GuessCount]]:
    """The counted attempt, or the rows that forbid it: somebody else may have been faster."""
    rows = _locked(keys)
    if len(rows) < len(keys):
        have = {row.key for row in rows}
        GuessCount.objects.filter(updated_at__lt=now - FORGOTTEN).exclude(key__in=list(keys)).delete()
        missing = [GuessCount(key=key, updated_at=now, blocked_until=now) for key in sorted(keys) if key not in have]
        GuessCount.objects.bulk_create(missing, ignore_conflicts=True)
        rows = _locked(keys)
    if blocked := [row for row in rows if row.blocked_until > now]:
        return Attempt(), blocked
    attempt = Attempt()
    for row in rows:
        before = row.blocked_until
        row.failures = 1 if row.updated_at < now - FORGOTTEN else row.failures + 1
        row.blocked_until, row.updated_at, row.told = now + wait_after(row.failures, keys[row.key]), now, False
        row.save()
        attempt._counted.append((row.pk, before, row.blocked_until))
    return attempt, []


def _locked(keys: dict[str, int]) -> list[GuessCount]:
    return list(GuessCount.objects.select_for_update().filter(key__in=list(keys)).order_by("key"))


def _words(seconds: int) -> str:
    if seconds < 100:
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
    return f"{(seconds + 59) // 60} minutes"
