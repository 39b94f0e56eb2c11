"""Flags: what a reader of a result must know, with its number and its limit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Flag", "FlagLevel"]


class FlagLevel(StrEnum):
    """How much a flag weighs."""

    NOTE = "note"  # for the record
    REVIEW = "review"  # a person should look before the value is used
    FAIL = "fail"  # the value is not used


@dataclass(frozen=True, slots=True)
class Flag:
    """Something a reader of the result must know.

    Parameters
    ----------
    code : stable identifier such as ``FEW_CD4``.
    text : what was met, with its number and the limit.
    population : where it applies; empty for the whole tube.
    """

    code: str
    level: FlagLevel
    text: str
    population: str = ""
