"""Marking messages as read and unread. Sent by reading.js; "all found" also by a plain form."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from ..models import Sms
from ..models.reading import COUNTED, read_states
from ..reading import AT_ONCE, Done, read_everything, read_found, set_read, take_back
from ..wording import whole
from .access import accounts_in_view
from .inbox import FILTERS, found
from .paging import first_rows
from .parameters import text_of, whole_of
from .unread import states_in_view

# Messages that one request names: more than a page shows.
NAMED = 500
# Filters without which "all found" is everything in the accounts in view.
NARROWING = tuple(name for name in FILTERS if name != "unread")


@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Mark the messages `id` (several) as read, or with `read=0` as unread. Ids of strangers count as not named."""
    ids = {int(text) for text in request.POST.getlist("id")[:NAMED] if text.isascii() and text.isdecimal()}
    ids = {pk for pk in ids if pk < 2**63}
    rows = Sms.objects.visible_to(request.user).filter(pk__in=ids).values_list("pk", "account_id")
    set_read(request.user.pk or 0, dict(rows), read=request.POST.get("read") != "0")
    return HttpResponse(status=204)


@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    """Mark as read what the filters in the query string find, up to the id `up_to`, the newest when the page was made.

    Answers scripts with JSON: `text`, and `undo`, which the next view takes; else leads back to the page.
    """
    up_to = whole_of(request.POST, "up_to") or 0
    if any(text_of(request.GET, name) for name in NARROWING):
        done, text = _found(request, up_to)
    else:
        done, text = _everything(request, up_to)
    if "application/json" in request.headers.get("Accept", ""):
        undo = done.token(request.user.pk or 0) if done.ids or done.marks else ""
        return JsonResponse({"text": text, "undo": undo})
    messages.success(request, text)
    return HttpResponseRedirect(f"{reverse('inbox')}?{request.GET.urlencode()}", status=303)


@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """Take back what `token` names."""
    took = take_back(request.user, request.POST.get("token", ""))
    return JsonResponse({"text": _("Unread again.") if took else _("That is too long ago to be undone.")})


def _everything(request: HttpRequest, up_to: int) -> tuple[Done, str]:
    accounts = accounts_in_view(request)
    before = sum(state.unread for state in states_in_view(request).values())
    done = read_everything(request.user.pk or 0, accounts, up_to)
    after = sum(state.unread for pk, state in read_states(request.user).items() if pk in accounts)
    if before >= COUNTED:
        return done, _("All SMS marked as read.")
    return done, _counted(before - after)


def _found(request: HttpRequest, up_to: int) -> tuple[Done, str]:
    rows = found(request, unread=True).filter(id__lte=up_to).values_list("id", "account_id")
    done = read_found(request.user.pk or 0, first_rows(rows, ("-received_at", "-id"), AT_ONCE + 1))
    more = " " + _("There are more: do it again.") if done.more else ""
    return done, _counted(len(done.ids)) + more


def _counted(count: int) -> str:
    return _("%(count)s SMS marked as read.") % {"count": whole(count)} if count else _("Nothing here was unread.")
