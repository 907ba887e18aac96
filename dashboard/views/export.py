"""The SMS that the inbox shows as a CSV file, for managers: asked first, then streamed; each export is on record.

The file is read from the database in chunks by keyset and written chunk by chunk: memory stays the same for any
length, no connection and no transaction outlives a chunk, and rows that arrive meanwhile neither double nor shift any.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.db import close_old_connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from .. import audit
from ..access_rules import Rule, accounts_with
from ..csv_text import BOM, csv_rows
from ..foreign_text import visible
from ..local_time import Clock, iso
from ..models import User
from ..models.sms import SmsQuerySet
from ..wording import country_name
from .access import ACCOUNT, accounts_in_view
from .export_terms import Terms, terms_of
from .inbox import FILTERS, SORTS, found
from .paging import Sort, count_up_to, rows_beyond, sort_of
from .parameters import text_of

logger = logging.getLogger(__name__)
CHUNK = 1000  # rows
COLUMNS = (
    "id", "account_id", "seen_at", "received_at", "number", "sender", "text", "code",
    "booking__country", "booking__service", "booking__remote_id",
    "booking__note", "booking__labels", "booking__assignee__username",
)  # fmt: skip
# Filters whose value may stand in the record where it looks like one: what a person typed may be personal.
PLAIN = re.compile(r"[a-z0-9:_-]{1,40}")
TYPED = frozenset({"q", "sender", "number", "service"})


@require_http_methods(["GET", "HEAD", "POST"])
def export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """GET asks, with how many SMS of which accounts; POST sends the file. The query string is the inbox's own.

    Raises Http404 for who sees no account, PermissionDenied for who manages none of those in view.
    """
    terms = terms_of(request)
    if not terms.accounts:
        raise PermissionDenied if terms.left_out else Http404
    if request.method != "POST":
        return _ask(request, terms)
    run = _begun(request, terms)
    return StreamingHttpResponse(
        _stream(run),
        content_type="text/csv; charset=utf-8; header=present",
        headers={
            "Content-Disposition": content_disposition_header(True, _file_name(terms)) or "attachment",
            # Django packs each chunk of a stream into a gzip member of its own, and Chromium reads only the first.
            "Content-Encoding": "identity",
            "X-Accel-Buffering": "no",
        },
    )


@dataclass
class Run:
    """One export on its way. Holds nothing that was stored after it began, so it ends whatever arrives."""

    request: HttpRequest
    terms: Terms
    rows: SmsQuerySet
    sort: Sort
    zone: tzinfo
    began: datetime = field(default_factory=timezone.now)
    key: str = field(default_factory=lambda: uuid4().hex[:12])
    counts: Counter[int] = field(default_factory=Counter)
    last: Any = None
    over: bool = False

    def head(self) -> str:
        words = (
            "Received (UTC)", f"Local time ({self.zone})", "Number", "Country", "Service", "Sender", "Text", "Code",
            "Booking", "Account", "Note", "Labels", "Assigned to",
        )  # fmt: skip
        return BOM + csv_rows([words])

    def next_chunk(self) -> str:
        """Lines of the next rows; `over` after the last ones. Raises PermissionDenied as soon as the right is gone."""
        try:
            person = User.objects.filter(pk=self.request.user.pk or 0).first()
            if person is None or not set(self.terms.ids) <= set(accounts_with(person, Rule.EXPORT)):
                raise PermissionDenied
            rows = rows_beyond(self.rows, self.sort, self.last, CHUNK)
        finally:
            # Where connections are pooled it goes back now, not when the file is done.
            close_old_connections()
        self.last = rows[-1] if rows else None
        # What arrives while the oldest come first is behind the last row: it must not keep the file open.
        self.over = len(rows) < CHUNK
        kept = [row for row in rows if row.seen_at <= self.began]
        self.counts.update(row.account_id for row in kept)
        names = {account.pk: account.name for account in self.terms.accounts}
        return csv_rows(self._cells(row, names) for row in kept)

    def finish(self, whole: bool) -> None:
        """Note how much went out; that it began is on record already."""
        try:
            with transaction.atomic():
                for account in self.terms.accounts:
                    details = {"export": self.key, "rows": self.counts[account.pk], "whole": whole}
                    audit.record(self.request, "sms.export_ended", account, details)
        except DatabaseError:
            logger.exception("export %s: its end could not be noted", self.key)
        finally:
            close_old_connections()

    def _cells(self, row: Any, names: dict[int, str]) -> tuple[str, ...]:
        local = row.received_at.astimezone(self.zone)
        return (
            iso(row.received_at),
            f"{local:%Y-%m-%d %H:%M:%S}",
            visible(row.number),
            country_name(row.booking__country or ""),
            visible(row.booking__service or ""),
            visible(row.sender),
            visible(row.text),
            visible(row.code),
            str(row.booking__remote_id or ""),
            names[row.account_id],
            visible(row.booking__note or ""),
            visible(row.booking__labels or ""),
            row.booking__assignee__username or "",
        )


async def _stream(run: Run) -> AsyncIterator[str]:
    """The file. The first bytes need no query; who goes away ends the work at the chunk that is being read."""
    whole = False
    try:
        yield run.head()
        while not run.over:
            yield await sync_to_async(run.next_chunk)()
        whole = True
    finally:
        await sync_to_async(run.finish)(whole)


def _begun(request: HttpRequest, terms: Terms) -> Run:
    rows = _rows(request, terms)
    run = Run(
        request,
        terms,
        rows.values_list(*COLUMNS, named=True),  # type: ignore[arg-type]
        sort_of(request.GET, SORTS),
        timezone.get_current_timezone(),
    )
    with transaction.atomic():
        for account in terms.accounts:
            audit.record(request, "sms.exported", account, {"export": run.key, "filters": _filters(request)})
    return run


def _rows(request: HttpRequest, terms: Terms) -> SmsQuerySet:
    rows = found(request)
    return rows if terms.ids == accounts_in_view(request) else rows.of_accounts(terms.ids)


def _filters(request: HttpRequest) -> dict[str, str]:
    """What was set, for the record: of a text only that it was."""
    values = {name: text_of(request.GET, name) for name in (ACCOUNT, *FILTERS, "sort")}
    return {
        name: value if name not in TYPED and PLAIN.fullmatch(value) else "set"
        for name, value in values.items()
        if value
    }


def _ask(request: HttpRequest, terms: Terms) -> HttpResponse:
    dialog = bool(request.htmx)  # type: ignore[attr-defined]
    query = request.GET.urlencode()
    context = {
        "title": _("Export SMS"),
        "back": reverse("inbox") + (f"?{query}" if query else ""),
        "back_label": _("Inbox"),
        "dialog": dialog,
        "body": "dashboard/_ask_export.html",
        "terms": terms,
        "count": count_up_to(_rows(request, terms)),
        "sort": sort_of(request.GET, SORTS),
        "zone": timezone.get_current_timezone(),
        "filtered": any(text_of(request.GET, name) for name in FILTERS),
    }
    response = render(request, "dashboard/_ask_dialog.html" if dialog else "dashboard/ask.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _file_name(terms: Terms) -> str:
    """ "sms-2026-11-23-shop.csv"; the day is the person's."""
    names = terms.accounts
    one = slugify(names[0].name, allow_unicode=True) or f"account-{names[0].pk}"
    return f"sms-{Clock().today:%Y-%m-%d}-{one if len(names) == 1 else f'{len(names)}-accounts'}.csv"
