"""The objects that a request is about, for who has the right that its URL takes (access_rules.py).

A stranger gets 404, never 403. A member gets 403 for what they may read but not do, and 404 where they need not know
that it exists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, QueryDict

from ..access_rules import UNSEEN, Rule, accounts_with, may
from ..models import Account, AuditEvent, Booking, Membership, Order, Product, Purchase
from ..models.audit import AuditQuerySet
from ..models.visibility import AccountQuerySet
from .guard import row_for

Row = TypeVar("Row", bound=Model)

# The choice in the header: in the URL, and for URLs that do not say it in the session.
ACCOUNT = "account"
ALL_ACCOUNTS = "all"


def rule_of(request: HttpRequest) -> Rule:
    """The right that this request takes."""
    rule = row_for(request).rule(request.method or "")
    if rule is None:
        raise PermissionDenied
    return rule


def chosen_account(request: HttpRequest) -> int | None:
    """Id of the one account that everything is to be about; None for all of them.

    `?account=` says it: an id, or "all" (or nothing after the "="). An account that the person may not see counts as
    not named. Where the URL does not say it, what was chosen last in the header holds.
    """
    if len(_visible_ids(request)) < 2:
        return None
    named = named_account(request)
    text = named or str(request.session.get(ACCOUNT, ""))
    return next((pk for pk in _visible_ids(request) if str(pk) == text), None)


def named_account(request: HttpRequest) -> str:
    """What the URL says: the id of an account that the person sees, "all", or nothing. Nothing too with a single one:
    there is no choice."""
    visible = _visible_ids(request)
    named = request.GET.get(ACCOUNT)
    if named is None or len(visible) < 2:
        return ""
    if named in ("", ALL_ACCOUNTS):
        return ALL_ACCOUNTS
    return named if named in map(str, visible) else ""


def say_account(request: HttpRequest, query: QueryDict) -> None:
    """Put the choice into a query string that a page sends later: what is chosen in another tab meanwhile must not
    change what is asked for here."""
    if len(_visible_ids(request)) > 1:
        query[ACCOUNT] = str(chosen_account(request) or ALL_ACCOUNTS)


def accounts_in_view(request: HttpRequest, rule: Rule | None = None) -> tuple[int, ...]:
    """Ids of the accounts that the page is about: those in which the person has the right that the URL takes (or
    `rule`), or of these the chosen one. Lists read `.of_accounts(accounts_in_view(request))`.
    """
    allowed = accounts_with(request.user, rule or rule_of(request))
    chosen = chosen_account(request)
    return allowed if chosen is None else tuple(pk for pk in allowed if pk == chosen)


def booking_for(request: HttpRequest, pk: int) -> Booking:
    """The booking, with its order, account, newest SMS and assignee. Raises as told above."""
    found = _visible(Booking.objects.select_related("order", "account", "newest_sms", "assignee"), request, pk)
    _demand(request, found.account_id, lambda: found.is_of(request.user.pk))
    return found


def order_for(request: HttpRequest, pk: int) -> Order:
    """The order, with its account. Raises as told above."""
    found = _visible(Order.objects.select_related("account"), request, pk)
    _demand(request, found.account_id)
    return found


def product_for(request: HttpRequest, pk: int) -> Product:
    """The product, with its account. Raises as told above."""
    found = _visible(Product.objects.select_related("account"), request, pk)
    _demand(request, found.account_id)
    return found


def purchase_for(request: HttpRequest, uuid: UUID) -> Purchase:
    """The purchase, with account, product, booking, order and who asked. Raises as told above."""
    related = ("account", "product", "booking", "order", "requested_by")
    found = Purchase.objects.select_related(*related).visible_to(request.user).filter(pk=uuid).first()
    if found is None:
        raise Http404
    _demand(request, found.account_id, lambda: found.requested_by_id == request.user.pk)
    return found


def account_for(request: HttpRequest, pk: int) -> Account:
    """Raises as told above."""
    found = Account.objects.visible_to(request.user).filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise Http404
    _demand(request, found.pk)
    return found


def membership_for(request: HttpRequest, pk: int) -> Membership:
    """With person and account. Raises as told above."""
    seen = Membership.objects.filter(account__in=request.user.visible_account_ids)  # type: ignore[union-attr]
    found = seen.select_related("user", "account").filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise Http404
    _demand(request, found.account_id)
    return found


def activity_for(user: Any) -> AuditQuerySet:
    """What this person reads of the record: an admin all of it, a manager what was done in the accounts that they
    manage, everybody what they did themselves, as far as they still see the account of it."""
    if may(user, Rule.ADMIN):
        return AuditEvent.objects.all()
    return AuditEvent.objects.seen_by(user.pk, accounts_with(user, Rule.ACTIVITY), user.visible_account_ids)


def _visible_ids(request: HttpRequest) -> tuple[int, ...]:
    ids: tuple[int, ...] = getattr(request.user, "visible_account_ids", ())
    return ids


def _demand(request: HttpRequest, account_id: int, own: Callable[[], bool] | None = None) -> None:
    """Raise unless the person has the URL's right in the account, or has it on their own and this is one."""
    rule = rule_of(request)
    if may(request.user, rule, account_id):
        return
    if own is not None and may(request.user, rule, account_id, own=True) and own():
        return
    # Whose managers read of it (denials.py): the person sees the account, but may not do this in it.
    request.denied_in = account_id  # type: ignore[attr-defined]
    if rule in UNSEEN:
        raise Http404
    raise PermissionDenied


def _visible(queryset: AccountQuerySet[Row], request: HttpRequest, pk: int) -> Row:
    row: Row | None = queryset.visible_to(request.user).filter(pk=pk).first() if pk < 2**63 else None
    if row is None:
        raise Http404
    return row
