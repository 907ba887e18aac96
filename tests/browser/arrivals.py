"""What happens at the provider while pages are open."""

from __future__ import annotations

from dashboard.sandbox import Sandbox
from dashboard.sandbox.records import Booking


def receiver(provider: Sandbox) -> Booking:
    """The booking that runs longest, so that it outlives every test."""
    rows = [row for row in provider.world.running() if row.extends is None]
    return max(rows, key=lambda row: row.ends_at)


def receive(provider: Sandbox, text: str, sender: str = "Bank") -> Booking:
    """A message arrives at the provider; gives the booking that received it."""
    booking = receiver(provider)
    provider.world.receive_sms(booking.id, text, sender)
    return booking
