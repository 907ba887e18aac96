"""The choice in the header: of which account everything is shown."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import Resolver404, resolve
from django.views.decorators.http import require_POST

from ..access_rules import row_of
from .access import ACCOUNT, ALL_ACCOUNTS

# What is left out of the URL of the page that one comes from: places in the list of another account.
PLACES = ("after", "before")


@require_POST
def choose_account(request: HttpRequest) -> HttpResponse:
    """Remember `account` (an id, or "all") for this session and show the page that it was chosen on anew."""
    visible = map(str, request.user.visible_account_ids)  # type: ignore[union-attr]
    wanted = request.POST.get(ACCOUNT, "")
    if wanted in visible:
        request.session[ACCOUNT] = wanted
    else:
        # Unknown, or not theirs: as if none were named.
        wanted = ALL_ACCOUNTS
        request.session.pop(ACCOUNT, None)
    return HttpResponseRedirect(_back(request, wanted), status=303)


def _back(request: HttpRequest, wanted: str) -> str:
    """The page that the browser says it comes from, by its path alone, so that it is one of ours."""
    try:
        came = urlsplit(request.headers.get("Referer", ""))
    except ValueError:  # an address that is none
        came = urlsplit("")
    query = QueryDict(came.query, mutable=True)
    for name in (ACCOUNT, *PLACES):
        query.pop(name, None)
    query[ACCOUNT] = wanted
    known = came.netloc == request.get_host() and _can_be_opened(came.path)
    return f"{came.path}?{query.urlencode()}" if known else f"/?{urlencode({ACCOUNT: wanted})}"


def _can_be_opened(path: str) -> bool:
    """Whether it is a page of ours; some URLs only take what is sent to them."""
    try:
        row = row_of(resolve(path).view_name)
    except Resolver404:
        return False
    return row is not None and row.get is not None
