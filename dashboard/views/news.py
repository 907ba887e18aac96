"""What arrived since a browser asked last: for its title, its sound and its notifications.

A nudge says only that a topic moved (live/topics.py). One tab's worker then asks here what it was, once for all tabs
(live-worker.js), and what the person may see is decided as on every page.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from ..foreign_text import visible
from ..models import Booking, Sms, User
from ..wording import number_text, service_text
from .answering import done
from .paging import first_rows
from .parameters import text_of, whole_of
from .rows import sms_url
from .shell import accounts_of

# So many are told one by one; of more it is only said that there are more.
LIMIT = 50
# What was older than this when the browser asked last is history that was filled in, no news.
FRESH = timedelta(hours=1)
# Each question reaches back a little: a transaction may have been open when we read, a worker's clock may be behind.
# The browser knows what it has been told.
OVERLAP = timedelta(seconds=30)
NUMBER, SERVICE, SENDER, TEXT = 40, 60, 40, 200


@require_safe
def news(request: HttpRequest) -> HttpResponse:
    """JSON: `rows`, newest first, of what came since `after`, whether there are `more`, what the person wants to be
    told `about`, and the `after` of the next question. The first one's is when its page was rendered, in
    milliseconds; without it: what came just now.

    `text=1` adds sender and text, for a device whose person turned that on. `user` is for whom the page was made:
    Http404 when somebody else has signed in meanwhile.
    """
    user: User = request.user  # type: ignore[assignment]
    if text_of(request.GET, "user") not in ("", str(user.pk)):
        raise Http404
    now = datetime.now(UTC)
    since = _since(request, now)
    found: list[Any] = []
    if user.notify_about != User.NotifyAbout.NONE:
        fresh = Sms.objects.visible_to(user).filter(received_at__gt=since - FRESH, seen_at__gte=since)
        found = first_rows(fresh.for_list(), ("-received_at", "-id"), LIMIT + 1)
    answer = {
        # Never before what was asked for: a page knows what was there when it was rendered.
        "after": round(max(since, now - OVERLAP).timestamp() * 1000),
        "about": user.notify_about,
        "rows": _rows(request, found[:LIMIT]),
        "more": len(found) > LIMIT,
    }
    return JsonResponse(answer)


@require_POST
def about(request: HttpRequest) -> HttpResponse:
    """Choose what to be told about: `about`, one of User.NotifyAbout."""
    user: User = request.user  # type: ignore[assignment]
    chosen = text_of(request.POST, "about")
    if chosen not in User.NotifyAbout.values:
        return HttpResponseBadRequest(_("Choose mine, all or none."), content_type="text/plain")
    User.objects.filter(pk=user.pk).update(notify_about=chosen)
    response = done(
        request, "/settings/", _("You are told of: %(choice)s.") % {"choice": User.NotifyAbout(chosen).label}
    )
    # For telling.js: from when on, to the millisecond.
    after = round(datetime.now(UTC).timestamp() * 1000)
    return trigger_client_event(response, "telling", {"about": chosen, "after": after})


def _since(request: HttpRequest, now: datetime) -> datetime:
    """The moment that `after` names in milliseconds; a little before now where it names none that has been."""
    after = whole_of(request.GET, "after")
    if after is None or after > now.timestamp() * 1000:
        return now - OVERLAP
    return datetime.fromtimestamp(after / 1000, UTC)


def _rows(request: HttpRequest, found: list[Any]) -> list[dict[str, Any]]:
    mine = _mine(request.user, (sms.booking_id for sms in found))
    names = {}
    if found and len(request.user.visible_account_ids) > 1:  # type: ignore[union-attr]
        names = {account.pk: account.name for account in accounts_of(request)}
    with_text = request.GET.get("text") == "1"
    return [_row(sms, sms.booking_id in mine, names.get(sms.account_id, ""), with_text) for sms in found]


def _row(sms: Any, mine: bool, account: str, with_text: bool) -> dict[str, Any]:
    row = {
        "id": sms.id,
        "booking": sms.booking_id,
        "url": sms_url(sms.booking_id, sms.number),
        "number": _short(number_text(sms.number), NUMBER) or _("a number"),
        "service": _short(service_text(sms.booking__service or "") if sms.booking_id else "", SERVICE),
        "account": account,
        "mine": mine,
        "has_code": bool(sms.code),
    }
    if with_text:
        row |= {"sender": _short(sms.sender, SENDER), "text": _short(sms.text, TEXT)}
    return row


def _mine(user: Any, bookings: Iterable[int | None]) -> set[int]:
    """Which of these bookings are the person's own. One query, none where there is no booking."""
    ids = {pk for pk in bookings if pk is not None}
    if not ids:
        return set()
    return set(Booking.objects.visible_to(user).of_person(user.pk).filter(pk__in=ids).values_list("pk", flat=True))


def _short(text: str, limit: int) -> str:
    """On one line, without what acts on its surroundings, cut at `limit` characters."""
    # Cut first: what follows costs time, and a message may be long.
    line = visible(" ".join(text[: 4 * limit].split()))
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
