"""What can go wrong at the provider, sorted by what to do next (issue 2, anosim-api.md "Wild facts").

Every text is one or two plain sentences fit for a page. None holds the API key, the query of a URL, or words
of the HTTP library: those quote the request.
"""


class AnosimError(Exception):
    """The base of the five. `text` says what happened, in words for people."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class TryLater(AnosimError):
    """The provider is down, slow, unreachable or asks to wait: repeat later.

    `retry_after` is the wait that the provider asked for, in seconds (0 to 900), or None.
    `throttled` is True for "too many calls" (429).
    `passing` is True where a try at once may already help; the client has used its own tries up.
    """

    def __init__(
        self, text: str, retry_after: float | None = None, throttled: bool = False, *, passing: bool = False
    ) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.throttled = throttled
        self.passing = passing


class BadKey(AnosimError):
    """The provider does not accept the API key (401, 403), or it cannot be one. Repeating is useless."""


class Refused(AnosimError):
    """The provider understood and said no. `text` holds its own words, cleaned, at most 300 characters."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Unreadable(AnosimError):
    """The answer is not what the contract promises: a web page, cut off, misshapen, too large, a redirect.

    `passing` as in TryLater: maintenance pages and cut answers pass, a wrong base URL does not.
    """

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class OutcomeUnknown(AnosimError):
    """A call that spends money or changes a booking may or may not have taken effect.

    Find out by reading orders, bookings and balance; never by sending again (anosim-api.md, wild fact 6).
    """
