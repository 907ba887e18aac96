"""The pages before and around a session: sign-in, its second step, "confirm it's you", a forgotten password."""

from __future__ import annotations

from typing import Any

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.webauthn.views import ReauthenticateWebAuthnView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from ..sign_in import recording, sessions
from ..sign_in.adapter import begin


class Limited:
    """For a form view: a try that came too early is answered 429, and says when the next one may come."""

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        errors = [error for found in form.errors.as_data().values() for error in found]
        if waits := [error.params["seconds"] for error in errors if error.code == "wait"]:
            response.status_code = 429
            response.headers["Retry-After"] = str(max(waits))
        return response


class SignIn(Limited, account.LoginView):
    extra_context = {"mail": settings.MAIL_IS_SET_UP}


class SecondStep(Limited, mfa.AuthenticateView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        types = {factor.type for factor in self.stage.login.user.authenticator_set.all()}
        more = {"types": types, "recovery": "recovery" in self.request.GET}
        return dict(super().get_context_data(**kwargs)) | more


class Confirm(Limited, account.ReauthenticateView):
    """By the password."""


class ConfirmByCode(Limited, mfa.ReauthenticateView):
    """By the app or a recovery code."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return dict(super().get_context_data(**kwargs)) | {"recovery": "recovery" in self.request.GET}


class ConfirmByKey(ReauthenticateWebAuthnView):
    def form_invalid(self, form: Any) -> HttpResponse:
        messages.error(self.request, _("The security key was not accepted. Try again."))
        return HttpResponseRedirect(self.request.get_full_path(), status=303)


class AskReset(Limited, account.PasswordResetView):
    """Says the same whether somebody has this address or not. Without a mail server it says whom to ask."""

    extra_context = {"mail": settings.MAIL_IS_SET_UP}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.MAIL_IS_SET_UP:
            raise Http404
        answer: HttpResponse = super().post(request, *args, **kwargs)
        return answer

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            begin(self.request, "reset", None, form.cleaned_data["email"])
        except ValidationError as error:
            form.add_error(None, error)
            return self.form_invalid(form)
        answer: HttpResponse = super().form_valid(form)
        return answer


class NewPassword(account.PasswordResetFromKeyView):
    """The page of a link for a forgotten password."""

    def form_valid(self, form: Any) -> HttpResponse:
        answer: HttpResponse = super().form_valid(form)
        # Whoever knew the old password may have sessions open. They are over with it; their rows go too.
        sessions.end_sessions(self.reset_user)
        return answer


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Also for who has given the password and not yet the code: they start over."""
    if request.user.is_authenticated:
        recording.note(request, "sign_out", request.user)
        sessions.forget(request.session.session_key)
    logout(request)
    return HttpResponseRedirect(settings.LOGOUT_REDIRECT_URL)
