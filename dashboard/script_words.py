"""What the scripts of the browser say, for pages in another language than English (`phrase` in app.js)."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_noop as _

from .languages import current
from .sentences import STORAGE

# As they stand in the scripts. A test holds the list to them.
WORDS = (
    _("yesterday"),
    _("{age} ago"),
    _("at {time}"),
    _("{days} d"),
    _("1 d {hours} h"),
    _("ended"),
    _("Close"),
    _("Your browser did not allow copying. Select the text instead."),
    _("Code {code} copied"),
    _("Copied"),
    _("as the system"),
    _("light"),
    _("dark"),
    _("Theme: {theme}"),
    _("You may not do this, or this page is too old. Reload it and try again."),
    _("This is not here any more. Reload the page."),
    _("That was too much to send at once."),
    _("Too many requests. Wait a moment, then try again."),
    _("What you see may be old."),
    _("Look whether it was done before you try again."),
    _("Try again"),
    _("The server is starting or busy."),
    _("The server could not answer (error {code})."),
    _("The server cannot be reached."),
    _("The server took too long to answer."),
    _("{count} new message"),
    _("{count} new messages"),
    _("Live"),
    _("Reconnecting"),
    _("Offline"),
    _("This page is live again."),
    _("Connection lost. Trying again."),
    _("You are offline."),
    _("Live: this page updates by itself (since {at})"),
    _("{state} since {at}: this page asks again when the connection is back"),
    _("The balance of {balance} is not enough."),
    _("Only {left} of the cap is left today."),
    _("That is above the cap of {cap} for one purchase."),
    _("Between 1 and {most} numbers can be ordered at once."),
    _("Ordering…"),
    _("That could not be saved. Try again."),
    _("Marked as read"),
    _("Marked as unread"),
    _("That could not be undone. Try again."),
    _("Undo"),
    _("The browser was given no key. Try again, and touch the key when it blinks."),
    _("This key is added already."),
    _("Security keys need an address with a name, by https. Ask your admin, or use an authenticator app."),
    _("This browser knows no security keys."),
    _("The security key could not be used."),
    _("{count} came while you were away"),
    _("{count} came"),
    _("SMS came, but {why}"),
    _("this browser lets the page make no sound before you have clicked in it."),
    _(
        "Browsers show notifications only on pages with HTTPS, and on localhost. This page is on {origin}: "
        "ask your admin to put TLS in front of the dashboard (README, “Run it for a team”). Title and sound "
        "work without."
    ),
    _(
        "On iPhone and iPad only pages on the Home Screen may notify, and these only by a push service, "
        "which this dashboard does not use. Title and sound work without."
    ),
    _("Browsers on phones show no notifications of open pages. Title and sound work without."),
    _("This browser has no notifications for pages. Title and sound work without."),
    _("Your browser will ask whether this page may."),
    _("Your browser allows it."),
    _(
        "Your browser blocks notifications of this page. To allow them: click the sign before the address, "
        "open the settings of the site, set notifications to “Allow”, then switch this on."
    ),
    _("For {numbers} and {left} more"),
    _("For {numbers}"),
    _("SMS for {number}"),
    _(", with a code"),
    _(", {coded} with a code"),
    _("New SMS for {number}"),
    _("a chime"),
    _("a knock"),
    _("a bell"),
    _("You are told of nothing"),
    _("a notification"),
    _("the title"),
    _(" and "),
    _("Notifications: {words}"),
    _("There was no sound: {why}"),
    _("This is how an SMS is told"),
    _("Order {amount} number · {total}"),
    _("Order {amount} numbers · {total}"),
    _("Told of all bookings by {ways}"),
    _("Told of your bookings by {ways}"),
)


def script_words() -> dict[str, str]:
    """By what the scripts hold: what they are to say instead. Empty for English."""
    if current() == settings.LANGUAGE_CODE:
        return {}
    # The sentences of X-Trouble come from the server, which cannot say German in a header.
    return {text: gettext(text) for text in (*WORDS, *STORAGE)} | {"Order": pgettext("to order", "Order")}
