"""Who sees what: every row belongs to an account, and a person sees those that they are a member of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import models

if TYPE_CHECKING:
    from .users import User

Row = TypeVar("Row", bound=models.Model, covariant=True)


class AccountQuerySet(models.QuerySet[Row]):
    """Base of the querysets of everything that belongs to an account."""

    # The accounts that `of_accounts` limited the rows to; None before that.
    account_ids: tuple[int, ...] | None = None

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Rows of the accounts that `user` may read; none for somebody who is not signed in.

        One account gives an equality, which lets an index on (account, …) also serve the order of the list.
        """
        return self.of_accounts(getattr(user, "visible_account_ids", ()))

    def of_accounts(self, ids: Any) -> Self:
        ids = tuple(ids)
        rows = self.filter(account_id=ids[0]) if len(ids) == 1 else self.filter(account_id__in=ids)
        rows.account_ids = ids
        return rows

    def by_account(self) -> list[Self]:
        """The same rows as one queryset for each account.

        Of several accounts together no index knows the order of a list, of each alone one does: a limited
        list joins the first rows of each (views/paging.py).
        """
        if self.account_ids is None or len(self.account_ids) < 2:
            return [self]
        return [self.filter(account_id=pk) for pk in self.account_ids]

    def parts(self, columns: tuple[str, ...], limit: int) -> list[Self]:
        """Querysets that together hold the first `limit` rows in the order of `columns`, each with an index for it."""
        return self.by_account()

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]
        clone.account_ids = self.account_ids
        return clone
