"""One check of a qualification: what was expected, what was found, and whether that will do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Verdict"]


class Verdict(StrEnum):
    """What a check came to."""

    PASSED = "passed"
    FAILED = "FAILED"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the report.

    Parameters
    ----------
    part : "IQ" or "OQ".
    name : what was checked. expected, found : in words or numbers.
    """

    part: str
    name: str
    expected: str
    found: str
    verdict: Verdict
