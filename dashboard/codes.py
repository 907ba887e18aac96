"""The one-time code in the text of an SMS.

`find_code` works in four steps, none of which knows a language: read the text (digits of every script become
ASCII, invisible characters go), collect candidates, drop those that a pattern explains otherwise (amount, phone,
date, link ...), score the rest by the words around them. What is known about languages and patterns is plain data
in `code_rules/`; every rule there carries samples that the tests run. Nothing here imports Django.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import islice

from .code_candidates import Candidate, Message, candidates, read
from .code_rules import KEY, KINDS, rules

MAX_TEXT = 12_000  # characters looked at; the longest real SMS (255 parts) is a rare machine's output
MAX_CANDIDATES = 80  # a text with more numbers than this is a list, not a message with a code
ACCEPT = 5.0
CONTEXT = 400  # characters after the last candidate that still say something about it

# One or more domains, one space, the code: WICG "Origin-bound one-time codes delivered via SMS". An embedded
# domain may follow (" @domain" in the draft, " %domain" at Apple): the code ends at the space before it.
_HOST = r"(?:localhost|[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})"
_BOUND = re.compile(rf"(?<!\S)@{_HOST}(?: @{_HOST}){{0,3}} #([^\s#]{{1,64}})")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[\n;。！？।؟۔]")
_APP_HASH = re.compile(r"(?<!\S)(?=\S*[A-Z])[A-Za-z0-9+/]{11}\s*$")
_JOINED_LEFT = re.compile(r"[+@_&\\]$|--$|\d[.,:/'*]$|[/*•.…xX]{2} ?$|[^\W\d_][/*•]$")
_JOINED_RIGHT = re.compile(r"[@_\\]|-+$|[.,:/'*]\d|\*\*|#$")
_FIRST = re.compile(r"\s*(?:<#>|\[#\]|[\[【(][^\[\]【】()\n]{1,24}[\]】)])?:?\s*$")
_TITLED = re.compile(r"\s*(?:[^\s\d:]{1,24} ?){1,3}[:\-] ?$")
_VANITY = re.compile(r"[A-Za-z]{3,}\d{0,4}[kK]?|\d{1,3}[A-Za-z]{3,}")  # SAVE20, 50OFF: made up by people, for a sale
_NUMERO = re.compile(r"(?<![^\W\d_])(?:n|no|nr|num|nro|br|sz|ref|crt|c|č)[.:] ")  # "order no. 4821": ends no sentence
_RETRIEVER = re.compile(r"\s*(?:<#>|\[#\])")
_OPENING, _CLOSING = "([{<\"'«“”„‘’「『【〔《*‹:=", ")]}>\"'»“”’」』】〕》*›"


@dataclass(slots=True)
class _Words:
    """Where words of one kind begin and end, in order."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def before(self, position: int) -> int | None:
        """Where the last word that ends at or before `position` ends."""
        index = bisect_right(self.ends, position)
        return self.ends[index - 1] if index else None

    def after(self, position: int) -> int | None:
        """Where the first word that begins at or after `position` begins."""
        index = bisect_left(self.starts, position)
        return self.starts[index] if index < len(self.starts) else None


def find_code(text: str) -> str | None:
    """The one-time code of the message, as a person types it, or None if it holds none.

    Digits of every script come back as ASCII, separators between groups of digits are removed ("123 456" and
    "G-123456" give "123456"), letters stay as written. Pure, never raises for a `str`, and linear in its length
    whatever it holds (issue 4, "Code finder").
    """
    text = text[:MAX_TEXT]
    if bound := _BOUND.findall(text):
        return str(bound[-1])
    message = read(text)
    found = _allowed(message, list(islice(candidates(message), MAX_CANDIDATES)))
    if not found:
        return None
    scorer = _Scorer(message, _known_words(message.folded[: found[-1].end + CONTEXT]), found)
    best = max(found, key=lambda candidate: (scorer.score(candidate), -candidate.start))
    return best.code if scorer.score(best) >= ACCEPT else None


# --- what a candidate is not --------------------------------------------------------------------------------------


