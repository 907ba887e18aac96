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
HEAD = 48  # characters in which a message says who it is from
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
_TWO_WORDS = re.compile(r"[^\s:]+ [^\s:]+ ")
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
        self.ends = [candidate.end for candidate in found if candidate.code.isdigit()]
        self.alone = len(found) == 1 and _is_all(message.clean, found[0])
        self.offers = bool(words["offer"].starts) or "%" in message.clean
        self.is_about_access = any(words[kind].starts for kind in ("code", "sign_in", "secret", "hint"))
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

    def _is_bare(self, candidate: Candidate) -> bool:
        """Whether the message is a name and the candidate only: "61840 - Telegram", "Discord: 880-112"."""
        clean, code = self.message.clean, candidate.code
        if len(self.begins) != 1 or not code.isdigit() or len(code) < 4 or len(clean) > 40 + len(code):
            return False
        left, right = clean[: candidate.start], clean[candidate.end :]
        words = len(left.split()) + len(right.split())
        if words > 4 or bool(left.strip()) == bool(right.strip(" .")) or re.search(r"[0-9%?!]", left + right):
            return False
        if self.words["number"].starts and not self.is_about_access:
            return False  # "Your new customer number: 482913"
        joined = re.search(r"[:\-|>)\]】=][ \n]*$", left) or re.match(r"[ \n]*[:\-|(\[【]", right)
        return bool(joined) or (len(code) == 6 and words <= 3)

    def _standing(self, candidate: Candidate) -> float:
        """Whether it stands where codes do: "304815 - enter it", "Kestrel: 304815. Hurry", "To be sure: 304815"."""
        if not candidate.code.isdigit() or not 4 <= len(candidate.code) <= 8:
            return 0.0
        right = self.message.clean[candidate.end : candidate.end + 12]
        first = self._is_first(candidate) and re.match(r" ?[(\-:=]| ?[.,] |\n", right)
        titled = candidate.start <= HEAD and _TITLED.match(self.message.clean[: candidate.start])
        if first or (titled and re.match(r" ?[.;,!?(\n]|$", right)):
            return 3.0 if len(candidate.code) >= 5 else 1.5
        last = self.is_about_access and len(self.begins) == 1 and re.match(r"[ .]*(?:\(|\n|$)|[.。] ?", right)
        if last and re.search(r"[:=՝፦៖] ?$", self.message.clean[: candidate.start][-2:]):
            return 3.0 if len(candidate.code) >= 6 else 1.5
        valid = self.words["hint"].after(candidate.end)
        if len(candidate.code) >= 5 and self._is_gap(candidate.end, valid, 12) and right[:1] != ")":
            return 2.5
        sole = len(candidate.code) == 6 and len(self.begins) == 1 and self.words["sign_in"].starts
        return 1.5 if sole and not self.words["offer"].starts else 0.0

    def _is_first(self, candidate: Candidate) -> bool:
        """Whether nothing stands before it but who sends the message: "[Kestrel] 304815"."""
        return candidate.start <= HEAD and bool(_FIRST.match(self.message.clean[: candidate.start]))

    def _is_gap(self, left: int | None, right: int | None, limit: int) -> bool:
        """Whether two things stand in one phrase: little is between them, and neither a number nor an end."""
        if left is None or right is None or right - left > limit:
            return False
        return not re.search(r"[0-9.!?;\n。！？।]", self.message.clean[left:right])

    def _boundaries(self, left: int, right: int) -> int:
        return bisect_left(self.stops, right) - bisect_left(self.stops, left)

    def _distance(self, left: int, right: int, per_line: int) -> float:
        """Characters between, with a surcharge for every sentence or line that ends in between."""
        lines = self.message.clean.count("\n", left, min(right, left + 400))
        return right - left + per_line * lines + 45 * max(0, self._boundaries(left, right) - lines)

    def _proximity(self, candidate: Candidate) -> float:
        code, signs_in = self._near("code", candidate), self._near("sign_in", candidate)
        entered = self._entered(candidate)
        return max(code + (1.0 if entered and code else 0.0), 0.65 * signs_in, entered + (0.5 if signs_in else 0.0))

    def _near(self, kind: str, candidate: Candidate) -> float:
        best = 0.0
        before = self.words[kind].before(candidate.start)
        if before is not None:
            best = _nearness(self._distance(before, candidate.start, 8))
            lines = self.message.clean.count("\n", before, candidate.start)
            if not lines and self._boundaries(before, candidate.start):
                best = min(best, 3.0)  # "Never tell anybody your code. Report fraud on 1930"
            elif candidate.start - before > 4 and self._is_taken(kind, before):
                best -= 1.5
        after = self.words[kind].after(candidate.end)
        if after is not None:
            gap = self._distance(candidate.end, after, 30) - 14  # "4821 is your": a few words are usual here
            best = max(best, _nearness(gap) - (2.0 if self._has_own(kind, after) else 0.5))
        return best

    def _is_taken(self, kind: str, end: int) -> bool:
        """Whether a number stands right before the word: "273055 kodu ile (44710)"."""
        start = self.words[kind].starts[bisect_left(self.words[kind].ends, end)]
        index = bisect_right(self.ends, start)
        return index > 0 and start - self.ends[index - 1] <= 1

    def _has_own(self, kind: str, start: int) -> bool:
        """Whether a number follows the word at once: "contract 884120, PIN 92017" has its PIN."""
        end = self.words[kind].ends[bisect_left(self.words[kind].starts, start)]
        index = bisect_left(self.begins, end)
        return index < len(self.begins) and self.begins[index] - end <= 3

    def _is_named(self, candidate: Candidate) -> bool:
        """Whether a word for a code stands right at it; without one, three digits are rather a hotline."""
        before, after = self.words["code"].before(candidate.start), self.words["code"].after(candidate.end)
        if before is not None and candidate.start - before <= 8:
            return True
        return not self.words["secret"].starts and self._is_gap(candidate.end, after, 12)

    def _entered(self, candidate: Candidate) -> float:
        """Whether the message asks to type the candidate in: "enter 4821", "4821 eingeben", "4821を入力"."""
        after = self.words["enter"].after(candidate.end)
        if (
            self._is_gap(self.words["enter"].before(candidate.start), candidate.start, 12)
            or self._is_gap(self.words["secret"].before(candidate.start), candidate.start, 2)  # "Don't share 4821"
            or self._is_gap(candidate.end, after, 9)
        ):
            return 3.5
        return 2.5 if self._is_gap(candidate.end, after, 32) else 0.0

    def _surroundings(self, candidate: Candidate) -> float:
        clean = self.message.clean
        left, right = clean[: candidate.start].rstrip(" ")[-24:], clean[candidate.end :][:24].lstrip(" ")
        bonus = 0.0
        if self.alone and candidate.shape >= -0.5 and (candidate.code.isdigit() or 5 <= len(candidate.code) <= 8):
            return 6.0
        bonus += 3.5 if self._is_bare(candidate) else self._standing(candidate)
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
            return (
                before is not None and candidate.start - before <= 10 and not self._boundaries(before, candidate.start)
            )
        if _VANITY.fullmatch(candidate.code) and self.offers:
            return True
        before, after = offers.before(candidate.start), offers.after(candidate.end)
        return (before is not None and not self._boundaries(before, candidate.start)) or (
            after is not None and not self._boundaries(candidate.end, after)
        )

    def _is_labelled(self, candidate: Candidate) -> bool:
        """Whether the number belongs to a word such as "order" or "flight" rather than to a word for a code."""
        code_after = self.words["code"].after(candidate.end)
        if self._is_gap(candidate.end, code_after, 1):
            return False  # "tell the operator 662094 code", where the order of words is so
        return self._labelled_before(candidate) or self._labelled_after(candidate, code_after)

    def _labelled_before(self, candidate: Candidate) -> bool:
        label, number = self.words["label"].before(candidate.start), self.words["number"].before(candidate.start)
        code, sign_in = self.words["code"].before(candidate.start), self.words["sign_in"].before(candidate.start)
        if number is not None and number > (label or 0) and not self._speaks_of_codes(candidate):
            label = number  # "your new customer number: 482913", but "to confirm your number: 482913"
        if label is None or label <= max(code or 0, sign_in or 0) or candidate.start - label > 28:
            return False  # "to verify order 12, 4821" against "to verify 4821"
        if any(label <= other < candidate.start for other in self.begins):
            return False  # "to sign contract 4471 enter 815504"
        entered = self._is_gap(candidate.end, self.words["enter"].after(candidate.end), 9)
        if (entered and candidate.start - label > 2) or (self.words["enter"].before(candidate.start) or 0) > label:
            return False  # "sözleşmeyi imzalamak için 815504 girin"
        named = len(candidate.code) == 6 and _TWO_WORDS.fullmatch(self.message.clean[: candidate.start][:HEAD])
        if named and self.words["label"].starts[:1] != [0] and self._is_bare(candidate):
            return False  # "grubhub order 771332": who tells about an order says more than that
        between = _NUMERO.sub(" ", self.message.folded[label : candidate.start])
        if len(between) > 24 or re.search(r"^\.\w|[,;.!?]\s|\n[^\n]*\n|\S *\n|[)\]】]", between):
            return False
        if code is None or self._boundaries(code, candidate.start):
            return True
        if any(code <= other < label for other in self.begins):
            return True  # "code 4821 (ref: 7704)"
        return not (len(between) > 12 or rules().connector.search(between) or between.strip() in (":", "="))

    def _speaks_of_codes(self, candidate: Candidate) -> bool:
        """Whether the sentence of the candidate says what codes are for."""
        for kind in ("code", "sign_in", "enter"):
            before, after = self.words[kind].before(candidate.start), self.words[kind].after(candidate.end)
            if before is not None and not self._boundaries(before, candidate.start):
                return True
            if after is not None and not self._boundaries(candidate.end, after):
                return True
        return False

    def _labelled_after(self, candidate: Candidate, code_after: int | None) -> bool:
        kinds = ("label",) if self.is_about_access else ("label", "number")
        label = min((at for kind in kinds if (at := self.words[kind].after(candidate.end)) is not None), default=None)
        if label is None or (code_after is not None and not self._boundaries(candidate.end, code_after)):
            return False  # "4821 is your account code"
        code_before = self.words["code"].before(candidate.start)
        near = code_before is not None and candidate.start - code_before <= 12
        if near and not re.search(r"[,،，、]", self.message.clean[code_before : candidate.start]):
            return False
        if any(self._has_own(kind, label) for kind in kinds if label in self.words[kind].starts):
            return False  # "code 619350 card 8821"
        if self._is_gap(self.words["enter"].before(candidate.start), candidate.start, 12):
            return False
        others = [self.words[kind].after(candidate.end) for kind in ("sign_in", "enter")]
        first = self._is_first(candidate) and not any(other is not None and other < label for other in others)
        if label - candidate.end > (24 if first else 3):  # "482913 is the number of your order"
            return False
        return not re.search(r"[.!?,;،，、\n(\[]", self.message.clean[candidate.end : label])


def _is_all(clean: str, candidate: Candidate) -> bool:
    """Whether the message is the code and nothing else."""
    rest = clean[: candidate.start] + clean[candidate.end :]
    return len(rest) < 40 and not any(character.isalnum() for character in rest)


def _nearness(gap: float) -> float:
    for limit, value in ((4, 6.0), (14, 5.5), (32, 5.0), (60, 4.0), (100, 3.0), (160, 2.0)):
        if gap <= limit:
            return value
    return 1.0
