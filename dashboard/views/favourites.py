"""Stars on products: each person's own."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from ..models import Favourite, Product
from .access import product_for


@require_POST
def favourite(request: HttpRequest, pk: int) -> HttpResponse:
    """Set (`on=1`) or take away (`on=0`) the star: sent twice it is the same. Answers htmx with the button."""
    product = product_for(request, pk)
    on = request.POST.get("on") == "1"
    if on:
        Favourite.objects.bulk_create([Favourite(user=request.user, product=product)], ignore_conflicts=True)  # type: ignore[misc]
    else:
        Favourite.objects.filter(user=request.user, product=product).delete()  # type: ignore[misc]
    if request.htmx:  # type: ignore[attr-defined]
        # A product may stand twice on a page; each button answers under its own id.
        prefix = "fav-" if request.POST.get("prefix") == "fav-" else ""
        return render(request, "dashboard/_star.html", {"product": product, "starred": on, "prefix": prefix})
    back = request.POST.get("next", "")
    if not back.startswith("/") or not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = reverse("product", args=[pk])
    return HttpResponseRedirect(back, status=303)


def starred_of(request: HttpRequest, products: Iterable[Product]) -> set[int]:
    """Which of these products have this person's star. One query."""
    ids = [product.pk for product in products]
    stars = Favourite.objects.filter(user=request.user, product__in=ids)  # type: ignore[misc]
    return set(stars.values_list("product_id", flat=True))


def ids_of(request: HttpRequest) -> list[int]:
    """Ids of all products with this person's star. One query."""
    stars = Favourite.objects.filter(user=request.user)  # type: ignore[misc]
    return list(stars.values_list("product_id", flat=True))
