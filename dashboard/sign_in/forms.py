"""allauth's forms with our field names, limits and sealing."""

from __future__ import annotations

import unicodedata
from typing import Any

from allauth.account.forms import ChangePasswordForm as AllauthChangePasswordForm
from allauth.account.forms import LoginForm
from allauth.account.internal.flows.login import perform_password_login
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as mfa_forms
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, generate_totp_secret
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from ..encryption import CannotUnseal, seal, unseal
from . import recording, second_factor
from .adapter import begin

KEY_NAME_LENGTH = 60


class SignInForm(LoginForm):
    """Fields in the page: `username`, `password`."""

    def add_prefix(self, field_name: str) -> str:
        return "username" if field_name == "login" else super().add_prefix(field_name)

    def clean_login(self) -> str:
        return unicodedata.normalize("NFKC", super().clean_login())

    def _login_with_password(
        self, request: HttpRequest, redirect_url: str | None, credentials: dict[str, Any]
    ) -> HttpResponse:
        """Without allauth's own end of the session: the adapter sets it."""
        self._login.redirect_url = redirect_url
        answer: HttpResponse = perform_password_login(request, credentials, self._login)
        return answer


class ChangePasswordForm(AllauthChangePasswordForm):
    def clean_oldpassword(self) -> str:
        """Guessing at an open session is limited as at the sign-in."""
        attempt = begin(context.request, "password", self.user)
        password: str = super().clean_oldpassword()
        attempt.succeeded()
        return password


class AddKeyForm(AddWebAuthnForm):
    name = forms.CharField(required=False, max_length=KEY_NAME_LENGTH)


class RenameKeyForm(EditWebAuthnForm):
    name = forms.CharField(max_length=KEY_NAME_LENGTH)


class _CodeLimits:
    user: Any
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        attempt = begin(context.request, "code", self.user)
        try:
            found = second_factor.check_code(self.user, code)
        except CannotUnseal:
            raise ValidationError(
                _("The second factor cannot be read: FIELD_KEYS was changed. Tell your admin.")
            ) from None
        if found is None:
            recording.note(context.request, "sign_in.failed", self.user, {"by": "code"})
            raise get_adapter().validation_error("incorrect_code")
        attempt.succeeded()
        found.user = self.user
        self.authenticator = found
        return code


class CodeForm(_CodeLimits, mfa_forms.AuthenticateForm):
    """The code of the app, or a recovery code, at the sign-in."""


class ConfirmCodeForm(_CodeLimits, mfa_forms.ReauthenticateForm):
    """The same, to say once more that it is you."""


class AppForm(ActivateTOTPForm):
    """Sets up the app. Until it is done the secret lies in the session, sealed: sessions are rows like others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.user = kwargs.pop("user")
        forms.Form.__init__(self, *args, **kwargs)
        session, about = context.request.session, f"app of person {self.user.pk}"
        kept = session.get(SECRET_SESSION_KEY) if self.is_bound else None
        try:
            self.secret = unseal(kept, about) if kept else generate_totp_secret()
        except CannotUnseal:
            self.secret, kept = generate_totp_secret(), None
        if not kept:
            session[SECRET_SESSION_KEY] = seal(self.secret, about)
