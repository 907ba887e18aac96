from __future__ import annotations

import logging
from typing import Any, NoReturn, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import audit_chain, audit_text
from ..encryption import CannotUnseal
from .accounts import Account
from .visibility import AccountQuerySet

logger = logging.getLogger(__name__)


class AuditQuerySet(AccountQuerySet["AuditEvent"]):
    """Events are read and made, one by one; nothing else."""

    # Conditions of the parts that a list is joined from, each with an index of its own (views/paging.py).
    ways: tuple[Q, ...] = ()

    def seen_by(self, user_id: int, managed: tuple[int, ...], visible: tuple[int, ...]) -> Self:
        """All events of the `managed` accounts, and of the `visible` ones (or of none) what the person did."""
        own = Q(user=user_id) & (Q(account=None) | Q(account__in=visible))
        rows = self.filter(own | Q(account__in=managed) if managed else own)
        elsewhere = (None, *(pk for pk in visible if pk not in managed))
        rows.ways = (*(Q(account=pk) for pk in managed), *(Q(user=user_id, account=pk) for pk in elsewhere))
        return rows

    def only_these(self, ids: Any) -> Self:
        """Of these rows those with such an id, which are few: no index of a list is walked to find them."""
        rows = self.filter(pk__in=ids)
        rows.ways = ()
        return rows

    def by_account(self) -> list[Self]:
        return [self.filter(way) for way in self.ways] if len(self.ways) > 1 else [self]

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError(AuditEvent.ONCE)

    def delete(self) -> NoReturn:
        raise TypeError(AuditEvent.ONCE)

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit events are made one by one: each holds the one before it.")

    def _clone(self) -> Self:
        clone: Self = super()._clone()
        clone.ways = self.ways
        return clone


