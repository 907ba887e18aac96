"""Marking messages as read and unread for a person, and taking that back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core import signing
from django.db import transaction
from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Subquery, Value, When

from .models import Account, ReadException, ReadMark, Sms
from .models.reading import COUNTED, ReadStates, above_mark, excepted, exceptions_among, settled_id
from .models.sms import SmsQuerySet

# Rows that one step marks, of a list that is narrowed by filters.
AT_ONCE = 5000
# So many exceptions above a mark are worth the look whether the mark can move over them.
MANY = 500
# With more messages than this above a mark, a walk through the list soon meets enough unread ones.
FEW = 20_000

SALT = "dashboard.reading"
UNDO_SECONDS = 600


@dataclass
class Done:
    """What a step changed: enough to take it back."""

    ids: list[int] = field(default_factory=list)
    # By account: the mark before and after.
    marks: dict[int, tuple[int, int]] = field(default_factory=dict)
    # Whether more messages were found than one step marks.
    more: bool = False

    def token(self, user_id: int) -> str:
        return signing.dumps([user_id, self.ids, list(self.marks.items())], salt=SALT, compress=True)


def unread_of(user_id: int, states: ReadStates, rows: Iterable[Any]) -> set[int]:
    """Ids of those among `rows` (with id and account_id) that the person has not read. One query."""
    pairs = [(row.id, row.account_id) for row in rows]
    said = exceptions_among(user_id, [pk for pk, _ in pairs])
    return {pk for pk, account in pairs if not said.get(pk, pk <= _up_to(states, account))}


def set_read(user_id: int, rows: Mapping[int, int], read: bool) -> list[int]:
    """Make these messages (account by id) read or unread; gives the ids for which that was a change."""
    if not rows:
        return []
    with transaction.atomic():
        marks = _locked(user_id, set(rows.values()))
        said = exceptions_among(user_id, list(rows))
        changed = [pk for pk, account in rows.items() if said.get(pk, pk <= marks[account]) != read]
        ReadException.objects.filter(user=user_id, sms__in=changed).delete()
        ReadException.objects.bulk_create(
            (
                ReadException(user_id=user_id, account_id=rows[pk], sms_id=pk, read=read)
                for pk in changed
                if (pk <= marks[rows[pk]]) != read
            ),
            batch_size=AT_ONCE,
        )
        for account in {rows[pk] for pk in changed}:
            if read:
                _settle(user_id, account, marks[account])
            _moved(user_id, account)
    return changed


def read_everything(user_id: int, account_ids: Iterable[int], up_to: int) -> Done:
    """Mark all messages of these accounts as read, up to the id `up_to`."""
    done = Done()
    with transaction.atomic():
        for account, old in _locked(user_id, set(account_ids)).items():
            new = max(old, min(up_to, settled_id(account)))
            mine = ReadException.objects.filter(user=user_id, account=account)
            # Of no more use since the mark passed them, and too old to be taken back.
            mine.filter(read=True, sms__lte=old).delete()
            again = list(mine.filter(read=False, sms__lte=min(up_to, new)).values_list("sms", flat=True)[:AT_ONCE])
            mine.filter(sms__in=again).delete()
            if new > old:
                ReadMark.objects.filter(user=user_id, account=account).update(up_to=new)
                done.marks[account] = (old, new)
            young = Sms.objects.filter(account=account, id__gt=new, id__lte=up_to).order_by("id")[:AT_ONCE]
            done.ids += again + set_read(user_id, dict.fromkeys(young.values_list("id", flat=True), account), read=True)
            _moved(user_id, account)
    return done


def read_found(user_id: int, found: Iterable[tuple[int, int]]) -> Done:
    """Mark these messages (id and account, unread ones) as read, AT_ONCE at most."""
    rows = dict(found)
    first = dict(list(rows.items())[:AT_ONCE])
    return Done(set_read(user_id, first, read=True), more=len(rows) > AT_ONCE)


def take_back(user: Any, token: str) -> bool:
    """Undo what `Done.token` was made of. False when it is too old or not this person's."""
    try:
        owner, ids, marks = signing.loads(token, salt=SALT, max_age=UNDO_SECONDS)
    except signing.BadSignature:
        return False
    if owner != user.pk:
        return False
    visible = user.visible_account_ids
    with transaction.atomic():
        for account, (old, new) in marks:
            if account in visible:
                # Moved again since then: that stays.
                mine = ReadMark.objects.filter(user=user.pk, account=account, up_to=new)
                mine.update(up_to=old, version=F("version") + 1)
        rows = Sms.objects.visible_to(user).filter(pk__in=ids).values_list("pk", "account_id")
        set_read(user.pk, dict(rows), read=False)
    return True


