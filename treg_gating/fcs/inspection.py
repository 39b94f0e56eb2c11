"""What is found while one file is read: an error to raise, or warnings to keep."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import NoReturn

from treg_gating.errors import FCSError
from treg_gating.fcs.codes import ERRORS, WARNINGS
from treg_gating.fcs.remembered import remembered
from treg_gating.sample import SampleWarning

__all__ = ["Inspection", "shown", "whole_number"]

_INTEGER = re.compile(r"\+?0*[0-9]{1,18}")  # some software pads with zeros to twenty digits and more
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def shown(value: object, limit: int = 60) -> str:
    """`value` as it may stand in a message: quoted, without control characters, cut to `limit`."""
    text = ascii(value) if isinstance(value, bytes) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


@remembered
def whole_number(text: str) -> int | None:
    """A number ≥ 0 in plain digits, with blanks around it and zeros before it as there may be; None for anything else.

    >>> whole_number(" +" + "0" * 5000 + "17 "), whole_number("1e3")
    (17, None)
    """
    digits = text.strip()
    return int(digits.lstrip("+0") or "0") if _INTEGER.fullmatch(digits) else None  # int() refuses very long texts


@remembered
def _decimal(digits: str) -> float:
    """A number with a point or without; NaN for anything else."""
    return float(digits) if _NUMBER.fullmatch(digits) else math.nan


def _listed(places: list[str], limit: int = 6) -> str:
    return ", ".join(places[:limit]) + (f" and {len(places) - limit} more" if len(places) > limit else "")


@dataclass
class Inspection:
    """The one place through which every fault of a file goes.

    Parameters
    ----------
    path : the file, for messages.
    """

    path: str
    _oddities: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def refuse(self, code: str, problem: str, *, where: str = "", found: str = "", expected: str = "") -> NoReturn:
        """Raise the error, with the action that goes with its code."""
        action = ERRORS[code][1]
        raise FCSError(code, problem, file=self.path, where=where, found=found, expected=expected, action=action)

    def warn(self, code: str, text: str, where: str = "") -> None:
        """Keep a warning; those that say the same of several keywords become one."""
        if code not in WARNINGS:
            raise KeyError(code)
        self._oddities.setdefault((code, text), []).append(where)

    def adopt(self, other: Inspection) -> None:
        """Keep the warnings of another look at the same file."""
        for key, places in other._oddities.items():
            self._oddities.setdefault(key, []).extend(places)

    @property
    def warnings(self) -> tuple[SampleWarning, ...]:
        """All warnings, in the order they were first met."""
        return tuple(
            SampleWarning(code, f"{_listed(places)}: {text}" if any(places) else text)
            for (code, text), places in self._oddities.items()
        )

    def integer(self, text: str, where: str, code: str = "E_KEYWORD") -> int:
        """A whole number ≥ 0 in plain digits, blanks around it allowed."""
        value = whole_number(text)
        if value is None:
            self.refuse(code, "not a whole number", where=where, found=shown(text), expected="digits")
        return value

    def number(self, text: str, where: str) -> float:
        """A finite decimal number with a point, blanks around it allowed."""
        value = _decimal(text.strip())
        if not abs(value) < 1e300:
            self.refuse("E_KEYWORD", "not a number", where=where, found=shown(text), expected="a decimal number")
        return value