class AuditEvent(models.Model):
    """Who did what, when, from where. Written once, never changed; holds no secret and no SMS text.

    Saving puts it at the end of its chain (audit_chain). That locks the head of the chain until the transaction ends,
    so it comes after the change that it is about, and of several accounts in the order of their ids.
    """

    ONCE = "An audit event is written once."

    class Role(models.TextChoices):
        """As what somebody did it. The person's role in the account, or an actor who is no person."""

        ADMIN = "admin", _("Admin")
        MANAGER = "manager", _("Manager")
        OPERATOR = "operator", _("Operator")
        VIEWER = "viewer", _("Viewer")
        MEMBER = "", "–"
        VISITOR = "visitor", _("Not signed in")
        MACHINE = "machine", _("By itself")
        CONSOLE = "console", _("Command line")

    class Kind(models.TextChoices):
        PURCHASES = "purchases", _("Purchases")
        BOOKINGS = "bookings", _("Bookings")
        PEOPLE = "people", _("People and keys")
        SIGN_IN = "sign-in", _("Sign-in")
        EXPORTS = "exports", _("Exports")
        DENIED = "denied", _("Denied access")
        OTHER = "other", _("Everything else")

    chain = models.BigIntegerField(editable=False)
    seq = models.BigIntegerField(editable=False)
    previous = models.CharField(max_length=64, editable=False)
    hash = models.CharField(max_length=64, editable=False)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    # No constraint in the database: whoever leaves, what they did stays as it was written.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    user_name = models.CharField(max_length=150, blank=True)
    role = models.CharField(max_length=10, choices=Role.choices, blank=True, default="")
    account = models.ForeignKey(
        Account, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.OTHER, editable=False)
    action = models.CharField(max_length=40)
    object_type = models.CharField(max_length=30, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    object_text = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    device = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ("-at", "-id")
        constraints = [models.UniqueConstraint(fields=["chain", "seq"], name="audit_seq_once")]
        indexes = [
            # The list of an account, of a person, of a person in an account, of a kind, of a kind in an account; the
            # history of an object.
            models.Index(fields=["account", "at"], name="audit_of_account"),
            models.Index(fields=["user", "at"], name="audit_of_person"),
            models.Index(fields=["user", "account", "at"], name="audit_of_person_in_account"),
            models.Index(fields=["kind", "at"], name="audit_of_kind"),
            models.Index(fields=["account", "kind", "at"], name="audit_of_account_kind"),
            models.Index(fields=["object_type", "object_id", "at"], name="audit_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_text}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises TypeError for an event that is stored already."""
        if not self._state.adding:
            raise TypeError(self.ONCE)
        self._make_plain()
        with transaction.atomic(savepoint=False):
            self.chain = self.account_id or audit_chain.NO_ACCOUNT
            head = AuditHead.take(self.chain)
            key = head.open_key()
            self.seq, self.previous = head.seq + 1, head.hash
            self.hash = audit_chain.link(key, self.previous, self.chained_values())
            super().save(force_insert=True)
            head.move(key, self.seq, self.hash)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(self.ONCE)

    def chained_values(self) -> tuple[Any, ...]:
        """What the hash is over: all that is stored, but the row's own id and the hashes."""
        return (
            self.chain, self.seq, audit_chain.moment(self.at), self.user_id, self.user_name, self.role,
            self.account_id, self.kind, self.action, self.object_type, self.object_id, self.object_text, self.details,
            audit_text.address(self.address), self.device, self.request_id,
        )  # fmt: skip

    def _make_plain(self) -> None:
        for column in self._meta.concrete_fields:
            if isinstance(column, models.CharField) and column.editable:
                setattr(self, column.name, audit_text.line(getattr(self, column.name), column.max_length or 0))
        self.kind = kind_of(self.action)
        self.details = audit_text.details(self.details)
        self.address = audit_text.address(self.address)


class AuditHead(models.Model):
    """The end of a chain: how many events it has, and the hash of the newest. Its row is the lock of who writes."""

    chain = models.BigIntegerField(primary_key=True)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)
    sealed_key = models.TextField()
    # Holds the two together: without the key nobody can say that the chain ends earlier.
    mac = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.chain} {self.seq} {self.hash}"

    @classmethod
    def take(cls, chain: int) -> AuditHead:
        """The head, locked until the transaction ends; begun if there is none."""
        return cls.objects.select_for_update().filter(chain=chain).first() or cls._begin(chain)

    @classmethod
    def _begin(cls, chain: int) -> AuditHead:
        if chain != audit_chain.ROOT:
            root = cls.take(audit_chain.ROOT)
            # Whoever came a moment earlier has begun it, now that the root is ours.
            if (found := cls.objects.select_for_update().filter(chain=chain).first()) is not None:
                return found
            root.move(root.open_key(), root.seq + 1, "")
        # Where events are left of a chain whose head is gone, their count goes on; the check tells of both.
        known = AuditEvent.objects.filter(chain=chain).aggregate(seq=Max("seq"))["seq"] or 0
        new = AuditHead(chain=chain, seq=known, sealed_key=audit_chain.new_sealed_key(chain))
        new.mac = audit_chain.head_mac(new.open_key(), chain, known, "")
        # Of the root: who comes second waits here for the first, and finds its row.
        AuditHead.objects.bulk_create([new], ignore_conflicts=True)
        return cls.objects.select_for_update().get(chain=chain)

    def open_key(self) -> bytes:
        """The key of the chain; an empty one where FIELD_KEYS does not open it. That deeds stay possible, such as an
        admin's sign-in, matters more: what is written meanwhile is linked without a key, and the check tells of it."""
        try:
            return audit_chain.open_key(self.sealed_key, self.chain)
        except CannotUnseal:
            logger.error("the key of audit chain %s cannot be opened: what is written now proves nothing", self.chain)
            return b""

    def move(self, key: bytes, seq: int, newest: str) -> None:
        self.seq, self.hash = seq, newest
        self.mac = audit_chain.head_mac(key, self.chain, seq, newest)
        AuditHead.objects.filter(chain=self.chain).update(seq=seq, hash=newest, mac=self.mac)


def kind_of(action: str) -> str:
    """The group that an action is listed under, by its first word; an export and the renewal of all by their second."""
    first, _, rest = action.partition(".")
    if rest.startswith("export"):
        return AuditEvent.Kind.EXPORTS
    if first == "account" and rest.startswith("renewal"):
        return AuditEvent.Kind.BOOKINGS
    return _KINDS.get(first, AuditEvent.Kind.OTHER)


_KINDS = {
    word: kind
    for kind, words in {
        AuditEvent.Kind.PURCHASES: "purchase",
        AuditEvent.Kind.BOOKINGS: "booking",
        AuditEvent.Kind.PEOPLE: "user membership member invite key keys account",
        AuditEvent.Kind.SIGN_IN: "sign_in sign_out session password second_factor recovery_code recovery_codes",
        AuditEvent.Kind.EXPORTS: "export",
        AuditEvent.Kind.DENIED: "access",
    }.items()
    for word in words.split()
}

__all__ = ["AuditEvent", "AuditHead"]
