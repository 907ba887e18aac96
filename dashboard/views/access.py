"""Access rules: the one module that says who may see and do what. A stranger gets 404, never 403."""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from django.http import Http404, HttpRequest

from ..models import Booking, Order, Product, User
from ..models.visibility import AccountQuerySet

Row = TypeVar("Row", bound=Model)


def may_administer(user: User | AnonymousUser) -> bool:
    """People, accounts and keys are kept by admins only."""
    return user.is_active and user.is_superuser


def accounts_in_view(request: HttpRequest) -> tuple[int, ...]:
    """Ids of the accounts that the page is about: the visible ones, or the one that `?account=` names.

    An account that the person may not see counts as not named. Lists read
    `.of_accounts(accounts_in_view(request))`.
    """
    visible: tuple[int, ...] = getattr(request.user, "visible_account_ids", ())
    named = request.GET.get("account", "")
    return next(((pk,) for pk in visible if str(pk) == named), visible)


def booking_for(user: Any, pk: int) -> Booking:
    """The booking, with its order, account and newest SMS. Raises Http404 for a stranger's."""
    return _visible(Booking.objects.select_related("order", "account", "newest_sms"), user, pk)


def order_for(user: Any, pk: int) -> Order:
    """The order, with its account. Raises Http404 for a stranger's."""
    return _visible(Order.objects.select_related("account"), user, pk)


def product_for(user: Any, pk: int) -> Product:
    """The product, with its account. Raises Http404 for a stranger's."""
    return _visible(Product.objects.select_related("account"), user, pk)


def _visible(queryset: AccountQuerySet[Row], user: Any, pk: int) -> Row:
    row: Row | None = queryset.visible_to(user).filter(pk=pk).first() if pk < 2**63 else None
    if row is None:
        raise Http404
    return row
