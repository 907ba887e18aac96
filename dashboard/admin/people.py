from __future__ import annotations

from typing import Any

from allauth.account.admin import EmailAddress
from allauth.mfa.admin import Authenticator
from allauth.usersessions.admin import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import ReadOnlyPasswordHashWidget, UserChangeForm, UserCreationForm
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from .. import audit
from ..local_time import zone_named
from ..models import User
from ..sign_in import sessions
from .memberships import MembershipInline, RecordsMemberships

# What a person may do is said by their memberships; a second system of rights would only seem to do something.
admin.site.unregister(Group)
# What allauth keeps of people has its own pages, for each person alone; secrets are in it.
for _model in (EmailAddress, Authenticator, UserSession):
    admin.site.unregister(_model)


class PasswordLine(ReadOnlyPasswordHashWidget):
    """Whether there is a password and the way to a new one; how it is hashed helps nobody who reads the page."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        usable = bool(value) and is_password_usable(value)
        return {**super().get_context(name, value, attrs), "summary": [{"label": _("Set") if usable else _("Not set")}]}


class PersonForm(UserChangeForm):
    """A person as an admin edits them. There is always an admin left, and nobody shuts themselves out."""

    editor: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].widget = PasswordLine()
        self.fields["is_active"].help_text = _("May sign in. Switched off, a person is out at once.")
        self.fields["is_superuser"].label = _("Admin")
        self.fields["is_superuser"].help_text = _("Keeps people, accounts and keys, and sees every account.")

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"]
        if name and zone_named(name) is None:
            raise forms.ValidationError(_("There is no such time zone. An example: Europe/Berlin."))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        stays = cleaned.get("is_active") and cleaned.get("is_superuser")
        was = self.instance.pk and User.objects.filter(pk=self.instance.pk, is_active=True, is_superuser=True).exists()
        if was and not stays:
            if self.instance.pk == self.editor.pk:
                raise forms.ValidationError(_("You cannot take the admin's rights from yourself. Another admin can."))
            if not User.objects.filter(is_active=True, is_superuser=True).exclude(pk=self.instance.pk).exists():
                raise forms.ValidationError(_("There must be at least one active admin."))
        return cleaned


@admin.register(User)
class PersonAdmin(RecordsMemberships, UserAdmin):
    form = PersonForm
    add_form = UserCreationForm
    inlines = [MembershipInline]
    list_display = ("username", "first_name", "last_name", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser")
    readonly_fields = ("last_login", "date_joined")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email", "time_zone", "language", "theme")}),
        (
            _("Access"),
            {
                "fields": ("is_active", "is_superuser"),
                "description": _("People are not deleted: what they did stays on record. Switch them off instead."),
            },
        ),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("username", "password1", "password2", "is_superuser")}),)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.editor = request.user
        return form

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        obj.is_staff = obj.is_superuser
        super().save_model(request, obj, form, change)
        if not obj.is_active:
            # Switched on again, they sign in anew.
            sessions.end_sessions(obj)
        fields = [name for name in form.changed_data if "password" not in name]
        if not change:
            audit.record(request, "user.created", obj, {"is_superuser": obj.is_superuser})
        elif fields:
            values = {name: getattr(obj, name) for name in ("is_active", "is_superuser") if name in fields}
            audit.record(request, "user.changed", obj, {"fields": fields, **values})

    @transaction.atomic
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        response: HttpResponse = super().user_change_password(request, id, form_url)
        person = self.get_object(request, id)
        if request.method == "POST" and response.status_code == 302 and person is not None:
            audit.record(request, "user.password_set", person)
        return response
