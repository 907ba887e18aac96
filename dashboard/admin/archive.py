"""What the workers stored, to read: nobody mends the provider's data by hand."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from ..models import (
    AuditEvent,
    BalanceReading,
    Booking,
    Country,
    Order,
    Product,
    Purchase,
    PurchaseStep,
    SimCard,
    SmsGap,
)


class BoundedPaginator(Paginator):
    """Counts no further than to MOST rows: a list of a million rows opens as fast as a list of a hundred."""

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: self.MOST].count())


class ReadOnlyAdmin(admin.ModelAdmin):
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    list_per_page = 50
    sortable_by = ()
    actions: Any = None
    ordering = ("-pk",)
    # Columns that a search compares as a whole, by an index that begins with the account.
    searched: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.searched

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.replace("\x00", "").strip()
        if not term or not self.searched:
            return queryset, False
        digits = re.sub(r"[\s+()/-]", "", term)
        plain = digits.isascii() and digits.isdecimal()
        found = Q()
        if "number" in self.searched:
            found |= Q(number__in={term, digits, f"+{digits}"})
        if "remote_id" in self.searched and plain and len(digits) < 19:
            found |= Q(remote_id=int(digits))
        if not found:
            return queryset.none(), False
        accounts = getattr(request.user, "visible_account_ids", ())
        return queryset.filter(found, account_id__in=accounts), False


@admin.register(Country)
class CountryAdmin(ReadOnlyAdmin):
    list_display = ("name", "remote_id", "account")
    list_select_related = ("account",)
    list_filter = ("account",)


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    list_display = ("remote_id", "country", "service", "rental_type", "price_usd", "on_sale", "account")
    list_select_related = ("account",)
    list_filter = ("account", "on_sale")
    searched = ("remote_id",)


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ("remote_id", "ordered_at", "price_usd", "account")
    list_select_related = ("account",)
    list_filter = ("account",)
    searched = ("remote_id",)


@admin.register(Booking)
class BookingAdmin(ReadOnlyAdmin):
    list_display = ("remote_id", "number", "country", "service", "state", "starts_at", "ends_at", "account")
    list_select_related = ("account",)
    list_filter = ("account",)
    searched = ("remote_id", "number")
    exclude = ("newest_sms",)


@admin.register(SimCard)
class SimCardAdmin(ReadOnlyAdmin):
    list_display = ("number", "country", "service", "in_use", "ends_at", "last_seen_at", "account")
    list_select_related = ("account",)
    list_filter = ("account", "in_use")
    searched = ("number",)


@admin.register(SmsGap)
class SmsGapAdmin(ReadOnlyAdmin):
    list_display = ("account", "from_at", "to_at", "found_at", "closed_at", "lost")
    list_select_related = ("account",)
    list_filter = ("account", "lost")


@admin.register(BalanceReading)
class BalanceReadingAdmin(ReadOnlyAdmin):
    list_display = ("hour", "balance_usd", "account")
    list_select_related = ("account",)
    list_filter = ("account",)


@admin.register(Purchase)
class PurchaseAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "kind", "status", "product", "amount", "price_usd", "requested_by", "account")
    list_select_related = ("account", "product", "requested_by")
    list_filter = ("account", "status", "kind")
    # Its key is no number that grows.
    ordering = ("-created_at",)


@admin.register(PurchaseStep)
class PurchaseStepAdmin(ReadOnlyAdmin):
    list_display = ("at", "purchase", "old", "new", "by", "words")
    list_select_related = ("purchase", "by")
    list_filter = ("new",)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "user_name", "role", "action", "object_text", "account", "address")
    list_display_links = ("at",)
    list_select_related = ("account",)
    list_filter = ("account", "kind")
