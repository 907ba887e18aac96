"""Mobile numbers that look real: each pattern is a range which its country really gives to mobile phones."""

from __future__ import annotations

from random import Random

# Each character is itself, `x` any digit; a pattern is the whole number in E.164 without the plus sign.
PATTERNS: dict[str, tuple[str, ...]] = {
    "CzechRepublic": ("420601xxxxxx", "420604xxxxxx", "420721xxxxxx", "420732xxxxxx", "420775xxxxxx"),
    "Germany": (
        "491512xxxxxxx",
        "491516xxxxxxx",
        "491522xxxxxxx",
        "4917xxxxxxxx",
        "491577xxxxxxx",
        "49176xxxxxxxx",
    ),
    "Lithuania": ("37060xxxxxx", "37061xxxxxx", "37065xxxxxx", "37068xxxxxx"),
    "Netherlands": ("3161xxxxxxx", "3162xxxxxxx", "3164xxxxxxx", "3165xxxxxxx"),
    "UnitedKingdom": ("4474xxxxxxxx", "4475xxxxxxxx", "4479xxxxxxxx", "4478xxxxxxxx"),
    "Poland": ("4850xxxxxxx", "4851xxxxxxx", "4860xxxxxxx", "4866xxxxxxx", "4879xxxxxxx", "4888xxxxxxx"),
    "Portugal": ("35191xxxxxxx", "35193xxxxxxx", "35196xxxxxxx"),
    "Sweden": ("4670xxxxxxx", "4672xxxxxxx", "4673xxxxxxx", "4676xxxxxxx"),
    "Cyprus": ("35799xxxxxx", "35797xxxxxx", "35796xxxxxx"),
    "Kenya": ("25470xxxxxxx", "25471xxxxxxx", "25472xxxxxxx", "25479xxxxxxx"),
    "SouthAfrica": ("2760xxxxxxx", "2771xxxxxxx", "2772xxxxxxx", "2782xxxxxxx", "2783xxxxxxx"),
}


def mobile(country: str, rng: Random) -> str:
    """A mobile number of `country` (a key of PATTERNS) in E.164, e.g. `+420601234567`."""
    pattern = rng.choice(PATTERNS[country])
    return "+" + "".join(rng.choice("0123456789") if sign == "x" else sign for sign in pattern)
