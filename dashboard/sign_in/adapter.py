"""allauth's hooks: our words, our limits, our sealing, and no open sign-up."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import unstash_login
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import encryption
from ..client_address import address_of
from ..models import User
from . import limits, recording, second_factor
from .fresh import fresh
from .sessions import TRACKED

logger = logging.getLogger(__name__)
NO_ADDRESS = "0.0.0.0"  # noqa: S104 (stored for a connection without an address, never bound)

# What allauth's notices are called here; one that is not in this list is not shown.
NOTICES = {
    "account/messages/password_changed.txt": _("Your password is changed. Your other sessions have ended."),
    "mfa/messages/totp_activated.txt": _("Your authenticator app is set up."),
    "mfa/messages/totp_deactivated.txt": _("Your authenticator app is removed."),
    "mfa/messages/webauthn_added.txt": _("Your security key is added."),
    "mfa/messages/webauthn_removed.txt": _("Your security key is removed."),
}


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": _("The user name or the password is wrong."),
        "incorrect_password": _("That is not your password."),
        "enter_current_password": _("That is not your password."),
        "invalid_password_reset": _("This link was used already or is too old. Ask for a new one."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never: people are made by an admin, or come by an invite, which makes the person itself."""
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """The person, or None. Raises ValidationError with the code "wait" when it comes too early."""
        name = str(credentials["username"])
        known = User.objects.filter(username=name).first()
        attempt = begin(request, "password", known, name)
        user = authenticate(request, **credentials)
        if not isinstance(user, User):
            recording.note(request, "sign_in.failed", known, {"by": "password"})
            return None
        attempt.succeeded()
        return user

    def reauthenticate(self, user: Any, password: str) -> bool:
        found = self.authenticate(context.request, username=user.get_username(), password=password)
        if found is None or found.pk != user.pk:
            return False
        recording.note(context.request, "sign_in.confirmed", found)
        return True

    def login(self, request: HttpRequest, user: Any) -> None:
        super().login(request, user)
        # An end of its own: what a page saves in the session later does not put it off.
        request.session.set_expiry(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))
        request.session[TRACKED] = True

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        limits.remember_place(request, response, user)
        return response

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """A sign-in a moment ago counts too; allauth would ask for the same password again."""
        return not fresh(context.request)

    def is_safe_url(self, url: str | None) -> bool:
        """Only back to the very host that was asked; ALLOWED_HOSTS may name others."""
        request = context.request
        return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())

    def is_ajax(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request) or NO_ADDRESS

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        message_context: Any = None,
        extra_tags: str = "",
        message: str | None = None,
    ) -> None:
        if text := message or NOTICES.get(message_template or ""):
            messages.add_message(request, level, text)

    def get_login_stages(self) -> list[str]:
        return ["allauth.mfa.stages.AuthenticateStage"]

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        """Somebody switched off while signing in."""
        return HttpResponseRedirect(reverse("account_login"))

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("mfa_index")

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In a thread of its own: how long a mail server takes must not tell that there was somebody to write to.

        Not by a worker: the link in it would lie in the queue.
        """
        mail = self.render_mail(template_prefix, email, context)
        threading.Thread(target=_send, args=(mail,), daemon=True).start()


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets are sealed by the field keys and bound to their person (encryption.py)."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": _("That code is not right. Codes change every half minute; type the newest one."),
        "cannot_delete_authenticator": _("You need a second factor. Add another one first, then remove this one."),
    }

    def encrypt(self, text: str) -> str:
        return encryption.seal(text, _sealing_context())

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.unseal(encrypted_text, _sealing_context())

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not second_factor.is_last_needed(authenticator)

    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:  # noqa: A002 (allauth's name)
        count = Authenticator.objects.filter(user=user, type=type).count()
        return gettext("Security key") + (f" {count + 1}" if count else "")

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """The record of deeds tells of it."""


def begin(request: HttpRequest, kind: str, person: User | None, name: str = "") -> limits.Attempt:
    """limits.begin for a form: raises ValidationError with the code "wait"."""
    try:
        return limits.begin(request, kind, person, name)
    except limits.Refused as refused:
        if refused.first:
            recording.note(request, "sign_in.limited", person, {"by": kind, "seconds": refused.seconds})
        raise ValidationError(str(refused), code="wait", params={"seconds": refused.seconds}) from None


def _sealing_context() -> str:
    """Whose second factor the request is about: who is signed in, or who is on the way."""
    request = context.request
    login = None if request.user.is_authenticated else unstash_login(request, peek=True)
    person = login.user if login else request.user
    return f"second factor of person {person.pk}"


def _send(mail: EmailMessage) -> None:
    try:
        mail.send()
    except OSError as error:  # smtplib's errors are OSErrors; their text may quote the address
        logger.error("A mail could not be sent: %s", type(error).__name__)
