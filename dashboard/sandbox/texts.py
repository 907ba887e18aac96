"""Believable messages: which sender, which language, which form of code.

The choice is the caller's random source.
"""

from __future__ import annotations

from random import Random

from .hostile import HOSTILE
from .phrases import CARRIERS, CODES, FIRST_NAMES, NOTES, OWN_WORDS, SPOKEN, TWO_PARTS

# Senders of people who write to a rented number from anywhere, in languages its country does not speak.
ELSEWHERE = ("ru", "zh", "ar", "ja", "ko", "fr", "es", "it", "tr")
FULL_RENTAL_SERVICES = ("Vinted", "Airbnb", "Steam", "Revolut", "Bolt", "Booking.com", "Wise", "LinkedIn")


def digits(rng: Random, count: int) -> str:
    """`count` random digits, leading zeros included."""
    return "".join(rng.choice("0123456789") for _ in range(count))


def code(rng: Random) -> str:
    """A one-time code in one of the forms seen in the wild."""
    form = rng.random()
    if form < 0.55:
        return digits(rng, 6)
    if form < 0.70:
        return digits(rng, 4)
    if form < 0.78:
        return digits(rng, 5)
    if form < 0.83:
        return digits(rng, 8)
    if form < 0.90:
        return f"{digits(rng, 3)}-{digits(rng, 3)}"
    if form < 0.95:
        return f"{digits(rng, 3)} {digits(rng, 3)}"
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    return "".join(rng.choice(letters if place % 2 == 0 else "23456789") for place in range(6))


def message(country: str, service: str, rng: Random, *, hostile: float = 0.0) -> list[tuple[str, str]]:
    """What a number of `country` rented for `service` ("": any) hears next: one or two (sender, text)."""
    if rng.random() < hostile:
        return [rng.choice(HOSTILE)]
    kind = rng.random()
    if kind < (0.05 if service else 0.25):
        return [_note(country, rng)]
    if kind < (0.12 if service else 0.30):
        return _two_parts(service or rng.choice(FULL_RENTAL_SERVICES), rng)
    return [_with_code(country, service or rng.choice(FULL_RENTAL_SERVICES), rng)]


def _with_code(country: str, service: str, rng: Random) -> tuple[str, str]:
    if service in OWN_WORDS and rng.random() < 0.6:
        sender, pattern = rng.choice(OWN_WORDS[service])
        return sender, pattern.format(
            three=digits(rng, 3),
            three2=digits(rng, 3),
            four=digits(rng, 4),
            five=digits(rng, 5),
            six=digits(rng, 6),
        )
    name = service.split(",")[0]
    language = rng.choice(ELSEWHERE) if rng.random() < 0.12 else rng.choice(SPOKEN[country])
    pattern = rng.choice(CODES[language])
    secret = code(rng)
    if language == "ar" and rng.random() < 0.3:
        secret = secret.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    sender = name[:11] if rng.random() < 0.8 else rng.choice(CARRIERS)
    return sender, _filled(pattern, name, secret, rng)


def _note(country: str, rng: Random) -> tuple[str, str]:
    language = rng.choice(SPOKEN[country])
    return rng.choice(CARRIERS), _filled(rng.choice(NOTES.get(language, NOTES["en"])), "", "", rng)


def _two_parts(service: str, rng: Random) -> list[tuple[str, str]]:
    _, first, second = rng.choice(TWO_PARTS)
    name = service.split(",")[0]
    secret, seed = code(rng), rng.random()
    return [(name[:11], _filled(part, name, secret, Random(seed))) for part in (first, second)]


def _filled(pattern: str, service: str, secret: str, rng: Random) -> str:
    return pattern.format(
        service=service,
        code=secret,
        minutes=rng.choice((3, 5, 10, 15)),
        name=rng.choice(FIRST_NAMES),
        amount=f"{rng.randint(1, 90)},{rng.randint(0, 99):02d}",
    )
