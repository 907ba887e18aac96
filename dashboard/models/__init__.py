from .accounts import Account, BalanceReading, Membership
from .audit import AuditEvent
from .bookings import Booking
from .catalogue import Country, Favourite, Offer, Product
from .invites import Invite
from .orders import Order
from .purchases import BookingChange, Purchase, PurchaseStep
from .sim_cards import SimCard
from .sms import Sms, SmsGap
from .sync_state import SyncState
from .topics import TopicVersion
from .users import User

__all__ = [
    "Account",
    "AuditEvent",
    "BalanceReading",
    "Booking",
    "BookingChange",
    "Country",
    "Favourite",
    "Invite",
    "Membership",
    "Offer",
    "Order",
    "Product",
    "Purchase",
    "PurchaseStep",
    "SimCard",
    "Sms",
    "SmsGap",
    "SyncState",
    "TopicVersion",
    "User",
]
