"""Members: who may do what in the accounts that a manager looks after, with roles, caps, and taking them out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from .. import audit
from ..access_rules import may_give, may_set
from ..models import Account, Membership, Purchase
from ..models.purchases import day_start
from ..sign_in.fresh import confirm_first, fresh
from .access import accounts_in_view, membership_for
from .answering import done

OVERTAKEN = gettext_lazy("Somebody else changed this membership a moment ago. Nothing was changed; look again.")
asking_and_acting = require_http_methods(["GET", "HEAD", "POST"])
# What a role may do, for who gives it.
MAY = {
    Membership.Role.VIEWER: gettext_lazy("reads everything of the account"),
    Membership.Role.OPERATOR: gettext_lazy("also orders, extends, cancels and writes notes, within the caps"),
    Membership.Role.MANAGER: gettext_lazy("also settles purchases, exports, and looks after the members"),
}


class MemberForm(forms.ModelForm):
    """Role and daily cap, of the roles that the person who edits may give."""

    class Meta:
        model = Membership
        fields = ("role", "daily_cap_usd")

    def __init__(self, editor: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = [role for role in Membership.Role.choices if may_give(editor, role[0], self.instance.account_id)]
        self.fields["role"] = forms.ChoiceField(choices=given)
        self.fields["daily_cap_usd"] = forms.DecimalField(min_value=0, max_digits=10, decimal_places=2, required=False)


@require_safe
def members(request: HttpRequest) -> HttpResponse:
    """The members of the accounts in view, with what each has spent today. Four queries, whatever there is."""
    accounts = list(Account.objects.filter(pk__in=accounts_in_view(request)).only("name", "daily_cap_usd"))
    found = Membership.objects.filter(account__in=accounts, user__is_active=True).select_related("user")
    spent = _spent_today(request)
    rows: dict[int, list[dict[str, Any]]] = {account.pk: [] for account in accounts}
    for member in found.order_by("user__username"):
        row = {
            "member": member,
            "spent": spent.get((member.account_id, member.user_id)),
            "may_set": may_set(request.user, member),
        }
        rows[member.account_id].append(row)
    return render(
        request,
        "dashboard/members.html",
        {"accounts": [(account, rows[account.pk]) for account in accounts], "roles": _roles()},
    )


@asking_and_acting
def member(request: HttpRequest, pk: int) -> HttpResponse:
    """Role and cap of one member. POST: the fields of MemberForm; status 422 with what was typed, when one is wrong."""
    found = _to_set(request, pk)
    if not fresh(request):
        return confirm_first(request)
    before = {"role": found.role, "daily_cap_usd": found.daily_cap_usd}
    form = MemberForm(request.user, request.POST if request.method == "POST" else None, instance=found)
    if request.method != "POST" or not form.is_valid():
        context = {"member": found, "form": form, "roles": _roles()}
        return render(request, "dashboard/member.html", context, status=422 if form.errors else 200)
    name, changed = found.user.username, sorted(form.changed_data)
    if changed:
        with transaction.atomic():
            # Only from what was checked: an admin may have made a manager of them a moment ago.
            if not Membership.objects.filter(pk=pk, role=before["role"]).update(**form.cleaned_data):
                return done(request, reverse("members"), str(OVERTAKEN), "bad")
            details = {field: [_plain(before[field]), _plain(form.cleaned_data[field])] for field in changed}
            told = {"person": name, **details}
            audit.note(request, "membership.changed", told, subject=found.user, account_id=found.account_id)
    return done(request, reverse("members"), _("Saved for %(name)s.") % {"name": name})


@asking_and_acting
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then take the person out of the account. What they did there stays on record."""
    found = _to_set(request, pk)
    if not fresh(request):
        return confirm_first(request)
    if request.method != "POST":
        return render(request, "dashboard/member_remove.html", {"member": found})
    name = found.user.username
    with transaction.atomic():
        if not Membership.objects.filter(pk=pk, role=found.role).delete()[0]:
            return done(request, reverse("members"), str(OVERTAKEN), "bad")
        told = {"person": name, "role": found.role}
        audit.note(request, "membership.taken", told, subject=found.user, account_id=found.account_id)
    return done(
        request,
        reverse("members"),
        _("%(name)s is no member of %(account)s any more.") % {"name": name, "account": found.account.name},
    )


def _spent_today(request: HttpRequest) -> dict[tuple[int, int], Decimal]:
    """USD that count against today's caps, by account and person. One query."""
    today = Purchase.objects.of_accounts(accounts_in_view(request)).filter(created_at__gte=day_start(timezone.now()))
    sums = today.counted().order_by().values_list("account_id", "requested_by_id")
    spent = sums.annotate(spent=Sum(Coalesce("charged_usd", "price_usd")))
    return {(account, person): usd for account, person, usd in spent}


def _to_set(request: HttpRequest, pk: int) -> Membership:
    found = membership_for(request, pk)
    if not may_set(request.user, found):
        raise PermissionDenied
    return found


def _roles() -> list[tuple[str, str]]:
    return [(str(role.label), str(MAY[role])) for role in Membership.Role]


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
