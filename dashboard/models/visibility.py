"""Who sees what: every row belongs to an account, and a person sees the accounts that they are a member of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import models

if TYPE_CHECKING:
    from .users import User

Row = TypeVar("Row", bound=models.Model, covariant=True)


class AccountQuerySet(models.QuerySet[Row]):
    """Base of the querysets of everything that belongs to an account."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Rows of the accounts that `user` may read; none for somebody who is not signed in.

        One account gives an equality, which lets an index on (account, …) also serve the order of the list.
        """
        return self.of_accounts(getattr(user, "visible_account_ids", ()))

    def of_accounts(self, ids: Any) -> Self:
        ids = tuple(ids)
        if len(ids) == 1:
            return self.filter(account_id=ids[0])
        return self.filter(account_id__in=ids)