def unread_rows(user_id: int, states: ReadStates) -> SmsQuerySet:
    """The messages that the person has not read, of the accounts of `states`.

    Few are looked up by their ids and then sorted; among many, the list is walked in its order until a page is full.
    So neither waits who has read everything nor who has read nothing. One query at most to tell which.
    """
    if _few(states):
        return Sms.objects.few_of(states).filter(pk__in=_unread_ids(user_id, states))
    # A mark that depends on the row: no index can be entered by it, so none but that of the list's order is.
    marks = [When(account=account, then=Value(state.up_to)) for account, state in states.items()]
    mark = Case(*marks, default=Value(0), output_field=BigIntegerField())
    above = Q(id__gt=mark) & ~excepted(user_id, read=True)
    return Sms.objects.of_accounts(states).filter(above | Q(id__lte=mark) & excepted(user_id, read=False))


def _few(states: ReadStates) -> bool:
    many = {pk: state.up_to for pk, state in states.items() if state.unread >= COUNTED}
    if not many:
        return True
    far = [
        # Skips through the entries of an index, without a look at any message.
        When(
            pk=pk,
            then=Subquery(Sms.objects.filter(account=pk, id__gt=up_to).order_by("id").values("id")[FEW : FEW + 1]),
        )
        for pk, up_to in many.items()
    ]
    return not Account.objects.filter(pk__in=many).annotate(far=Case(*far)).exclude(far=None).exists()


def _unread_ids(user_id: int, states: ReadStates) -> QuerySet[Any]:
    parts: list[QuerySet[Any]] = []
    for account, state in states.items():
        above = Sms.objects.filter(account=account, id__gt=state.up_to)
        below = ReadException.objects.filter(user=user_id, account=account, read=False, sms__lte=state.up_to)
        parts += [above_mark(user_id, above).values("pk"), below.values("sms")]
    return parts[0].union(*parts[1:], all=True) if parts else Sms.objects.none()


def _locked(user_id: int, accounts: set[int]) -> dict[int, int]:
    """The person's marks in these accounts, by account, locked until the end of the transaction."""
    marks = ReadMark.objects.select_for_update().filter(user=user_id, account__in=accounts).order_by("account")
    known = dict(marks.values_list("account", "up_to"))
    if missing := accounts - known.keys():
        made = [ReadMark(user_id=user_id, account_id=account) for account in sorted(missing)]
        ReadMark.objects.bulk_create(made, ignore_conflicts=True)
        known = dict(marks.values_list("account", "up_to"))
    return known


def _settle(user_id: int, account: int, up_to: int) -> None:
    """Move the mark on when nearly all above it is read: who reads one by one leaves no trail of a million rows."""
    mine = ReadException.objects.filter(user=user_id, account=account)
    if mine.filter(read=True, sms__gt=up_to).order_by("sms")[: MANY + 1].count() <= MANY:
        return
    new = settled_id(account)
    between = Sms.objects.filter(account=account, id__gt=up_to, id__lte=new)
    left = list(above_mark(user_id, between).order_by("id").values_list("id", flat=True)[: MANY + 1])
    if new <= up_to or len(left) > MANY:
        return
    rows = (ReadException(user_id=user_id, account_id=account, sms_id=pk, read=False) for pk in left)
    ReadException.objects.bulk_create(rows, ignore_conflicts=True)
    mine.filter(read=True, sms__lte=new).delete()
    ReadMark.objects.filter(user=user_id, account=account).update(up_to=new)


def _moved(user_id: int, account: int) -> None:
    ReadMark.objects.filter(user=user_id, account=account).update(version=F("version") + 1)


def _up_to(states: ReadStates, account: int) -> int:
    return states[account].up_to if account in states else 0
