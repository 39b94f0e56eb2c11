"""What a run's outputs say of a tube as a whole: a few words and numbers, small enough to be held for every tube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from treg_gating.flags import FlagLevel

if TYPE_CHECKING:
    from treg_gating.gating.results import SampleResult

__all__ = ["TubeSummary", "result_state", "tube_summary"]


@dataclass(frozen=True, slots=True)
class TubeSummary:
    """One tube of a run; what is not told here is as in :class:`treg_gating.gating.results.SampleResult`.

    Parameters
    ----------
    state : see :func:`result_state`.
    verdict, stale : what persons decided, empty where nobody did, and how many of their decisions are not applied.
    """

    tube_id: str
    file: str
    subject: str
    visit: str
    batch: str
    status: str
    stage: str
    code: str
    reason: str
    sha256: str
    n_events: int
    acquired: str
    cytometer: str
    compensation: str
    state: str
    verdict: str
    stale: int


_SAME = tuple(name for name in TubeSummary.__slots__ if name not in {"state", "verdict", "stale"})


def tube_summary(result: SampleResult) -> TubeSummary:
    """What a result comes to."""
    verdict, stale = (result.review.verdict, len(result.review.stale)) if result.review is not None else ("", 0)
    same = {name: getattr(result, name) for name in _SAME}
    return TubeSummary(**same, state=result_state(result), verdict=verdict, stale=stale)


def result_state(result: SampleResult) -> str:
    """What came of a tube: "done", "review" where a flag asks for a look, or "failed"."""
    if result.status != "done":
        return "failed"
    return "review" if any(flag.level is not FlagLevel.NOTE for flag in result.flags) else "done"
