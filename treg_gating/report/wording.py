"""Numbers in words and print: one way to write a percentage, a count and an interval everywhere."""

from __future__ import annotations

import math

__all__ = ["ABSENT", "count", "day", "interval", "mfi", "percent", "plural", "population_name", "significant"]

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
    """A percentage for print: "6.13 %"; near the ends as many digits as keep it from reading 0 or 100."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value >= 99.95 and value < 100:
        return f"{min(value, 99.999):.3f} %"
    return f"{significant(value)} %"


def interval(low: float | None, high: float | None) -> str:
    """Two ends as "5.90–6.37"; a dash where one is missing."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ABSENT
    return f"{significant(low)}–{significant(high)}"


def count(value: float | None) -> str:
    """A whole number with thousands marked: "12,345"."""
    return ABSENT if value is None or not math.isfinite(value) else f"{round(value):,}"


def mfi(value: float | None) -> str:
    """An intensity to three digits, whole above 100."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{round(value):,}".replace("-", "−") if abs(value) >= 100 else significant(value)


def plural(n: int, one: str, many: str = "") -> str:
    """ "1 tube", "2 tubes"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def day(value: float | None) -> str:
    """A study day as "day 0"; empty where there is none."""
    return "" if value is None else f"day {value:g}".replace("-", "−")


def population_name(name: str) -> str:
    """A population's name with underscores opened to spaces, as it stands in titles."""
    return name.replace("_", " ")
