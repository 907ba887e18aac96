from .accounts import Account, BalanceReading, Membership
from .alerts import Alert, AlertChannel, AlertNotice
from .audit import AuditEvent, AuditHead
from .bookings import Booking
from .catalogue import Country, Favourite, Offer, Product
from .heartbeat import Heartbeat
from .invites import Invite
from .orders import Order
from .purchases import BookingChange, Purchase, PurchaseStep
from .reading import ReadException, ReadMark
from .sign_in import GuessCount, KnownPlace
from .sim_cards import SimCard
from .sms import Sms, SmsGap
from .sync_state import SyncState
from .topics import TopicVersion
from .users import User

__all__ = [
    "Account",
    "Alert",
    "AlertChannel",
    "AlertNotice",
    "AuditEvent",
    "AuditHead",
    "BalanceReading",
    "Booking",
    "BookingChange",
    "Country",
    "Favourite",
    "GuessCount",
    "Heartbeat",
    "Invite",
    "KnownPlace",
    "Membership",
    "Offer",
    "Order",
    "Product",
    "Purchase",
    "PurchaseStep",
    "ReadException",
    "ReadMark",
    "SimCard",
    "Sms",
    "SmsGap",
    "SyncState",
    "TopicVersion",
    "User",
]
