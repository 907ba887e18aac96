from __future__ import annotations

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from anosim_dashboard import shared_clock

from .. import audit
from ..live import topics
from ..models import Account, SyncState
from .archive import ReadOnlyAdmin


@admin.register(SyncState)
class SyncStateAdmin(ReadOnlyAdmin):
    list_display = ("account", "kind", "last_success_at", "due_at", "failures", "error", "error_since")
    list_display_links = ("kind",)
    list_select_related = ("account",)
    list_filter = ("account",)
    ordering = ("pk",)
    exclude = ("body_digest",)
    actions = ("sync_now",)

    @admin.action(description=gettext_lazy("Read the chosen kinds now"))
    def sync_now(self, request: HttpRequest, queryset: QuerySet[SyncState]) -> None:
        chosen = queryset.filter(account__enabled=True)
        kinds: dict[int, list[str]] = {}
        for account_id, kind in chosen.values_list("account_id", "kind"):
            kinds.setdefault(account_id, []).append(kind)
        for account in Account.objects.filter(pk__in=kinds).order_by("pk"):
            states = SyncState.objects.filter(account=account, kind__in=kinds[account.pk], reading=False)
            with transaction.atomic():
                states.update(due_at=shared_clock.now())
                audit.record(request, "sync.read_now", account, {"kinds": sorted(kinds[account.pk])})
                topics.touch(account.pk, topics.SYNC)
        count = sum(map(len, kinds.values()))
        if count:
            self.message_user(request, _("%(count)s being read now.") % {"count": count}, messages.SUCCESS)
        else:
            self.message_user(request, _("Nothing was read: the accounts are paused."), messages.WARNING)
