"""Descriptive numbers by arm and visit, disposition, responders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.proportion import clopper_pearson
from treg_gating.statistics.trial import TrialData

__all__ = ["Disposition", "Responders", "Summary", "dispositions", "responders", "summaries"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Summary:
    """Values of one arm at one visit; NaN where they are too few.

    `geometric_mean` and `geometric_cv_pct` are for values that are all above 0.
    """

    arm: str
    visit: str
    n: int
    missing: int
    mean: float
    sd: float
    median: float
    q1: float
    q3: float
    least: float
    most: float
    geometric_mean: float
    geometric_cv_pct: float


@dataclass(frozen=True, slots=True)
class Disposition:
    """What became of the visits of one arm: subjects, and visits with and without a value."""

    arm: str
    visit: str
    subjects: int
    with_value: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Responders:
    """Subjects whose value reached a multiple of their baseline, with the exact 95 % interval."""

    arm: str
    n: int
    responders: int
    low_pct: float
    high_pct: float


def _columns(trial: TrialData) -> list[tuple[str, Floats]]:
    after = [(name, trial.values[:, at]) for at, name in enumerate(trial.visits)]
    return [(trial.baseline_visit, trial.baseline), *after]


def summaries(trial: TrialData) -> list[Summary]:
    """One row per visit and arm."""
    return [
        _summary(trial.arms[number], visit, column[trial.arm == number])
        for visit, column in _columns(trial)
        for number in range(trial.n_arms)
    ]


def _summary(arm: str, visit: str, column: Floats) -> Summary:
    values = column[np.isfinite(column)]
    n, missing = len(values), int(np.sum(~np.isfinite(column)))
    nan = float("nan")
    if n == 0:
        return Summary(arm, visit, 0, missing, *([nan] * 9))
    sd = float(values.std(ddof=1)) if n > 1 else nan
    q1, median, q3 = (float(q) for q in np.percentile(values, (25, 50, 75)))
    geometric, cv = nan, nan
    if values.min() > 0:
        logs = np.log(values)
        geometric = float(np.exp(logs.mean()))
        cv = 100 * float(np.sqrt(np.expm1(logs.var(ddof=1)))) if n > 1 else nan
    mean, least, most = float(values.mean()), float(values.min()), float(values.max())
    return Summary(arm, visit, n, missing, mean, sd, median, q1, q3, least, most, geometric, cv)


def dispositions(trial: TrialData) -> list[Disposition]:
    """One row per visit and arm, with the reasons of what is missing."""
    why = {(item.subject, item.visit): item.reason for item in trial.excluded}
    rows = []
    for visit, column in _columns(trial):
        for number, arm in enumerate(trial.arms):
            members = [at for at in range(len(trial.subjects)) if trial.arm[at] == number]
            absent = [trial.subjects[at] for at in members if not np.isfinite(column[at])]
            reasons = Counter(why.get((subject, visit), "no value") for subject in absent)
            rows.append(Disposition(arm, visit, len(members), len(members) - len(absent), tuple(reasons.most_common())))
    return rows


def responders(trial: TrialData, ratio: float) -> list[Responders]:
    """Subjects with both values, by arm; descriptive only."""
    reached = trial.at_primary / trial.baseline
    rows = []
    for number, arm in enumerate(trial.arms):
        own = reached[(trial.arm == number) & np.isfinite(reached)]
        k, n = int(np.sum(own >= ratio)), len(own)
        low, high = clopper_pearson(k, n) or (float("nan"), float("nan"))
        rows.append(Responders(arm, n, k, 100 * low, 100 * high))
    return rows
