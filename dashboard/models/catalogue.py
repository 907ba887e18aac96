from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models

from .accounts import Account
from .bookings import Booking
from .visibility import AccountQuerySet


class Country(models.Model):
    """A country of the provider's list; `name` as it comes, in CamelCase."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="countries", db_index=False)
    remote_id = models.BigIntegerField()
    name = models.CharField(max_length=80)

    objects = AccountQuerySet["Country"].as_manager()

    class Meta:
        verbose_name_plural = "countries"
        constraints = [models.UniqueConstraint(fields=["account", "remote_id"], name="country_once")]

    def __str__(self) -> str:
        return self.name


class ProductQuerySet(AccountQuerySet["Product"]):
    def on_sale(self) -> Self:
        """Products of the newest complete list: what left it is kept, but not offered."""
        return self.filter(on_sale=True)

    def like_product(self, product: Product) -> Self:
        """Products of its account that look like it in a list of orders: country, type, service and length."""
        return self.filter(
            account=product.account_id,
            country=product.country,
            rental_type=product.rental_type,
            service=product.service,
            duration_minutes=product.duration_minutes,
        )

    def like(self, booking: Booking) -> Self:
        """Products of the booking's account with its country, type and service, shortest first, whatever length."""
        return self.filter(
            account=booking.account_id,
            country=booking.country,
            service=booking.service,
            rental_type=booking.rental_type,
        ).order_by("duration_minutes", "pk")


class Product(models.Model):
    """What can be rented, and its price in one account. `service` is empty where every service is included."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="products", db_index=False)
    remote_id = models.BigIntegerField()
    country = models.CharField(max_length=80, blank=True)
    rental_type = models.CharField(max_length=40, blank=True)
    service = models.CharField(max_length=500, blank=True)
    duration_minutes = models.PositiveIntegerField(null=True)
    price_usd = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    on_sale = models.BooleanField(default=True)
    # When providers and free counts were read last, and what came of it.
    offers_at = models.DateTimeField(null=True)
    offers_error = models.CharField(max_length=400, blank=True)

    objects = ProductQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "remote_id"], name="product_once")]
        indexes = [
            # The catalogue's two orders.
            models.Index(fields=["account", "country", "service", "id"], name="product_by_country"),
            models.Index(fields=["account", "price_usd", "id"], name="product_by_price"),
        ]

    def __str__(self) -> str:
        return f"{self.service or 'Every service'}, {self.country}"


class Favourite(models.Model):
    """A product that a person marked with a star."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="favourites")
    product = models.ForeignKey(Product, models.CASCADE, related_name="favourites")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "product"], name="favourite_once")]

    def __str__(self) -> str:
        return str(self.product)


class Offer(models.Model):
    """How many numbers a provider has free for a product. Provider 0 is "any"."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="offers", db_index=False)
    remote_id = models.BigIntegerField()
    name = models.CharField(max_length=80, blank=True)
    available = models.IntegerField(null=True)

    class Meta:
        ordering = ("remote_id",)
        constraints = [models.UniqueConstraint(fields=["product", "remote_id"], name="offer_once")]

    def __str__(self) -> str:
        return f"{self.name}: {self.available}"
