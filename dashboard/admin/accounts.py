from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from .. import audit, tasks, wording
from ..dispatch import enqueue
from ..live import topics
from ..models import Account
from ..models.accounts import default_base_url
from ..sayings import said
from ..sync.schedule import ensure_states, read_all_now
from ..sync.single import check_base_url
from ..views import asking
from .memberships import MembershipInline, RecordsMemberships, not_negative

SPENDING = ("spending_stopped", "order_cap_usd", "daily_cap_usd", "low_balance_usd")
KEEPING = ("sms_kept_days",)
VERDICT = "admin/dashboard/account/_key_verdict.html"


class AccountForm(forms.ModelForm):
    """An account as an admin edits it. The key goes in and never comes out again, not even after an error."""

    # Written out: for a column with a computed default Django would trust a hidden field to say what it was before.
    base_url = forms.CharField(
        label=gettext_lazy("Base URL"),
        max_length=200,
        initial=default_base_url,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=gettext_lazy("Where the API is. https, or http for a server of your own."),
    )
    api_key = forms.CharField(
        label=gettext_lazy("API key"),
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        error_messages={"max_length": gettext_lazy("An API key has at most %(limit_value)d characters.")},
    )

    class Meta:
        model = Account
        fields = ("name", "base_url", "enabled", *SPENDING, *KEEPING)
        labels = {"enabled": gettext_lazy("Switched on"), "spending_stopped": gettext_lazy("Stop spending")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        account = self.instance
        if not account.sealed_key:
            self.fields["api_key"].help_text = _("From your ANOSIM profile. It is stored encrypted and never shown.")
            self.fields["api_key"].required = account.pk is None
        elif account.from_environment:
            self.fields["api_key"].help_text = _(
                "Set by ANOSIM_API_KEY (%(hint)s), which replaces what is typed here at the next start."
            ) % {"hint": _hint(account)}
        else:
            self.fields["api_key"].help_text = _("A key is set (%(hint)s). Leave empty to keep it.") % {
                "hint": _hint(account)
            }

    @sensitive_variables("key")
    def clean_api_key(self) -> str:
        key: str = self.cleaned_data["api_key"]
        if not all("!" <= character <= "~" for character in key):
            raise forms.ValidationError(_("A key has letters, digits and signs, but no spaces in it. Copy it again."))
        return key

    def clean_base_url(self) -> str:
        try:
            return check_base_url(self.cleaned_data["base_url"])
        except ValueError as error:
            raise forms.ValidationError(said(str(error))) from None

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        before = Account.objects.filter(pk=self.instance.pk).values_list("base_url", "sealed_key").first()
        url, key = cleaned.get("base_url"), cleaned.get("api_key")
        # Else whoever can edit an address could have the key sent to a server of theirs (reliability.md F29).
        if before and before[1] and url and not key and _server(url) != _server(before[0]):
            self.add_error("api_key", _("The base URL leads to another server: type the API key again for it."))
        return cleaned


@admin.register(Account)
class AccountAdmin(RecordsMemberships, admin.ModelAdmin):
    form = AccountForm
    inlines = [MembershipInline]
    list_display = ("name", "enabled", "hint", "key_ok", "balance", "balance_at", "spending", "daily_cap_usd")
    readonly_fields = ("balance", "balance_at", "created_at")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_form_template = "admin/dashboard/account/change_form.html"
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "enabled", "base_url", "api_key"),
                "description": gettext_lazy(
                    "An account is not deleted: its archive of SMS and bookings would go with it. "
                    "Pause it instead, by switching it off."
                ),
            },
        ),
        (
            gettext_lazy("Spending"),
            {
                "fields": SPENDING,
                "description": gettext_lazy(
                    "In USD; empty means no cap. The cap per day counts everybody's purchases from midnight "
                    "on, those too of which is not known yet whether they were made. A person can have a cap of their "
                    "own below. A balance under the mark of a low balance is shown as low on every page."
                ),
            },
        ),
        (
            gettext_lazy("Keeping SMS"),
            {
                "fields": KEEPING,
                "description": gettext_lazy(
                    "Empty: for ever. Text and code of older SMS are blanked once a day, for good; that an "
                    "SMS came, from whom and when, stays."
                ),
            },
        ),
        (gettext_lazy("Read from ANOSIM"), {"fields": ("balance", "balance_at", "created_at")}),
    )

    @admin.display(description=gettext_lazy("Spending"), ordering="spending_stopped")
    def spending(self, account: Account) -> str:
        """In words: the mark for "no" is a red cross, and here "no" is how it should be."""
        return _("stopped") if account.spending_stopped else _("allowed")

    @admin.display(description=gettext_lazy("key"))
    def hint(self, account: Account) -> str:
        return _hint(account) if account.sealed_key else _("none")

    @admin.display(description=gettext_lazy("balance"))
    def balance(self, account: Account) -> str:
        return wording.usd(account.balance_usd)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_dbfield(db_field, request, **kwargs, **not_negative(db_field))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets if obj is not None else self.fieldsets[:1]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj is not None else []

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "<int:pk>/test-key/",
                self.admin_site.admin_view(require_POST(self.test_key)),
                name="dashboard_account_test_key",
            ),
            path(
                "<int:pk>/key-verdict/",
                self.admin_site.admin_view(require_safe(self.key_verdict)),
                name="dashboard_account_key_verdict",
            ),
            *super().get_urls(),
        ]

    @method_decorator(sensitive_post_parameters("api_key"))
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        account = self.get_object(request, object_id) if object_id and request.method == "GET" else None
        context = {**(extra_context or {}), **(self._verdict(request, account) if account else {})}
        response = super().changeform_view(request, object_id, form_url, context)
        # After the commit: the worker must find the key that it is to test.
        replaced: int | None = getattr(request, "_key_set_of", None)
        if replaced is not None and response.status_code == 302:
            saved = Account.objects.get(pk=replaced)
            return HttpResponseRedirect(f"{_change_url(replaced)}?{self._ask(saved)}")
        return response

    @method_decorator(sensitive_variables("key", "form"))
    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        key = form.cleaned_data["api_key"]
        had_key = bool(obj.sealed_key)
        fields = [name for name in form.changed_data if name != "api_key"]
        if key:
            obj.api_key = key
            obj.breaker_until, obj.breaker_failures = None, 0
            fields += ["sealed_key", "key_hint", "key_checked_at", "key_ok", "key_verdict"]
            fields += ["breaker_until", "breaker_failures"]
        if "sms_kept_days" in fields:
            obj.retention_due_at = None
            fields.append("retention_due_at")
        # Only what the form changed: the workers write to the same row.
        obj.save(update_fields=fields) if change else obj.save()
        if key:
            request._key_set_of = obj.pk  # type: ignore[attr-defined]
        self._record(request, obj, form, change, bool(key), had_key)
        ensure_states()
        if obj.enabled and (key or "enabled" in fields):
            read_all_now(obj.pk)
        # Open order forms say what may be spent.
        topics.touch(obj.pk, topics.SYNC, topics.CATALOG)

    def _record(self, request: HttpRequest, obj: Account, form: Any, change: bool, key: bool, had_key: bool) -> None:
        if not change:
            audit.record(request, "account.created", obj, {"base_url": obj.base_url})
        if key:
            audit.record(request, "key.replaced" if had_key else "key.set", obj, {"ends": obj.key_hint})
        changed = {name: getattr(obj, name) for name in ("name", "base_url") if name in form.changed_data}
        if change and changed:
            audit.record(request, "account.changed", obj, changed)
        if change and "enabled" in form.changed_data:
            audit.record(request, "account.resumed" if obj.enabled else "account.paused", obj)
        if change and "sms_kept_days" in form.changed_data:
            audit.record(request, "account.retention", obj, {"sms_kept_days": obj.sms_kept_days})
        if change and (spending := [name for name in SPENDING if name in form.changed_data]):
            audit.record(request, "account.spending", obj, {name: _plain(getattr(obj, name)) for name in spending})

    def test_key(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask a worker to try the key; the page then shows the verdict by itself."""
        account = self._account(pk)
        with transaction.atomic():
            audit.record(request, "key.tested", account)
        question = self._ask(account)
        if request.htmx:  # type: ignore[attr-defined]
            return HttpResponseRedirect(f"{reverse('admin:dashboard_account_key_verdict', args=[pk])}?{question}")
        return HttpResponseRedirect(f"{_change_url(pk)}?{question}")

    def key_verdict(self, request: HttpRequest, pk: int) -> HttpResponse:
        return TemplateResponse(request, VERDICT, self._verdict(request, self._account(pk)))

    def _ask(self, account: Account) -> str:
        """Query string that says since when the answer is waited for."""
        queued = enqueue(tasks.test_key, account.pk, expires=asking.LATE)
        return asking.question(_answer(account), queued)

    def _verdict(self, request: HttpRequest, account: Account) -> dict[str, Any]:
        query = request.GET.copy()
        return {
            "account": account,
            "state": asking.Asking.of(request).state(_answer(account)),
            "test_url": reverse("admin:dashboard_account_test_key", args=[account.pk]),
            "verdict_url": f"{reverse('admin:dashboard_account_key_verdict', args=[account.pk])}?{query.urlencode()}",
            "verdict_template": VERDICT,
        }

    def _account(self, pk: int) -> Account:
        account = Account.objects.filter(pk=pk).first() if pk < 2**63 else None
        if account is None:
            raise Http404
        return account


def _plain(value: Any) -> bool | str | None:
    """A switch as it is, a sum as text, no cap as None."""
    return value if value is None or isinstance(value, bool) else str(value)


def _answer(account: Account) -> str:
    return asking.digest(account.key_checked_at, account.key_verdict)


def _hint(account: Account) -> str:
    return f"…{account.key_hint}" if account.key_hint else _("too short to show its end")


def _server(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _change_url(pk: int) -> str:
    return reverse("admin:dashboard_account_change", args=[pk])
