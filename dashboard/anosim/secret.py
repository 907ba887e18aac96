"""The API key, held so that no repr, log line or error text can show it."""

import base64
from urllib.parse import quote

PIECE = 8  # a shorter run of the key's characters gives nothing away and may be an ordinary word
SHORTEST = 4  # no key is shorter, and hiding single letters would spoil every text


class Key:
    """Knows the key, writes the one header that carries it, and removes it from foreign text."""

    __slots__ = ("_forms", "_value")

    def __init__(self, value: str) -> None:
        self._value = value.strip()
        encoded = base64.b64encode(self._value.encode("utf-8", "replace")).decode().rstrip("=")
        self._forms = (self._value, quote(self._value, safe="", errors="replace"), encoded)

    def __repr__(self) -> str:
        return "<Key>"

    @property
    def fault(self) -> str:
        """Why this cannot be a key, in one sentence, or "". A header takes visible ASCII characters only."""
        if not self._value:
            return "No API key is set."
        if not all("!" <= character <= "~" for character in self._value):
            return "The API key holds spaces or other characters that no key has; please enter it again."
        return ""

    def bearer(self) -> str:
        """The value of the Authorization header (anosim-api.md, Authentication: never in a URL)."""
        return f"Bearer {self._value}"

    def hide(self, words: str) -> str:
        """The text without the key: a provider's error text may quote it, whole, in part, or encoded."""
        hit = [False] * len(words)
        for form in self._forms:
            size = min(PIECE, len(form))
            if size < SHORTEST:
                continue
            pieces = {form[at : at + size].lower() for at in range(len(form) - size + 1)}
            for at in range(len(words) - size + 1):
                if words[at : at + size].lower() in pieces:
                    hit[at : at + size] = [True] * size
        shown = []
        for at, character in enumerate(words):
            if not hit[at]:
                shown.append(character)
            elif at == 0 or not hit[at - 1]:
                shown.append("[key]")
        return "".join(shown)
