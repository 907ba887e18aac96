"""Settings, security: the person's own password, second factors, recovery codes and sessions."""

from __future__ import annotations

from typing import Any

from allauth.account.views import PasswordChangeView
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.views import ActivateTOTPView
from allauth.mfa.webauthn import views as webauthn
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from ..models import User
from ..sign_in import recording, second_factor, sessions
from ..sign_in.devices import device_words
from .answering import done
from .sign_in import Limited

HERE = reverse_lazy("mfa_index")


@require_safe
def security(request: HttpRequest) -> HttpResponse:
    person = _person(request)
    factors = list(Authenticator.objects.filter(user=person).order_by("created_at"))
    by_type: dict[str, list[Authenticator]] = {}
    for factor in factors:
        by_type.setdefault(factor.type, []).append(factor)
    codes = by_type.get(second_factor.Type.RECOVERY_CODES)
    context = {
        "app": next(iter(by_type.get(second_factor.Type.TOTP, [])), None),
        "keys": by_type.get(second_factor.Type.WEBAUTHN, []),
        "codes_left": _codes_left(codes[0]) if codes else None,
        "required": second_factor.is_required_of(person),
        "sessions": sessions.open_sessions(request, person),
    }
    return render(request, "dashboard/security.html", context)


@require_safe
def needed(request: HttpRequest) -> HttpResponse:
    """Where managers and admins without a second factor are led until they have one."""
    if not second_factor.is_missing(_person(request)):
        return HttpResponseRedirect(HERE)
    return render(request, "dashboard/second_factor_needed.html")


@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    person = _person(request)
    ended = sessions.end_session(person, pk) if pk < 2**63 else None
    if ended is None:
        raise Http404
    device = device_words(ended.user_agent)
    recording.note(request, "session.ended", person, {"device": device, "place": ended.ip})
    if ended.session_key == request.session.session_key:
        request.session.flush()
        return HttpResponseRedirect(reverse("login"), status=303)
    return done(request, reverse("mfa_index"), _("The session with %(device)s has ended.") % {"device": device})


@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    person = _person(request)
    count = sessions.end_sessions(person, but=request.session.session_key)
    if count:
        recording.note(request, "session.ended", person, {"count": count})
    words = _("All your other sessions have ended.") if count else _("There was no other session.")
    return done(request, reverse("mfa_index"), words)


class ChangePassword(Limited, PasswordChangeView):
    """Ends the other sessions; this one goes on."""


class Framed:
    """For who has to set up a second factor before all else: without the frame, which shows and polls the rest."""

    request: HttpRequest

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        first = second_factor.is_missing(_person(self.request))
        context = dict(super().get_context_data(**kwargs))  # type: ignore[misc]
        return context | {"first": first, "frame": "base_bare.html" if first else "base.html"}


class SetUpApp(Framed, ActivateTOTPView):
    def form_valid(self, form: Any) -> HttpResponse:
        answer: HttpResponse = super().form_valid(form)
        # The code that set it up has counted with this: it does not sign anybody in as well.
        second_factor.check_code(_person(self.request), form.cleaned_data["code"])
        return answer


class AddKey(Framed, webauthn.AddWebAuthnView):
    pass


class RenameKey(webauthn.EditWebAuthnView):
    success_url = HERE


class RemoveKey(webauthn.RemoveWebAuthnView):
    success_url = HERE

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return dict(super().get_context_data(**kwargs)) | {"needed": second_factor.is_last_needed(self.get_object())}

    def form_valid(self, form: Any) -> HttpResponse:
        if second_factor.is_last_needed(self.get_object()):
            messages.error(self.request, _("You need a second factor. Add another one first, then remove this one."))
            return HttpResponseRedirect(HERE, status=303)
        answer: HttpResponse = super().form_valid(form)
        return answer


def _person(request: HttpRequest) -> User:
    person = request.user
    assert isinstance(person, User)  # noqa: S101 (the middleware lets nobody else in)
    return person


def _codes_left(factor: Authenticator) -> int:
    return len(factor.wrap().get_unused_codes())
