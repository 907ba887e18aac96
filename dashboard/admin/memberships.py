from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import DecimalField, Field, ForeignKey, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .. import audit
from ..models import Membership


def not_negative(db_field: Field[Any, Any]) -> dict[str, Any]:
    """Options of the form field: sums of money are not below nothing."""
    return {"min_value": 0} if isinstance(db_field, DecimalField) else {}


class MembershipForms(BaseInlineFormSet):
    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if "DELETE" in form.fields:
            form.fields["DELETE"].label = _("Take it away")


class MembershipInline(admin.StackedInline):
    model = Membership
    formset = MembershipForms
    extra = 0
    verbose_name_plural = _("Memberships: who may do what in which account")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user", "account")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The other side of the membership, the role and the cap, in one line."""
        own = self.parent_model._meta.model_name
        other = "account" if own == "user" else "user"
        return [(None, {"fields": ((other, "role", "daily_cap_usd"),)})]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs, **not_negative(db_field))
        if isinstance(db_field, ForeignKey):
            # Asked for once, not again by each row.
            field.choices = list(field.choices)
            for way in ("add", "change", "delete", "view"):
                setattr(field.widget, f"can_{way}_related", False)
        return field


class RecordsMemberships:
    """For the admin of a page with `MembershipInline`: notes each membership that is given, changed or taken."""

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)  # type: ignore[misc]
        if formset.model is not Membership:
            return
        changes = [("membership.given", member) for member in formset.new_objects]
        changes += [("membership.changed", member) for member, _fields in formset.changed_objects]
        changes += [("membership.taken", member) for member in formset.deleted_objects]
        # In the order of the accounts, as audit.py asks; listed under the person whom it is about.
        for action, member in sorted(changes, key=lambda change: change[1].account_id):
            audit.note(request, action, _details(member), subject=member.user, account_id=member.account_id)


def _details(member: Membership) -> dict[str, Any]:
    cap = {} if member.daily_cap_usd is None else {"daily_cap_usd": str(member.daily_cap_usd)}
    return {"person": member.user.username, "role": member.role, **cap}
