"""The provider's API (anosim-api.md): no Django, no database; nothing else here speaks HTTP to it."""

from dashboard.anosim.address import check_base_url
from dashboard.anosim.client import Client
from dashboard.anosim.errors import AnosimError, BadKey, OutcomeUnknown, Refused, TryLater, Unreadable
from dashboard.anosim.records import (
    AutoRenewal,
    Booking,
    Country,
    Listing,
    Order,
    Product,
    Provider,
    SimCard,
    Sms,
)

__all__ = [
    "AnosimError",
    "AutoRenewal",
    "BadKey",
    "Booking",
    "Client",
    "Country",
    "Listing",
    "Order",
    "OutcomeUnknown",
    "Product",
    "Provider",
    "Refused",
    "SimCard",
    "Sms",
    "TryLater",
    "Unreadable",
    "check_base_url",
]
