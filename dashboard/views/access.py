"""Access rules: the one module that says who may see and do what. A stranger gets 404, never 403."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest

from ..models import Account, AuditEvent, Booking, Membership, Order, Product, Purchase, User
from ..models.audit import AuditQuerySet
from ..models.visibility import AccountQuerySet

Row = TypeVar("Row", bound=Model)


def may_administer(user: User | AnonymousUser) -> bool:
    """People, accounts and keys are kept by admins only."""
    return user.is_active and user.is_superuser


def may_act(user: Any, account_id: int) -> bool:
    """Operators, managers and admins act on an account's bookings; viewers read."""
    return role_in(user, account_id) in (Membership.Role.OPERATOR, Membership.Role.MANAGER)


def may_manage(user: Any, account_id: int) -> bool:
    """What touches all bookings of an account is for its managers and for admins."""
    return role_in(user, account_id) == Membership.Role.MANAGER


def role_in(user: Any, account_id: int) -> str:
    """The person's role in the account, an admin's being the manager's; empty for a stranger."""
    roles: dict[int, str] = getattr(user, "roles", {})
    return roles.get(account_id, "")


def accounts_acted_on(user: Any) -> frozenset[int]:
    """Ids of the accounts whose bookings the person may act on."""
    return frozenset(pk for pk in getattr(user, "roles", {}) if may_act(user, pk))


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
    return _visible(Booking.objects.select_related("order", "account", "newest_sms", "assignee"), user, pk)


def booking_to_act_on(user: Any, pk: int) -> Booking:
    """The booking, for who may change it. Raises Http404 for a stranger's, PermissionDenied for who only reads."""
    found = booking_for(user, pk)
    if not may_act(user, found.account_id):
        raise PermissionDenied
    return found


def account_to_manage(user: Any, pk: int) -> Account:
    """The account, for its managers. Raises Http404 for a stranger's, PermissionDenied for its other members."""
    found = Account.objects.visible_to(user).filter(pk=pk).first() if pk < 2**63 else None
    if found is None:
        raise Http404
    if not may_manage(user, found.pk):
        raise PermissionDenied
    return found


def order_for(user: Any, pk: int) -> Order:
    """The order, with its account. Raises Http404 for a stranger's."""
    return _visible(Order.objects.select_related("account"), user, pk)


def product_for(user: Any, pk: int) -> Product:
    """The product, with its account. Raises Http404 for a stranger's."""
    return _visible(Product.objects.select_related("account"), user, pk)


def purchase_for(user: Any, uuid: UUID) -> Purchase:
    """The purchase, with account, product, booking, order and who asked. Raises Http404 for a stranger's."""
    related = ("account", "product", "booking", "order", "requested_by")
    row = Purchase.objects.select_related(*related).visible_to(user).filter(pk=uuid).first()
    if row is None:
        raise Http404
    return row


def deciding_accounts(user: Any) -> tuple[int, ...]:
    """Ids of the accounts whose doubtful purchases this person decides: a manager's, and all for admins."""
    return tuple(sorted(pk for pk in getattr(user, "roles", {}) if may_manage(user, pk)))


def activity_for(user: Any) -> AuditQuerySet:
    """What this person reads of the record: an admin all of it, a manager what was done in the accounts that they
    manage, everybody what they did themselves, as far as they still see the account of it."""
    if may_administer(user):
        return AuditEvent.objects.all()
    return AuditEvent.objects.seen_by(user.pk, deciding_accounts(user), user.visible_account_ids)


def sees_deeds_of_others(user: Any) -> bool:
    return may_administer(user) or bool(deciding_accounts(user))


def may_withdraw(user: Any, purchase: Purchase) -> bool:
    """Who asked for it takes it back, while they may buy at all; so do managers and admins."""
    mine = purchase.requested_by_id == user.pk and may_act(user, purchase.account_id)
    return mine or may_manage(user, purchase.account_id)


def _visible(queryset: AccountQuerySet[Row], user: Any, pk: int) -> Row:
    row: Row | None = queryset.visible_to(user).filter(pk=pk).first() if pk < 2**63 else None
    if row is None:
        raise Http404
    return row
