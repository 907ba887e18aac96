from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from .. import audit
from ..models import Membership


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    verbose_name_plural = "Memberships: who may do what in which account"


class RecordsMemberships:
    """For the admin of a page with `MembershipInline`: notes each membership that is given, changed or taken."""

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)  # type: ignore[misc]
        if formset.model is not Membership:
            return
        changes = [("membership.given", member) for member in formset.new_objects]
        changes += [("membership.changed", member) for member, _ in formset.changed_objects]
        changes += [("membership.taken", member) for member in formset.deleted_objects]
        for action, member in changes:
            audit.record(request, action, member, {"person": member.user.username, "role": member.role})
