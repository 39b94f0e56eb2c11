"""Numbers in words and print: one way to write a percentage, a count and an interval everywhere."""

from __future__ import annotations

import math
import re

__all__ = [
    "ABSENT",
    "count",
    "day",
    "interval",
    "mfi",
    "percent",
    "percent_digits",
    "plural",
    "population_name",
    "significant",
]

ABSENT = "–"


def significant(value: float | None, digits: int = 3) -> str:
    """A number with `digits` significant digits, never in exponents; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.replace("-", "−")


def percent(value: float | None) -> str:
    """A percentage for print: "6.13 %"."""
    digits = percent_digits(value)
    return digits if digits == ABSENT else f"{digits} %"


def percent_digits(value: float | None) -> str:
    """A percentage without its sign: three digits, more where it would else read 100 and is not."""
    if value is not None and 99.95 <= value < 100:
        return f"{min(value, 99.99):.2f}"
    return significant(value)


def interval(low: float | None, high: float | None) -> str:
    """Two ends of an interval of percentages as "5.90–6.37"; a dash where one is missing."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ABSENT
    return f"{percent_digits(low)}–{percent_digits(high)}"


def count(value: float | None) -> str:
    """A whole number with thousands marked: "12,345"."""
    return ABSENT if value is None or not math.isfinite(value) else f"{round(value):,}"


def mfi(value: float | None) -> str:
    """An intensity to three digits, whole above 100."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{round(value):,}".replace("-", "−") if abs(value) >= 100 else significant(value)


def plural(n: int, one: str, many: str = "") -> str:
    """Count and noun: 1 tube, 2 tubes."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def day(value: float | None) -> str:
    """A study day as "day 0"; empty where there is none."""
    return "" if value is None else f"day {value:g}".replace("-", "−")


_WORDS = {"t": "T", "b": "B", "nk": "NK", "treg": "Treg", "tregs": "Tregs", "tconv": "Tconv", "foxp3": "FOXP3"}


def population_name(name: str) -> str:
    """A population's name as the field writes it: "cd4_t" is "CD4 T", "naive_treg" is "naive Treg"."""
    words = (_WORDS.get(word, re.sub(r"\bcd(?=\d)", "CD", word)) for word in name.split("_"))
    return " ".join(words)