def _allowed(message: Message, found: list[Candidate]) -> list[Candidate]:
    if not found:
        return []
    taken = bytearray(len(message.clean))
    for pattern in rules().vetoes:
        for match in pattern.finditer(message.folded, 0, found[-1].end + CONTEXT):
            taken[match.start() : match.end()] = b"\x01" * (match.end() - match.start())
    if match_of_hash := _APP_HASH.search(message.clean[-16:]):
        begin = len(message.clean[:-16]) + match_of_hash.start()
        if begin > 0:  # a text that is nothing but eleven characters is no hash line
            taken[begin:] = b"\x01" * (len(taken) - begin)
    return [c for c in found if not any(taken[c.start : c.end]) and not _measured(message, c)]


def _measured(message: Message, candidate: Candidate) -> bool:
    """Whether a currency, a unit or another number is fastened to the candidate."""
    clean, known = message.clean, rules()
    left = clean[max(0, candidate.start - 16) : candidate.start]
    right = clean[candidate.end : candidate.end + 24]
    if _JOINED_LEFT.search(left) or _JOINED_RIGHT.match(right):
        return True
    if candidate.code[0].isdigit() and candidate.code.isdigit():
        bare_left, bare_right = left.rstrip(" -"), right.lstrip(" -")
        if unicodedata.category((bare_left or " ")[-1]) == "Sc" or unicodedata.category((bare_right or " ")[0]) == "Sc":
            return True
        folded_left = message.folded[max(0, candidate.start - 16) : candidate.start]
        if known.currency_before.search(folded_left) or known.unit_after.match(message.folded, candidate.end):
            return True
        neighbours = re.findall(r"(?<![^\W\d_])[A-Z]{3}$", bare_left) + re.findall(r"^[A-Z]{3}(?![^\W\d_])", bare_right)
        return not known.iso_currencies.isdisjoint(neighbours)
    return False


# --- words around it ----------------------------------------------------------------------------------------------


def _known_words(folded: str) -> dict[str, _Words]:
    """Every known phrase, left to right; of those that begin together the longest ("zip code" over "zip")."""
    words: dict[str, _Words] = {kind: _Words() for kind in KINDS}
    phrases = rules().phrases
    position, length = 0, len(folded)
    while position < length:
        bucket = (
            phrases.get(folded[position : position + KEY])
            or phrases.get(folded[position : position + 3])
            or phrases.get(folded[position : position + 2])
            or phrases.get(folded[position])
        )
        for phrase, open_left, open_right, kind in bucket or ():
            if not folded.startswith(phrase, position) or not (open_left or _edge(folded, position - 1)):
                continue
            end = position + len(phrase)
            if open_right or _edge(folded, end):
                words[kind].starts.append(position)
                words[kind].ends.append(end)
                position = end - 1
                break
        position += 1
    return words


def _edge(folded: str, position: int) -> bool:
    if not 0 <= position < len(folded):
        return True
    character = folded[position]
    return not (character.isalpha() or unicodedata.category(character)[0] == "M")


