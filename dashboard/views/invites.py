"""Invites: a link that makes one new member. There is no other way to sign up (issue 5)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import BaseUserCreationForm
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from .. import audit
from ..access_rules import Rule, accounts_with, may, may_give
from ..models import Account, Invite, Membership, User
from ..sign_in.entering import enter
from ..sign_in.fresh import confirm_then_go_on, fresh
from .answering import done

Role = Membership.Role
RANK = (Role.VIEWER, Role.OPERATOR, Role.MANAGER)
# What an invited person reads about the role.
MAY = {
    Role.VIEWER: gettext_lazy("You may read everything of this account."),
    Role.OPERATOR: gettext_lazy("You may also order numbers, extend and cancel them."),
    Role.MANAGER: gettext_lazy("You may also settle purchases, export, and look after the members."),
    Invite.ADMIN: gettext_lazy("You keep people, accounts and API keys, and see every account."),
}
WELCOME = gettext_lazy(
    "Welcome, you are in. Set up a second factor now, an app or a security key: it keeps others out even if they learn "
    "your password."
)
asking_and_acting = require_http_methods(["GET", "HEAD", "POST"])


class InviteForm(forms.Form):
    """Whom to invite to what: an admin to anything, a manager to roles below their own."""

    account = forms.ModelChoiceField(Account.objects.none(), empty_label=None)
    role = forms.ChoiceField()
    daily_cap_usd = forms.DecimalField(
        label=gettext_lazy("Cap per day (USD)"), min_value=0, max_digits=10, decimal_places=2, required=False
    )
    label = forms.CharField(label=gettext_lazy("For whom"), max_length=80, required=False)

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        managed = accounts_with(user, Rule.MEMBERS)
        self.fields["account"].queryset = Account.objects.filter(pk__in=managed)  # type: ignore[attr-defined]
        self.fields["account"].required = not may(user, Rule.ADMIN)
        roles: list[tuple[str, str]] = [(Role.VIEWER, _("Viewer")), (Role.OPERATOR, _("Operator"))]
        if may(user, Rule.ADMIN):
            roles += [(Role.MANAGER, _("Manager")), (Invite.ADMIN, _("Admin of all accounts"))]
        self.fields["role"].choices = roles  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("role") == Invite.ADMIN:
            cleaned["account"] = cleaned["daily_cap_usd"] = None
        elif not cleaned.get("account") and "account" not in self.errors:
            self.add_error("account", _("Choose the account."))
        return cleaned


class JoinForm(BaseUserCreationForm):
    """Name and password of a new person, and where a link goes should they forget it."""

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email")

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(_("Somebody has this user name already. Choose another one."))
        return name


@asking_and_acting
def invites(request: HttpRequest) -> HttpResponse:
    """Who is invited, and inviting: for managers and admins; others get 404. POST: the fields of InviteForm.

    The answer to a POST shows the link, this once.
    """
    user = _inviter(request)
    if request.method == "POST" and not fresh(request):
        return confirm_then_go_on(request)
    form = InviteForm(user, request.POST or None)
    link, made = "", None
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            made, token = Invite.make(invited_by=user, **form.cleaned_data)
            details = {"person": made.label, "role": made.role}
            audit.record(request, "member.invited", made, details)
        link = request.build_absolute_uri(reverse("join", args=[token]))
        form = InviteForm(user)
    context = {"form": form, "link": link, "made": made, "open": _open_to(user)}
    return render(request, "dashboard/invites.html", context, status=422 if form.errors else 200)


@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an open invite back: its link stops working at once."""
    user = _inviter(request)
    invite = next((each for each in _open_to(user) if each.pk == pk), None)
    if invite is None:
        raise Http404
    with transaction.atomic():
        if Invite.objects.open().filter(pk=pk).update(revoked_at=timezone.now()):
            audit.record(request, "member.uninvited", invite, {"person": invite.label, "role": invite.role})
    return done(request, reverse("invites"), _("The invite is taken back."))


@sensitive_post_parameters()
@login_not_required
@asking_and_acting
def join(request: HttpRequest, token: str) -> HttpResponse:
    """The link: says who invites to what, then makes the new person, or a member of who is signed in already."""
    invite = Invite.objects.behind(token)
    # A link is worth no more than the person behind it is today.
    if invite is None or not may_give(invite.invited_by, invite.role, invite.account_id):
        return render(request, "dashboard/join_over.html", status=404)
    user = request.user if isinstance(request.user, User) else None
    form = JoinForm(request.POST if request.method == "POST" and user is None else None)
    context = {"invite": invite, "may": MAY[invite.role], "form": form, "is_admin": invite.role == Invite.ADMIN}
    if request.method != "POST":
        return render(request, "dashboard/join.html", context)
    if user is None and not form.is_valid():
        return render(request, "dashboard/join.html", context, status=422)
    try:
        taken = _take(request, invite, user, form)
    except IntegrityError:
        form.add_error("username", _("Somebody has just taken this user name. Choose another one."))
        return render(request, "dashboard/join.html", context, status=422)
    if not taken:
        return render(request, "dashboard/join_over.html", status=404)
    if user is not None:
        return HttpResponseRedirect(reverse("overview"), status=303)
    return done(request, reverse("mfa_index"), str(WELCOME))


def _take(request: HttpRequest, invite: Invite, user: User | None, form: JoinForm) -> bool:
    """Make the person and the membership, and use the invite up: all of it, or nothing where it was used meanwhile."""
    with transaction.atomic():
        joined: User = user or form.save()
        if not Invite.objects.take(invite, joined):
            transaction.set_rollback(True)
            return False
        _admit(joined, invite)
        if user is None:
            enter(request, joined)
        audit.record(request, "member.joined", invite, {"person": joined.username, "role": invite.role})
    return True


def _admit(user: User, invite: Invite) -> None:
    """Give what the invite promises; who may do more already keeps it."""
    if invite.account is None:
        User.objects.filter(pk=user.pk).update(is_superuser=True, is_staff=True)
        return
    values = {"role": invite.role, "daily_cap_usd": invite.daily_cap_usd}
    member, new = Membership.objects.get_or_create(user=user, account=invite.account, defaults=values)
    if not new and RANK.index(member.role) < RANK.index(invite.role):
        Membership.objects.filter(pk=member.pk).update(**values)


def _inviter(request: HttpRequest) -> User:
    """The signed-in person, who may invite to something, as the URL's row says."""
    user = request.user
    if not isinstance(user, User):
        raise Http404
    return user


def _open_to(user: User) -> list[Invite]:
    """The open invites that the person may see and take back, newest first."""
    rows = Invite.objects.open().select_related("account", "invited_by").order_by("-created_at")
    if not may(user, Rule.ADMIN):
        rows = rows.filter(account__in=accounts_with(user, Rule.MEMBERS))
    return list(rows[:200])
