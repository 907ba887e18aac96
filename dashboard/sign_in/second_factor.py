"""Second factors: who needs one, and whether a code is right."""

from __future__ import annotations

import time
from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import settings
from django.db import transaction

from ..models import Membership, User

Type = Authenticator.Type
# Recovery codes alone are no factor: they stand in for one.
FACTORS = (Type.TOTP, Type.WEBAUTHN)
PERIOD = 30  # seconds; what every app does
LAST_STEP = "last_step"


def is_required_of(person: User) -> bool:
    """Managers and admins, where MFA_REQUIRED says so."""
    return settings.MFA_REQUIRED and (person.is_superuser or Membership.Role.MANAGER in person.roles.values())


def is_missing(person: User) -> bool:
    """Whether the person may do nothing but set up a second factor."""
    return is_required_of(person) and not factors_of(person).exists()


def factors_of(person: User) -> Any:
    return Authenticator.objects.filter(user=person, type__in=FACTORS)


def is_last_needed(authenticator: Authenticator) -> bool:
    """Whether taking this factor away would leave a person without one who needs one."""
    others = factors_of(authenticator.user).exclude(pk=authenticator.pk)
    return authenticator.type in FACTORS and is_required_of(authenticator.user) and not others.exists()


@transaction.atomic
def check_code(person: User, code: str) -> Authenticator | None:
    """The factor that `code` is right for: the app's six digits or a recovery code. Each code counts once.

    Raises encryption.CannotUnseal when no field key opens the secret.
    """
    mine = Authenticator.objects.select_for_update().filter(user=person, type__in=(Type.TOTP, Type.RECOVERY_CODES))
    for factor in sorted(mine, key=lambda factor: factor.type != Type.TOTP):
        if _uses_step(factor, code) if factor.type == Type.TOTP else factor.wrap().validate_code(code):
            factor.refresh_from_db()
            return factor
    return None


def _uses_step(factor: Authenticator, code: str) -> bool:
    """Whether the code is the app's, for a half minute that no code was used of yet (RFC 6238, 5.2).

    allauth remembers used codes in a cache for one step, which is shorter than they are taken, and may be lost.
    """
    secret = get_adapter().decrypt(factor.data["secret"])
    now = int(time.time()) // PERIOD
    for step in range(now - settings.MFA_TOTP_TOLERANCE, now + settings.MFA_TOTP_TOLERANCE + 1):
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, step))):
            if step <= factor.data.get(LAST_STEP, 0):
                return False
            factor.data[LAST_STEP] = step
            factor.save(update_fields=["data"])
            return True
    return False
