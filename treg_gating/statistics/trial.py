"""The numbers of a trial in the form the models take: arms, baseline, values after it, and who is left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from treg_gating.statistics.arms import ArmList
from treg_gating.study import Study

__all__ = ["Excluded", "TrialData", "trial_of_values"]

Floats = NDArray[np.float64]
Values = Mapping[tuple[str, str], float | None]


@dataclass(frozen=True, slots=True)
class Excluded:
    """A subject or visit that does not enter, with its reason."""

    subject: str
    visit: str
    reason: str


@dataclass(frozen=True, eq=False)
class TrialData:
    """One endpoint of a trial.

    Parameters
    ----------
    subjects : those with an arm, shape (n,).
    arms : names of the arms. arm : their codes, shape (n,).
    baseline_visit, visits : names; `visits` are those after the baseline. primary : number of the endpoint's visit.
    baseline : shape (n,). values : shape (n, v). NaN where missing.
    baseline_from : the visit that each subject's baseline is of, shape (n,).
    strata : indicator columns, shape (n, s), or None.
    excluded : subjects and visits without a value, with the reason.
    """

    subjects: tuple[str, ...]
    arms: tuple[str, ...]
    arm: NDArray[np.int64]
    baseline_visit: str
    visits: tuple[str, ...]
    primary: int
    baseline: Floats
    values: Floats
    strata: Floats | None = None
    excluded: tuple[Excluded, ...] = ()
    baseline_from: tuple[str, ...] = ()

    @property
    def n_arms(self) -> int:
        """Number of arms."""
        return len(self.arms)

    @property
    def at_primary(self) -> Floats:
        """Values at the endpoint's visit, shape (n,)."""
        column: Floats = self.values[:, self.primary]
        return column

    def without(self, visits: frozenset[tuple[str, str]]) -> TrialData:
        """The same with the values of some (subject, visit) taken out."""
        baseline, values = self.baseline.copy(), self.values.copy()
        for at, subject in enumerate(self.subjects):
            if (subject, self.baseline_from[at] if self.baseline_from else self.baseline_visit) in visits:
                baseline[at] = np.nan
            for number, visit in enumerate(self.visits):
                if (subject, visit) in visits:
                    values[at, number] = np.nan
        return replace(self, baseline=baseline, values=values)


def trial_of_values(
    values: Values, reasons: Mapping[tuple[str, str], str], subjects: Sequence[str], arms: ArmList, study: Study
) -> TrialData:
    """Arrange values by (subject, visit).

    Parameters
    ----------
    values : on the original scale; None or absent where there is none.
    reasons : why a value is not there.
    subjects : of the run; those without an arm are left out, which is said.

    Raises
    ------
    ValueError : the study has no baseline or no endpoint visit.
    """
    baseline, visit = study.baseline, study.endpoint.visit
    if baseline is None or visit is None:
        msg = "the study names no baseline or no visit after it, so that nothing can be compared with a baseline"
        raise ValueError(msg)
    if study.visits.index(study.visit(visit)) <= study.visits.index(baseline):
        msg = f"the endpoint's visit {visit!r} does not come after the baseline {baseline.name!r}"
        raise ValueError(msg)
    after = tuple(v.name for v in study.visits[study.visits.index(baseline) + 1 :])
    kept = tuple(subject for subject in subjects if subject in arms.arm_of)
    excluded = [Excluded(s, "", "not in the arm list") for s in subjects if s not in arms.arm_of]
    excluded += [Excluded(s, "", "in the arm list, no tube in the run") for s in arms.arm_of if s not in set(subjects)]

    def value(subject: str, at: str) -> float:
        found = values.get((subject, at))
        if found is None or not _usable(found):
            excluded.append(Excluded(subject, at, reasons.get((subject, at)) or "no value"))
            return float("nan")
        return float(found)

    candidates = study.baseline_visits
    sources = [next((name for name in candidates if _usable(values.get((s, name)))), baseline.name) for s in kept]
    base = np.array([value(subject, name) for subject, name in zip(kept, sources, strict=True)])
    later = np.array([[value(subject, name) for name in after] for subject in kept]).reshape(len(kept), len(after))
    codes = np.array([arms.names.index(arms.arm_of[subject]) for subject in kept], dtype=np.int64)
    strata = _indicators([arms.strata_of.get(subject, ()) for subject in kept])
    order = {subject: at for at, subject in enumerate(subjects)}
    excluded.sort(key=lambda item: order.get(item.subject, len(order)))
    return TrialData(
        kept, arms.names, codes, baseline.name, after, after.index(visit), base, later, strata, tuple(excluded),
        tuple(sources),
    )  # fmt: skip


def _usable(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _indicators(rows: Sequence[tuple[str, ...]]) -> Floats | None:
    """One column for every level of every stratum but its first."""
    columns = []
    for position in range(len(rows[0]) if rows else 0):
        levels = sorted({row[position] for row in rows})
        columns += [[float(row[position] == level) for row in rows] for level in levels[1:]]
    return np.array(columns).T if columns else None
