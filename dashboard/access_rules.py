"""Who may do what: one table of rights and one of URLs. The code asks them, tests/test_access_matrix.py proves them.

`PERMITTED` says which roles of an account have which right. `ROWS` says for each URL, by its name, what its path is
about and which right each method needs. A URL without a row answers nobody (views/guard.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Q, QuerySet

from .models import Membership, User

VIEWER, OPERATOR, MANAGER = Membership.Role.VIEWER, Membership.Role.OPERATOR, Membership.Role.MANAGER


class Rule(StrEnum):
    PUBLIC = "public"  # everybody, signed in or not
    SIGNED_IN = "signed in"  # every person: what is about nothing, or about themselves
    READ = "read"  # all that an account holds
    ACT = "act"  # cancel a booking, write notes
    BUY = "buy"  # order, extend, reuse, within the caps
    RENEW = "renew"  # switch the auto-renewal of a booking
    RENEW_ALL = "renew all"  # switch it for all of an account
    WITHDRAW = "withdraw"  # take back a purchase that still waits
    DECIDE = "decide"  # settle a doubtful purchase
    EXPORT = "export"
    ACTIVITY = "activity"  # read who did what in the account
    MEMBERS = "members"  # set roles and caps of an account's people
    ADMIN = "admin"  # people, accounts, API keys


class Whose(StrEnum):
    """Which objects of the account a right is about. OWN: bookings that the person bought or looks after, purchases
    that they asked for."""

    ALL = "all"
    OWN = "own"


# Rights in an account by role; an admin has the manager's in every account. What is not here is nobody's.
PERMITTED: Mapping[Rule, Mapping[str, Whose]] = {
    Rule.READ: {VIEWER: Whose.ALL, OPERATOR: Whose.ALL, MANAGER: Whose.ALL},
    Rule.ACT: {OPERATOR: Whose.ALL, MANAGER: Whose.ALL},
    Rule.BUY: {OPERATOR: Whose.ALL, MANAGER: Whose.ALL},
    Rule.RENEW: {OPERATOR: Whose.OWN, MANAGER: Whose.ALL},
    Rule.RENEW_ALL: {MANAGER: Whose.ALL},
    Rule.WITHDRAW: {OPERATOR: Whose.OWN, MANAGER: Whose.ALL},
    Rule.DECIDE: {MANAGER: Whose.ALL},
    Rule.EXPORT: {MANAGER: Whose.ALL},
    Rule.ACTIVITY: {MANAGER: Whose.ALL},
    Rule.MEMBERS: {MANAGER: Whose.ALL},
}
# Who lacks one of these gets 404, as if there were nothing; who lacks another one in an account of theirs gets 403.
UNSEEN = frozenset({Rule.WITHDRAW, Rule.DECIDE, Rule.MEMBERS, Rule.ADMIN})
# The roles that a manager gives, takes and caps. Only an admin makes managers.
BELOW_MANAGER = frozenset({VIEWER, OPERATOR})


@dataclass(frozen=True)
class Row:
    """A URL. `about`: what its path names ("booking"), or nothing where it is about all accounts in view.

    `get` (which also is HEAD) and `post` are the rights that it takes; a method without one is answered 405.
    """

    about: str = ""
    get: Rule | None = None
    post: Rule | None = None

    def rule(self, method: str) -> Rule | None:
        return {"GET": self.get, "HEAD": self.get, "POST": self.post}.get(method)

    @property
    def is_public(self) -> bool:
        return Rule.PUBLIC in (self.get, self.post)


def _shows(about: str = "", rule: Rule = Rule.READ) -> Row:
    return Row(about, get=rule)


def _does(rule: Rule, about: str = "") -> Row:
    return Row(about, post=rule)


def _asks(rule: Rule, about: str = "") -> Row:
    """A page with a form that sends to the same URL."""
    return Row(about, get=rule, post=rule)


# By name of the URL; "admin:*" stands for a whole namespace.
ROWS: Mapping[str, Row] = {
    # Signing in, and what is about the person alone
    "login": _asks(Rule.PUBLIC),
    "account_login": _asks(Rule.PUBLIC),
    "mfa_authenticate": _asks(Rule.PUBLIC),
    "account_reset_password": _asks(Rule.PUBLIC),
    "account_reset_password_done": _shows(rule=Rule.PUBLIC),
    "account_reset_password_from_key": _asks(Rule.PUBLIC),
    "account_reset_password_from_key_done": _shows(rule=Rule.PUBLIC),
    "logout": _does(Rule.PUBLIC),
    "healthz": _shows(rule=Rule.PUBLIC),
    "metrics": _shows(rule=Rule.PUBLIC),  # for who has its token
    "join": _asks(Rule.PUBLIC),
    "choose-account": _does(Rule.SIGNED_IN),
    "settings": _asks(Rule.SIGNED_IN),
    "account_reauthenticate": _asks(Rule.SIGNED_IN),
    "mfa_reauthenticate": _asks(Rule.SIGNED_IN),
    "mfa_reauthenticate_webauthn": _asks(Rule.SIGNED_IN),
    "mfa_index": _shows(rule=Rule.SIGNED_IN),
    "second-factor-needed": _shows(rule=Rule.SIGNED_IN),
    "account_change_password": _asks(Rule.SIGNED_IN),
    "mfa_activate_totp": _asks(Rule.SIGNED_IN),
    "mfa_deactivate_totp": _asks(Rule.SIGNED_IN),
    "mfa_view_recovery_codes": _shows(rule=Rule.SIGNED_IN),
    "mfa_generate_recovery_codes": _asks(Rule.SIGNED_IN),
    "mfa_add_webauthn": _asks(Rule.SIGNED_IN),
    # A key or a session is the person's own, or it is not there for them.
    "mfa_edit_webauthn": _asks(Rule.SIGNED_IN),
    "mfa_remove_webauthn": _asks(Rule.SIGNED_IN),
    "end-session": _does(Rule.SIGNED_IN),
    "end-other-sessions": _does(Rule.SIGNED_IN),
    "news-about": _does(Rule.SIGNED_IN),
    "add-channel": _does(Rule.SIGNED_IN),
    "test-channel": _does(Rule.SIGNED_IN),
    "remove-channel": _does(Rule.SIGNED_IN),
    # Lists
    "overview": _shows(),
    "inbox": _shows(),
    "news": _shows(),
    "read": _does(Rule.READ),
    "read-all": _does(Rule.READ),
    "read-all-undo": _does(Rule.READ),
    "bookings": _shows(),
    "catalog": _shows(),
    "orders": _shows(),
    "purchases": _shows(),
    "sim-cards": _shows(),
    "status": _shows(),
    # Of a member what they did themselves, of the accounts with the right to ACTIVITY all.
    "activity": _shows(),
    "panel-activity": _shows(),
    "export-inbox": _asks(Rule.EXPORT),
    "panel-shell": _shows(),
    "panel-figures": _shows(),
    "panel-running": _shows(),
    "panel-newest": _shows(),
    "panel-inbox": _shows(),
    "panel-bookings": _shows(),
    "panel-catalog": _shows(),
    "panel-orders": _shows(),
    "panel-purchases": _shows(),
    "panel-sim-cards": _shows(),
    "panel-status": _shows(),
    "read-now": _does(Rule.ADMIN, "account"),
    # Catalogue and buying
    "product": _shows("product"),
    "panel-product": _shows("product"),
    "panel-sheet": _shows("product"),
    "favourite": _does(Rule.READ, "product"),
    "refresh-product": _does(Rule.READ, "product"),
    "order-product": Row("product", get=Rule.READ, post=Rule.BUY),
    "order": _shows("order"),
    "panel-order": _shows("order"),
    "purchase": _shows("purchase"),
    "panel-purchase": _shows("purchase"),
    "withdraw-purchase": _does(Rule.WITHDRAW, "purchase"),
    "doubtful": _shows(rule=Rule.DECIDE),
    "panel-doubtful": _shows(rule=Rule.DECIDE),
    "decide-purchase": _does(Rule.DECIDE, "purchase"),
    # Bookings
    "booking": _shows("booking"),
    "panel-booking": _shows("booking"),
    "panel-booking-hero": _shows("booking"),
    "booking-notes": _asks(Rule.ACT, "booking"),
    "booking-notes-shown": _shows("booking"),
    "booking-menu": _shows("booking", Rule.ACT),
    "extend-booking": _asks(Rule.BUY, "booking"),
    "reuse-booking": _asks(Rule.BUY, "booking"),
    "cancel-booking": _asks(Rule.ACT, "booking"),
    "renewal-booking": _asks(Rule.RENEW, "booking"),
    "renewal-of-all": _asks(Rule.RENEW_ALL, "account"),
    # People
    "members": _shows(rule=Rule.MEMBERS),
    "member": _asks(Rule.MEMBERS, "membership"),
    "remove-member": _asks(Rule.MEMBERS, "membership"),
    "invites": _asks(Rule.MEMBERS),
    "revoke-invite": _does(Rule.MEMBERS, "invite"),
    # Which itself knows what an admin may change; everything in it is for admins.
    "admin:*": _asks(Rule.ADMIN),
}


def row_of(view_name: str) -> Row | None:
    """The row of a URL by its name (`ResolverMatch.view_name`)."""
    return ROWS.get(view_name) or ROWS.get(view_name.partition(":")[0] + ":*")


def may(user: Any, rule: Rule, account_id: int | None = None, *, own: bool = False) -> bool:
    """Whether the person has this right: in the account, or without one in any of theirs.

    `own` tells that it is about an object of their own. `user` may be nobody (AnonymousUser). Asks what was read
    once for `user`: see `may_now`.
    """
    if rule == Rule.PUBLIC:
        return True
    if not (user.is_authenticated and user.is_active):
        return False
    if rule in (Rule.SIGNED_IN, Rule.ADMIN):
        return rule == Rule.SIGNED_IN or bool(user.is_superuser)
    if user.is_superuser and account_id is None:
        return True
    roles: dict[int, str] = user.roles
    held = roles.values() if account_id is None else [roles.get(account_id, "")]
    wanted = (Whose.ALL, Whose.OWN) if own else (Whose.ALL,)
    return any(PERMITTED[rule].get(role) in wanted for role in held)


def may_now(user: User, rule: Rule, account_id: int, *, own: bool = False) -> bool:
    """`may`, as the database says at this moment: for work that was asked for a while ago."""
    fresh = User.objects.filter(pk=user.pk).first()
    return fresh is not None and may(fresh, rule, account_id, own=own)


def people_with(rule: Rule, account_id: int) -> QuerySet[User]:
    """Who has this right on everything in the account; asked without a join, for a condition of an update."""
    roles = [role for role, whose in PERMITTED[rule].items() if whose == Whose.ALL]
    members = Membership.objects.filter(account=account_id, role__in=roles).values("user")
    return User.objects.filter(Q(pk__in=members) | Q(is_superuser=True), is_active=True)


def accounts_with(user: Any, rule: Rule) -> tuple[int, ...]:
    """Ids of the accounts in which the person has this right on everything."""
    return tuple(pk for pk in getattr(user, "roles", {}) if may(user, rule, pk))


def may_give(user: Any, role: str, account_id: int | None) -> bool:
    """Whether the person may make somebody this in the account, by invite or as a member: managers, and admins of all
    accounts, are made by admins alone."""
    if role in BELOW_MANAGER and account_id is not None:
        return may(user, Rule.MEMBERS, account_id)
    return may(user, Rule.ADMIN)


def may_set(user: Any, member: Membership) -> bool:
    """Whether the person may change this membership or take it away: an admin each, a manager those of others who are
    below manager (and no admins, whose rights hang on no membership)."""
    if may(user, Rule.ADMIN):
        return True
    theirs = member.user_id == user.pk or member.user.is_superuser
    return not theirs and may_give(user, member.role, member.account_id)
