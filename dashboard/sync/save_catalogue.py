from __future__ import annotations

from datetime import datetime

from ..anosim import Country as CountryRecord
from ..anosim import Listing
from ..anosim import Product as ProductRecord
from ..live.topics import CATALOG
from ..models import Account, Country, Offer, Product
from .changes import Changes
from .columns import CHUNK, fitted, write_changed

_PRODUCT_FIELDS = ("country", "rental_type", "service", "duration_minutes", "price_usd")


def save_countries(account: Account, listing: Listing[CountryRecord], asked_at: datetime) -> Changes:
    """Insert and rename countries; one that is missing stays."""
    stored = {row.remote_id: row for row in Country.objects.filter(account=account)}
    new, changed = [], []
    for record in {record.id: record for record in listing.rows}.values():
        name = fitted(Country, "name", record.name)
        row = stored.get(record.id)
        if row is None:
            new.append(Country(account=account, remote_id=record.id, name=name))
        elif name and row.name != name:
            row.name = name
            changed.append(row)
    Country.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)
    write_changed(changed, ("name",))
    return _catalogue_changes(len(new), len(changed))


def save_products(account: Account, listing: Listing[ProductRecord], asked_at: datetime) -> Changes:
    """Insert and update products. One that is missing from a complete list is no longer on sale, but kept."""
    stored = {row.remote_id: row for row in Product.objects.filter(account=account)}
    records = {record.id: record for record in listing.rows}
    new = [
        Product(account=account, remote_id=pk, **_values(record)) for pk, record in records.items() if pk not in stored
    ]
    changed = []
    complete = bool(records) and not listing.unreadable
    for pk, row in stored.items():
        record = records.get(pk)
        if record is None and not complete:
            continue
        values = {"on_sale": record is not None, **(_values(record) if record else {})}
        if any(getattr(row, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(row, name, value)
            changed.append(row)
    Product.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)
    write_changed(changed, (*_PRODUCT_FIELDS, "on_sale"))
    return _catalogue_changes(len(new), len(changed))


def save_offers(product: Product, record: ProductRecord, asked_at: datetime) -> Changes:
    """Replace a product's providers and free counts by those of its own answer, and its price by today's."""
    values = _values(record)
    offers = {
        each.id: Offer(
            product=product,
            remote_id=each.id,
            name=fitted(Offer, "name", each.name),
            available=None if each.available is None else min(each.available, 2**31 - 1),
        )
        for each in record.providers
    }
    product.offers.all().delete()
    Offer.objects.bulk_create(offers.values(), batch_size=CHUNK)
    Product.objects.filter(pk=product.pk).update(**values, offers_at=asked_at, offers_error="")
    return Changes(changed=1, topics={CATALOG})


def _values(record: ProductRecord) -> dict[str, object]:
    values = {
        "country": record.country,
        "rental_type": record.rental_type,
        "service": record.service,
        "duration_minutes": record.duration_minutes,
        "price_usd": record.price,
    }
    return {name: fitted(Product, name, value) for name, value in values.items()}


def _catalogue_changes(new: int, changed: int) -> Changes:
    return Changes(new, changed, {CATALOG} if new or changed else set())
