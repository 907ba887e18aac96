"""What the stand-in sells: countries, networks, services, prices.

The same in every run; only the counts move.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from .records import ACTIVATION, RENTAL_FULL, RENTAL_SERVICE, Product, Provider

ACTIVATION_MINUTES = 20
DAY = 1440
KLEINANZEIGEN = "Kleinanzeigen"
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Country:
    """A country in the contract's CamelCase, what its numbers cost against Germany's, and its networks."""

    id: int
    name: str
    factor: Decimal
    networks: tuple[str, ...]


COUNTRIES = (
    Country(67, "CzechRepublic", Decimal("0.80"), ("T-Mobile", "O2", "Vodafone")),
    Country(98, "Germany", Decimal("1.00"), ("T-Mobile", "Vodafone", "O2", "1&1")),
    Country(165, "Lithuania", Decimal("0.55"), ("Telia", "Bite", "Tele2")),
    Country(195, "Netherlands", Decimal("0.90"), ("KPN", "Odido", "Vodafone")),
    Country(286, "UnitedKingdom", Decimal("0.85"), ("EE", "O2", "Vodafone", "Three")),
    Country(216, "Poland", Decimal("0.60"), ("Orange", "Play", "Plus", "T-Mobile")),
    Country(217, "Portugal", Decimal("0.75"), ("MEO", "NOS", "Vodafone")),
    Country(260, "Sweden", Decimal("0.95"), ("Telia", "Tele2", "Telenor", "Tre")),
    Country(66, "Cyprus", Decimal("1.10"), ("Cyta", "Epic", "PrimeTel")),
    Country(142, "Kenya", Decimal("0.45"), ("Safaricom", "Airtel", "Telkom")),
    Country(246, "SouthAfrica", Decimal("0.50"), ("Vodacom", "MTN", "Cell C")),
)

# Price of one German activation in USD; rentals are multiples of it.
SERVICES: dict[str, Decimal] = {
    "WhatsApp": Decimal("1.79"),
    "Telegram": Decimal("1.95"),
    "Google, Gmail, Youtube": Decimal("1.20"),
    KLEINANZEIGEN: Decimal("1.49"),
    "Amazon": Decimal("0.89"),
    "PayPal": Decimal("1.39"),
    "Discord": Decimal("0.75"),
    "Tinder": Decimal("1.10"),
    "Instagram": Decimal("0.69"),
    "Klarna": Decimal("1.25"),
    "Allegro": Decimal("0.95"),
    "Microsoft": Decimal("0.59"),
    "Uber": Decimal("0.79"),
}

# Sold only where the service itself works.
ONLY_IN = {
    KLEINANZEIGEN: {"Germany", "Netherlands", "Poland"},
    "Allegro": {"Poland", "CzechRepublic"},
    "Klarna": {"Germany", "Sweden", "Netherlands", "UnitedKingdom", "Poland", "Portugal", "CzechRepublic"},
}

# Days and what they cost against one activation.
SERVICE_RENTALS = ((1, Decimal("2.20")), (7, Decimal("6.50")), (30, Decimal("14.00")))
FULL_RENTALS = ((7, Decimal("12.50")), (30, Decimal("29.00")), (90, Decimal("74.00")))


def build(rng: Random) -> dict[int, Product]:
    """All products by id; ids and prices are the same in all runs, `rng` fills the counts of free numbers."""
    products: dict[int, Product] = {}
    for country in COUNTRIES:
        for rental_type, service, minutes, base in _lines(country.name):
            number = len(products) + 1
            price = (base * country.factor).quantize(CENT)
            providers = _networks(country, rental_type, rng)
            products[number] = Product(number, country.name, rental_type, service, minutes, price, providers)
    return products


def _lines(country: str) -> list[tuple[str, str, int, Decimal]]:
    lines: list[tuple[str, str, int, Decimal]] = []
    for service, base in SERVICES.items():
        if country not in ONLY_IN.get(service, {country}):
            continue
        lines.append((ACTIVATION, service, ACTIVATION_MINUTES, base))
        lines += [(RENTAL_SERVICE, service, days * DAY, base * times) for days, times in SERVICE_RENTALS]
    lines += [(RENTAL_FULL, "", days * DAY, times) for days, times in FULL_RENTALS]
    return lines


def _networks(country: Country, rental_type: str, rng: Random) -> list[Provider]:
    most = 40 if rental_type == ACTIVATION else 12
    providers = []
    for place, name in enumerate(country.networks, start=1):
        # Some networks are sold out, so that a page has to show that too.
        available = 0 if rng.random() < 0.12 else rng.randint(1, most)
        providers.append(Provider(country.id * 10 + place, name, available))
    return providers


def drift(products: dict[int, Product], rng: Random, changes: int = 5) -> None:
    """Let the counts of a few products move, as other customers book and return numbers."""
    for product_id in rng.sample(sorted(products), min(changes, len(products))):
        provider = rng.choice(products[product_id].providers)
        provider.available = max(0, min(60, provider.available + rng.choice((-3, -2, -1, 1, 2, 3))))
