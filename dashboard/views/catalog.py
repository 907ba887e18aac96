"""The catalogue: what can be rented in the accounts in view, and one product with its free numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Min, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from anosim_dashboard import shared_clock

from .. import tasks, wording
from ..dispatch import enqueue
from ..live import topics
from ..models import Product, SyncState
from ..models.catalogue import ProductQuerySet
from ..purchases.intents import MOST_NUMBERS, Declined
from . import asking
from .access import accounts_in_view, product_for
from .buying import NOTE_LENGTH, SHEET, Typed, shown_product, sums_of
from .favourites import ids_of, starred_of
from .listing import form_state, name_accounts, set_filters
from .paging import Sort, count_up_to, page_of
from .panels import Context, Panel
from .parameters import money_of, text_of

SORTS = (
    Sort("country", gettext_lazy("Country"), "country", descending=False, then="service"),
    Sort("-country", gettext_lazy("Country, Z to A"), "country", then="service"),
    Sort("price", gettext_lazy("Price, lowest first"), "price_usd", descending=False, nullable=True),
    Sort("-price", gettext_lazy("Price, highest first"), "price_usd", nullable=True),
    Sort("time", gettext_lazy("Time, shortest first"), "duration_minutes", descending=False, nullable=True),
    Sort("-time", gettext_lazy("Time, longest first"), "duration_minutes", nullable=True),
)
FILTERS = ("q", "country", "type", "service", "price_from", "price_to", "favourites")
TYPES = ("Activation", "RentalService", "RentalFull")
# Free numbers that were read so long ago are fresh enough to not ask again, however many people look.
FRESH = timedelta(seconds=20)
MOST_FAVOURITES = 12


@require_safe
def catalog(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/catalog.html", {**_choices(request), **PANEL.context(request)})


@require_safe
def product(request: HttpRequest, pk: int) -> HttpResponse:
    return product_page(request, pk)


def product_page(
    request: HttpRequest, pk: int, typed: Typed | None = None, declined: Declined | None = None, status: int = 200
) -> HttpResponse:
    """The product with its order form: fresh and prefilled by the URL, or `declined` with all that was `typed`."""
    context = PRODUCT_PANEL.context(request, pk=pk)
    found: Product = context["product"]
    # Only an opened page asks by itself. A panel that follows nudges does not: what is read from the provider
    # must not depend on how many browsers are open.
    ask = not context["state"] and context["askable"] and not _is_fresh(found) and declined is None
    sheet = SHEET.context(request, pk=pk)
    if typed is not None:
        sheet |= sums_of(found, sheet["left"], min(max(typed.whole_amount or 1, 1), MOST_NUMBERS))
    form = {
        "sheet": sheet,
        "typed": typed or Typed.fresh(request, found),
        "declined": declined,
        "starred": found.pk in starred_of(request, [found]),
        "most_numbers": MOST_NUMBERS,
        "note_length": NOTE_LENGTH,
    }
    return render(request, "dashboard/product.html", {**context, **form, "ask": ask}, status=status)


@require_POST
def refresh(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask a worker for the product's free numbers, then show the panel (htmx) or the page, which wait for them."""
    found = product_for(request, pk)
    target = reverse("panel-product" if request.htmx else "product", kwargs={"pk": pk})  # type: ignore[attr-defined]
    if not _is_askable(found) or _is_fresh(found):
        return HttpResponseRedirect(target)
    queued = enqueue(tasks.refresh_product, found.pk, expires=asking.LATE)
    return HttpResponseRedirect(f"{target}?{asking.question(_answer(found), queued)}")


def _build(request: HttpRequest) -> Context:
    products = _filtered(request)
    page = page_of(products, request.GET, SORTS)
    if page.sort.nullable:
        products = products.exclude(**{page.sort.field: None})
    favourites = _favourites(request) if page.is_first and not set_filters(request, FILTERS) else []
    return {
        "page": page,
        "favourites": favourites,
        "starred": starred_of(request, [*page.rows, *favourites]),
        "count": count_up_to(products, 10_000),
        "read_at": _read_at(request),
        "filtered": bool(set_filters(request, FILTERS)),
        "several_accounts": name_accounts(request, [*page.rows, *favourites]),
    }


def _build_product(request: HttpRequest, pk: int) -> Context:
    found = shown_product(request, pk)
    offers = sorted(found.offers.all(), key=lambda offer: (offer.remote_id != 0, -(offer.available or 0), offer.name))
    return {
        "product": found,
        "offers": offers,
        "state": asking.Asking.of(request).state(_answer(found)),
        "askable": _is_askable(found),
    }


PANEL = Panel("catalog", (topics.CATALOG,), _build)
PRODUCT_PANEL = Panel("product", (topics.CATALOG,), _build_product, salt=asking.phase)


def _filtered(request: HttpRequest) -> ProductQuerySet:
    query = request.GET
    products = Product.objects.of_accounts(accounts_in_view(request)).on_sale()
    for field, name in (("country", "country"), ("rental_type", "type"), ("service", "service")):
        if wanted := text_of(query, name, 200):
            products = products.filter(**{field: wanted})
    if (price_from := money_of(query, "price_from")) is not None:
        products = products.filter(price_usd__gte=price_from)
    if (price_to := money_of(query, "price_to")) is not None:
        products = products.filter(price_usd__lte=price_to)
    for word in text_of(query, "q").split()[:6]:
        products = products.filter(Q(service__icontains=word) | Q(country__icontains=word))
    if text_of(query, "favourites"):
        products = products.filter(pk__in=ids_of(request))
    return products


def _favourites(request: HttpRequest) -> list[Product]:
    """What the person marked, before all other products on the first page. One query."""
    mine = Product.objects.of_accounts(accounts_in_view(request)).on_sale().filter(favourites__user=request.user.pk)
    return list(mine.order_by("country", "service", "pk")[:MOST_FAVOURITES])


def _choices(request: HttpRequest) -> dict[str, Any]:
    """What the form offers: only countries, types and services that are on sale. Three queries and the accounts."""
    on_sale = Product.objects.of_accounts(accounts_in_view(request)).on_sale().order_by()
    countries = sorted(on_sale.values_list("country", flat=True).distinct(), key=wording.country_name)
    kinds = set(on_sale.values_list("rental_type", flat=True).distinct())
    services = sorted(on_sale.exclude(service="").values_list("service", flat=True).distinct(), key=str.casefold)
    return {
        "countries": [name for name in countries if name],
        "types": [kind for kind in TYPES if kind in kinds] + sorted(kinds - {*TYPES, ""}),
        "services": services,
        **form_state(request, FILTERS, SORTS),
    }


def _read_at(request: HttpRequest) -> Any:
    """When the list that is shown was read, by the account that is furthest behind."""
    states = SyncState.objects.of_accounts(accounts_in_view(request)).filter(kind=SyncState.Kind.PRODUCTS)
    return states.aggregate(at=Min("last_success_at"))["at"]


def _answer(found: Product) -> str:
    return asking.digest(found.offers_at, found.offers_error)


def _is_fresh(found: Product) -> bool:
    return found.offers_at is not None and shared_clock.now() - found.offers_at < FRESH


def _is_askable(found: Product) -> bool:
    return found.on_sale and found.account.enabled and bool(found.account.sealed_key)
