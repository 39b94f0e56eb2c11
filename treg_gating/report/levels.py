"""How a tube stands, worst first: the traffic light of the report, in colour, shape and word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from treg_gating.gating.results import FlagLevel

if TYPE_CHECKING:
    from treg_gating.gating.results import SampleResult

__all__ = ["CLEAN", "FAILED", "LEVELS", "NOTE", "REVIEW", "UNUSED", "Level", "flag_level", "headline", "sample_level"]


@dataclass(frozen=True, slots=True)
class Level:
    """One colour of the traffic light.

    Parameters
    ----------
    rank : 0 is worst.
    key : name of the shape and the style.
    word : what stands beside the shape.
    meaning : a sentence for the legend.
    """

    rank: int
    key: str
    word: str
    meaning: str


FAILED = Level(0, "failed", "Failed", "the tube could not be processed; it has no numbers")
UNUSED = Level(1, "unused", "Not used", "processed, but a limit was broken or a gate failed: the value is not used")
REVIEW = Level(2, "review", "Review", "a person should look before the value is used")
NOTE = Level(3, "note", "Note", "for the record; no action needed")
CLEAN = Level(4, "clean", "Clean", "no flag")
LEVELS = (FAILED, UNUSED, REVIEW, NOTE, CLEAN)

_OF_FLAG = {FlagLevel.FAIL: UNUSED, FlagLevel.REVIEW: REVIEW, FlagLevel.NOTE: NOTE}


def flag_level(level: FlagLevel) -> Level:
    """The traffic light of one flag."""
    return _OF_FLAG[level]


def sample_level(result: SampleResult, numerator: str) -> Level:
    """The traffic light of a tube: its worst flag.

    A sample tube whose endpoint population is not estimable is not clean, whatever its flags say.
    """
    if result.status != "done":
        return FAILED
    levels = [flag_level(flag.level) for flag in result.flags]
    if _endpoint_fault(result, numerator):
        levels.append(UNUSED)
    return min(levels, key=lambda level: level.rank, default=CLEAN)


def headline(result: SampleResult, numerator: str) -> str:
    """Why the tube stands where it stands, in one line: the worst flag's text, and how many more there are."""
    if result.status != "done":
        return result.reason.removeprefix(f"{result.file}:").lstrip()  # the file's name stands beside it
    worst = sorted(result.flags, key=lambda flag: flag_level(flag.level).rank)
    fault = _endpoint_fault(result, numerator)
    if fault and not (worst and worst[0].level == FlagLevel.FAIL):
        return fault
    if not worst:
        return ""
    more = f" (+{len(worst) - 1} more)" if len(worst) > 1 else ""
    return worst[0].text + more


def _endpoint_fault(result: SampleResult, numerator: str) -> str:
    number = result.count(numerator)
    if result.role != "sample" or number is None or number.status == "ok":
        return ""
    return number.reason or f"{numerator} is {number.status.replace('_', ' ')}"
