"""What people choose for themselves: name, mail address, time zone, language, theme, what they are told of. For
everybody who is signed in."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from .. import audit
from ..languages import remember, switch_to
from ..local_time import zone_named
from ..models import AlertChannel, User
from ..sign_in.fresh import confirm_then_go_on, fresh
from .answering import done

THEME_COOKIE_AGE = 365 * 86_400


class PersonalForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "time_zone", "language", "theme")

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"]
        if name and zone_named(name) is None:
            raise forms.ValidationError(_("There is no such time zone. Choose one of the list."))
        return name


@require_http_methods(["GET", "HEAD", "POST"])
def personal(request: HttpRequest) -> HttpResponse:
    """The page, and saving it. POST: the fields of PersonalForm. Status 422 with what was typed, when one is wrong."""
    user = User.objects.get(pk=request.user.pk or 0)
    form = PersonalForm(request.POST or None, instance=user)
    if request.method != "POST" or not form.is_valid():
        return page(request, form)
    # Where the link for a forgotten password goes: whoever finds an open page must not have it sent to themselves.
    if "email" in form.changed_data and not fresh(request):
        return confirm_then_go_on(request)
    _save(request, form)
    switch_to(request, user.language)
    response = done(request, reverse("settings"), _("Saved."))
    remember(request, response, user.language)
    _remember_theme(request, response, user.theme)
    return response


def page(request: HttpRequest, form: Any, **refused: str) -> HttpResponse:
    """The page with its forms; `refused`: what was typed for a channel of alerts, and why it is not taken."""
    context = {
        "form": form,
        "zones": zones(),
        "languages": User.Language.choices,
        "themes": User.Theme.choices,
        "channels": _channels(request),
        **refused,
    }
    return render(request, "dashboard/settings.html", context, status=422 if form.errors or refused else 200)


def _channels(request: HttpRequest) -> list[dict[str, Any]]:
    """Never the address, which may hold a password."""
    channels = AlertChannel.objects.filter(user=request.user.pk).defer("sealed_address")
    return [
        {"pk": each.pk, "name": each.name, "verdict": each.verdict, "verdict_at": each.verdict_at} for each in channels
    ]


@lru_cache(maxsize=1)
def zones() -> list[tuple[str, list[tuple[str, str]]]]:
    """Names of time zones by region: ("Europe", [("Europe/Berlin", "Berlin"), …])."""
    names = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    regions = groupby(names, key=lambda name: name.partition("/")[0])
    return [("UTC", [("UTC", "UTC")])] + [
        (region, [(name, name.partition("/")[2].replace("_", " ")) for name in of_region])
        for region, of_region in regions
    ]


def _save(request: HttpRequest, form: Any) -> None:
    if not form.changed_data:
        return
    with transaction.atomic():
        form.instance.save(update_fields=form.changed_data)
        audit.record(request, "user.own_settings", form.instance, {"fields": sorted(form.changed_data)})


def _remember_theme(request: HttpRequest, response: HttpResponse, theme: str) -> None:
    """The switch in the header writes a cookie of this device, which goes before the person's choice: it must agree."""
    response.set_cookie("theme", theme, max_age=THEME_COOKIE_AGE, samesite="Lax", secure=request.is_secure())
