"""What each person has read. A million messages cost a person nothing: one mark per account, and rows only for what
differs from it."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from .accounts import Account
from .sms import Sms
from .visibility import AccountQuerySet

# Counted no further: what is beyond is told as "999+".
COUNTED = 1000
# Ids commit out of order on PostgreSQL: below a message seen so long ago none can appear any more.
SETTLED = timedelta(minutes=1)


class ReadMarkQuerySet(AccountQuerySet["ReadMark"]):
    def begin(self, user_id: int, account_ids: Iterable[int], afresh: bool = False) -> None:
        """What these accounts hold is read for the person, who starts with what comes. Marks that stand already stay
        where they are, unless it is `afresh`. At the making of a person or membership, never by a GET."""
        for account_id in account_ids:
            up_to = settled_id(account_id)
            _, made = self.get_or_create(user_id=user_id, account_id=account_id, defaults={"up_to": up_to})
            if afresh and not made:
                mine = self.filter(user=user_id, account=account_id)
                mine.update(up_to=up_to, version=F("version") + 1)


class ReadMark(models.Model):
    """All messages of the account up to this id are read by the person, but for those that ReadException names."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="read_marks", db_index=False)
    account = models.ForeignKey(Account, models.CASCADE, related_name="read_marks", db_index=False)
    up_to = models.BigIntegerField(default=0)
    # Moves with every change of what the person has read in the account: panels compare it.
    version = models.BigIntegerField(default=0)

    objects = ReadMarkQuerySet.as_manager()

    class Meta:
        # Two tabs of a person that write at once.
        constraints = [models.UniqueConstraint(fields=["account", "user"], name="read_mark_once")]

    def __str__(self) -> str:
        return f"Read up to {self.up_to}"


class ReadException(models.Model):
    """A message that is read though the mark does not cover it, or unread though it does."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)
    sms = models.ForeignKey(Sms, models.CASCADE, related_name="+", db_index=False)
    read = models.BooleanField()

    objects = AccountQuerySet["ReadException"].as_manager()

    class Meta:
        constraints = [
            # A message is read or not, whatever two tabs say at once; serves the lookup by message, too.
            models.UniqueConstraint(fields=["sms", "user"], name="read_exception_once"),
        ]
        # Those of a person in an account, by id. Two, since SQLite enters no index by a boolean that is false.
        indexes = [
            models.Index(fields=["user", "account", "sms"], name="read_once_marked", condition=Q(read=True)),
            models.Index(fields=["user", "account", "sms"], name="unread_again", condition=Q(read=False)),
        ]

    def __str__(self) -> str:
        return f"SMS {self.sms_id}: {'read' if self.read else 'unread'}"


class ReadState(NamedTuple):
    """Of a person in an account. `unread` is COUNTED at most; `newest` is the greatest id there is."""

    up_to: int
    version: int
    unread: int
    newest: int


ReadStates = dict[int, ReadState]


# By hand: to put this together anew for every page would cost more than to ask it.
_STATES = f"""
    SELECT a.id, COALESCE(m.up_to, 0), COALESCE(m.version, -1),
      (SELECT COUNT(*) FROM (
        SELECT s.id FROM dashboard_sms s WHERE s.account_id = a.id AND s.id > COALESCE(m.up_to, 0) AND NOT EXISTS (
          SELECT 1 FROM dashboard_readexception e WHERE e.sms_id = s.id AND e.user_id = %s AND e.read)
        ORDER BY s.id DESC LIMIT {COUNTED}) above),
      (SELECT COUNT(*) FROM (
        SELECT e.sms_id FROM dashboard_readexception e
        WHERE e.user_id = %s AND e.account_id = a.id AND NOT e.read AND e.sms_id <= COALESCE(m.up_to, 0)
        ORDER BY e.sms_id LIMIT {COUNTED}) below),
      (SELECT s.id FROM dashboard_sms s WHERE s.account_id = a.id ORDER BY s.id DESC LIMIT 1)
    FROM dashboard_account a LEFT JOIN dashboard_readmark m ON m.account_id = a.id AND m.user_id = %s
    WHERE a.id IN ({{}})"""  # noqa: S608 (only numbers of ours and places for values)


def _places(values: Sized) -> str:
    return ", ".join(["%s"] * len(values))


def read_states(user: Any) -> ReadStates:
    """By account that the person may see. One query; it reads no more than COUNTED messages and the exceptions among
    them."""
    accounts = user.visible_account_ids
    if not accounts:
        return {}
    with connection.cursor() as cursor:
        statement = _STATES.format(_places(accounts))
        cursor.execute(statement, [user.pk, user.pk, user.pk, *accounts])
        rows = sorted(cursor.fetchall())
    return {
        pk: ReadState(up_to, version, min(above + below, COUNTED), newest or 0)
        for pk, up_to, version, above, below, newest in rows
    }


def exceptions_among(user_id: int, ids: list[int]) -> dict[int, bool]:
    """What is said of these messages apart from the marks: read or not, by id. One query, none without ids; by hand
    as above."""
    if not ids:
        return {}
    statement = f"SELECT sms_id, read FROM dashboard_readexception WHERE user_id = %s AND sms_id IN ({_places(ids)})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [user_id, *ids])
        return {pk: bool(read) for pk, read in cursor.fetchall()}


def above_mark(user_id: int, rows: Any) -> Any:
    """Of these messages, all above their account's mark, the ones that the person has not read."""
    return rows.filter(~excepted(user_id, read=True))


def excepted(user_id: int, read: bool) -> Exists:
    """Whether a message of the outer query is an exception of this kind."""
    return Exists(ReadException.objects.filter(user=user_id, sms=OuterRef("pk"), read=read))


def settled_id(account_id: int, now: datetime | None = None) -> int:
    """The id up to which no message of the account can appear any more; 0 when there is none."""
    old = Sms.objects.filter(account=account_id, seen_at__lte=(now or timezone.now()) - SETTLED)
    return old.order_by("-id").values_list("id", flat=True).first() or 0