class _Scorer:
    """Scores the candidates of one message; every question is a bisection, so the whole is linear."""

    def __init__(self, message: Message, words: dict[str, _Words], found: list[Candidate]) -> None:
        self.message = message
        self.words = words
        self.stops = [match.start() for match in _SENTENCE_END.finditer(message.clean)]
        self.begins = [candidate.start for candidate in found if candidate.code.isdigit()]
        self.alone = len(found) == 1 and _is_all(message.clean, found[0])
        self.offers = bool(words["offer"].starts) or "%" in message.clean
        self.message_bonus = self._message_bonus()

    def score(self, candidate: Candidate) -> float:
        score = candidate.shape + self._proximity(candidate) + self._surroundings(candidate)
        if len(candidate.code) == 3 and not self._is_named(candidate):
            return score - 7.0
        if score < 0 or self._is_labelled(candidate) or self._is_offered(candidate):
            return score - 7.0
        return score + self.message_bonus

    def _message_bonus(self) -> float:
        bonus = min(1.0, 0.5 * len(self.words["hint"].starts)) + (1.0 if self.words["secret"].starts else 0.0)
        bonus -= 1.0 if self.words["offer"].starts else 0.0
        if _RETRIEVER.match(self.message.clean):
            bonus += 2.0
        return bonus

    def is_bare(self, candidate: Candidate) -> bool:
        """Whether the message is a name and the candidate only: "61840 - Telegram", "Discord: 880-112"."""
        left, right = self.message.clean[: candidate.start], self.message.clean[candidate.end :]
        if (
            len(self.begins) > 1
            or len(left) + len(right) > 40
            or not candidate.code.isdigit()
            or len(candidate.code) < 4
        ):
            return False
        named, words = left.strip() or right.strip(), len(left.split()) + len(right.split())
        if re.search(r"[0-9%?!]", left + right) or words > 4 or not named:
            return False
        if bool(left.strip()) == bool(right.strip(" .")):
            return False
        joined = re.search(r"[:\-|>)\]】=][ \n]*$", left) or re.match(r"[ \n]*[:\-|(\[【]", right)
        return bool(joined) or (len(candidate.code) == 6 and words <= 3)

    def _standing(self, candidate: Candidate) -> float:
        """Whether it stands where messages put their code: "304815 - enter it", "Kestrel: 304815. Hurry", "It is this: 304815"."""
        if not candidate.code.isdigit() or not 4 <= len(candidate.code) <= 8:
            return 0.0
        left, right = self.message.clean[: candidate.start][-48:], self.message.clean[candidate.end :][:12]
        first = _FIRST.match(left) and re.match(r" ?[(\-:=]| ?[.,] |\n", right)
        titled = _TITLED.match(left) and candidate.start <= 48 and re.match(r" ?[.;,!?(\n]|$", right)
        last = len(self.begins) == 1 and re.search(r"[:=՝፦៖] ?$", left) and re.match(r"[ .]*(?:\(|\n|$)", right)
        long = len(candidate.code) >= (6 if last else 5)
        if first or titled or last:
            return 3.0 if long else 1.5
        hint = self.words["hint"].after(candidate.end)
        return 2.5 if long and hint is not None and _is_gap(self.message.clean[candidate.end : hint], 12) else 0.0

    def _boundaries(self, left: int, right: int) -> int:
        return bisect_left(self.stops, right) - bisect_left(self.stops, left)

    def _distance(self, left: int, right: int, per_line: int) -> float:
        """Characters between, with a surcharge for every sentence or line that ends in between."""
        lines = self.message.clean.count("\n", left, min(right, left + 400))
        return right - left + per_line * lines + 45 * max(0, self._boundaries(left, right) - lines)

    def _proximity(self, candidate: Candidate) -> float:
        code, signs_in, entered = self._near("code", candidate), self._near("sign_in", candidate), self._entered(candidate)
        return max(code + (1.0 if entered and code else 0.0), 0.65 * signs_in, entered + (0.5 if signs_in else 0.0))

    def _near(self, kind: str, candidate: Candidate) -> float:
        best = 0.0
        before = self.words[kind].before(candidate.start)
        if before is not None:
            best = _nearness(self._distance(before, candidate.start, 8))
            if "\n" not in self.message.clean[before : candidate.start] and self._boundaries(before, candidate.start):
                best = min(best, 3.0)  # "Never tell anybody your code. Report fraud on 1930"
        after = self.words[kind].after(candidate.end)
        if after is not None:
            gap = self._distance(candidate.end, after, 30) - 14  # "4821 is your": a few words are usual here
            best = max(best, _nearness(gap) - (2.0 if self._has_own(kind, after) else 0.5))
        return best

    def _has_own(self, kind: str, start: int) -> bool:
        """Whether a number follows the word at once: "contract 884120, PIN 92017" has its PIN."""
        end = self.words[kind].ends[bisect_left(self.words[kind].starts, start)]
        index = bisect_left(self.begins, end)
        return index < len(self.begins) and self.begins[index] - end <= 3

    def _is_named(self, candidate: Candidate) -> bool:
        """Whether a word for a code stands right before it; without one, three digits are rather a hotline."""
        before = self.words["code"].before(candidate.start)
        if before is not None and candidate.start - before <= 8:
            return True
        after = None if self.words["secret"].starts else self.words["code"].after(candidate.end)
        return after is not None and _is_gap(self.message.clean[candidate.end : after], 12)

    def _entered(self, candidate: Candidate) -> float:
        """Whether the message asks to type the candidate in: "enter 4821", "4821 eingeben", "4821を入力"."""
        before, after = self.words["enter"].before(candidate.start), self.words["enter"].after(candidate.end)
        if before is not None and _is_gap(self.message.clean[before : candidate.start], 12):
            return 3.5
        secret = self.words["secret"].before(candidate.start)
        if secret is not None and candidate.start - secret <= 2:
            return 3.5  # "Don't share 4821 with anybody"
        if after is not None and _is_gap(self.message.clean[candidate.end : after], 9):
            return 3.5
        if after is not None and _is_gap(self.message.clean[candidate.end : after], 32):
            return 2.5
        return 0.0

    def _surroundings(self, candidate: Candidate) -> float:
        clean = self.message.clean
        left, right = clean[: candidate.start].rstrip(" ")[-24:], clean[candidate.end :][:24].lstrip(" ")
        bonus = 0.0
        if self.alone and candidate.shape >= -0.5 and (candidate.code.isdigit() or 5 <= len(candidate.code) <= 8):
            return 6.0
        bonus += 3.5 if self.is_bare(candidate) else self._standing(candidate)
        if left[-1:] and left[-1] in _OPENING:
            bonus += 1.0
            bonus += 0.5 if right[:1] and right[0] in _CLOSING else 0.0
        elif rules().connector.search(self.message.folded, max(0, candidate.start - 12), candidate.start):
            bonus += 1.5
        if (not left or left[-1] == "\n") and (not right or right[0] == "\n"):
            bonus += 1.0
        if not left.strip():
            bonus += 0.5
        if candidate.code in clean[: candidate.start] or candidate.code in clean[candidate.end :]:
            bonus += 1.0  # once more, mostly in a link
        if candidate.shape <= -4.0:  # letters only: a code when it stands like one, else a word in capitals
            bonus += 2.5 if left[-1:] in (":", "\n", "=") and re.match(r"[\n.,;)]|$", right) else -6.0
        return bonus - (2.5 if left[-1:] in ("#", "№") else 0.0)

    def _is_offered(self, candidate: Candidate) -> bool:
        """Whether it is the code of a discount, a voucher or a gift: those are made of letters, mostly."""
        offers = self.words["offer"]
        if candidate.code.isdigit():
            before = offers.before(candidate.start)
            return before is not None and candidate.start - before <= 10 and not self._boundaries(before, candidate.start)
        if _VANITY.fullmatch(candidate.code) and self.offers:
            return True
        before, after = offers.before(candidate.start), offers.after(candidate.end)
        return (before is not None and not self._boundaries(before, candidate.start)) or (
            after is not None and not self._boundaries(candidate.end, after)
        )

    def _is_labelled(self, candidate: Candidate) -> bool:
        """Whether the number belongs to a word such as "order" or "flight" rather than to a word for a code."""
        code_before = self.words["code"].before(candidate.start)
        label = self.words["label"].before(candidate.start)
        if len(candidate.code) == 6 and self.is_bare(candidate) and self.words["label"].starts[:1] != [0]:
            return False  # "grubhub order 771332": who tells about an order says more than that
        near_sign_in = self.words["sign_in"].before(candidate.start)
        nearest = max(code_before or 0, near_sign_in or 0)  # "to verify order 12, 4821" against "to verify 4821"
        if label is not None and label > nearest:
            between = self.message.folded[label : candidate.start]
            between = _NUMERO.sub(" ", between)
            attached = len(between) <= 24 and not re.search(r"^\.\w|[,;.!?]\s|\n[^\n]*\n|\S *\n|[)\]】]", between)
            explained = (
                code_before is not None
                and self._boundaries(code_before, candidate.start) == 0
                and not any(code_before <= other < label for other in self.begins)  # "code 4821 (ref: 7704)"
                and (len(between) > 12 or rules().connector.search(between) or between.strip() in (":", "="))
            )
            if attached and not explained:
                return True
        label = self.words["label"].after(candidate.end)
        code_after = self.words["code"].after(candidate.end)
        if label is None or (code_after is not None and not self._boundaries(candidate.end, code_after)):
            return False  # "4821 is your account code"
        near_code = code_before is not None and candidate.start - code_before <= 12
        attached = label - candidate.end <= 3 and not re.search(
            r"[.!?,;،，、\n(\[]", self.message.clean[candidate.end : label]
        )
        return attached and not near_code


def _is_all(clean: str, candidate: Candidate) -> bool:
    """Whether the message is the code and nothing else."""
    rest = clean[: candidate.start] + clean[candidate.end :]
    return len(rest) < 40 and not any(character.isalnum() for character in rest)


def _is_gap(between: str, limit: int) -> bool:
    """Whether two things with this between them stand in one phrase: little, and neither a number nor an end."""
    return len(between) <= limit and not re.search(r"[0-9.!?;\n。！？।]", between)


def _nearness(gap: float) -> float:
    for limit, value in ((4, 6.0), (14, 5.5), (32, 5.0), (60, 4.0), (100, 3.0), (160, 2.0)):
        if gap <= limit:
            return value
    return 1.0
