"""Mixed model for repeated measures: all visits after baseline, arm × visit and covariate × visit, REML."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.statistics.ancova import transform
from treg_gating.statistics.comparison import ArmMean, Comparison, Contrast, from_test, pair_rows
from treg_gating.statistics.covariance import STRUCTURES, Structure
from treg_gating.statistics.linear import NotEstimableError, arm_design, fit_linear
from treg_gating.statistics.reml import RemlFit, fit_reml, satterthwaite_df

__all__ = ["MixedModel", "fit_mmrm", "mmrm", "stacked_design"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MixedModel:
    """A fitted model and the comparison of the arms at every visit.

    Parameters
    ----------
    structure : short name of the covariance that was used: UN, CSH or CS.
    fit : coefficients in the order of the visits: arms, then covariates.
    visits : numbers of the visits that entered.
    by_visit : one comparison for each of them.
    notes : what was tried, what fell back and why.
    """

    structure: str
    fit: RemlFit
    visits: tuple[int, ...]
    by_visit: tuple[Comparison, ...]
    notes: tuple[str, ...]

    def at(self, visit: int) -> Comparison:
        """The comparison at one of the visits.

        Raises
        ------
        NotEstimableError : that visit did not enter.
        """
        if visit not in self.visits:
            msg = "an arm has no value at this visit"
            raise NotEstimableError(msg)
        return self.by_visit[self.visits.index(visit)]


def mmrm(
    arm: NDArray[np.int64],
    baseline: Floats,
    y: Floats,
    n_arms: int,
    *,
    strata: Floats | None = None,
    scale: str = "log",
    structures: tuple[type[Structure], ...] = STRUCTURES,
) -> MixedModel:
    """Fit all visits together.

    Parameters
    ----------
    arm, baseline : shape (n,).
    y : values after baseline, shape (n, visits); NaN where missing. Nothing is carried forward.
    strata : indicator columns, shape (n, s); like the baseline they have a coefficient for each visit.
    structures : tried in this order.

    Raises
    ------
    NotEstimableError : with every structure's reason.
    """
    moved = transform(y, scale)
    return fit_mmrm(arm, transform(baseline, scale), moved, n_arms, strata, scale, structures)


def stacked_design(arm: NDArray[np.int64], n_arms: int, covariates: Floats, visits: int) -> Floats:
    """Design of every subject and visit, shape (n, v, v · c): the cross-sectional design, once a visit."""
    cross = arm_design(arm, n_arms, covariates)
    n, c = cross.shape
    design = np.zeros((n, visits, visits * c))
    for visit in range(visits):
        design[:, visit, visit * c : (visit + 1) * c] = cross
    return design


def fit_mmrm(
    arm: NDArray[np.int64],
    baseline: Floats,
    y: Floats,
    n_arms: int,
    strata: Floats | None = None,
    scale: str = "log",
    structures: tuple[type[Structure], ...] = STRUCTURES,
) -> MixedModel:
    """The same on values that are on the model's scale already."""
    kept = np.isfinite(baseline) & np.isfinite(y).any(axis=1)
    arm, baseline, y = arm[kept], baseline[kept], y[kept]
    counts = np.array([np.bincount(arm[np.isfinite(column)], minlength=n_arms) for column in y.T])
    visits = tuple(int(at) for at in np.flatnonzero(counts.min(axis=1) > 0)) if len(counts) else ()
    notes = [
        f"visit {at + 1} after baseline left out: an arm has no value" for at in range(len(counts)) if at not in visits
    ]
    if not visits:
        msg = "no visit has a value in every arm"
        raise NotEstimableError(msg)
    y, counts = y[:, visits], counts[list(visits)]
    inside = np.isfinite(y).any(axis=1)
    arm, baseline, y = arm[inside], baseline[inside], y[inside]
    covariates = baseline[:, None] if strata is None else np.column_stack([baseline, strata[kept][inside]])
    variances = _visit_variances(arm, n_arms, covariates, y)
    design = stacked_design(arm, n_arms, covariates, len(visits))
    reasons = []
    for kind in structures:
        structure = kind(len(visits))
        try:
            fit = fit_reml(design, y, structure, variances)
        except NotEstimableError as error:
            reasons.append(str(error))
            continue
        notes += [*(f"{reason}; the next structure was tried" for reason in reasons), _described(structure, fit, y)]
        compared = tuple(
            _comparison(fit, at, n_arms, design.shape[2] // len(visits), counts[at], scale, tuple(notes))
            for at in range(len(visits))
        )
        return MixedModel(structure.name, fit, visits, compared, tuple(notes))
    raise NotEstimableError("; ".join(reasons))


def _described(structure: Structure, fit: RemlFit, y: Floats) -> str:
    return (
        f"REML, {structure.label} covariance ({structure.name}), Satterthwaite degrees of freedom; "
        f"{len(y)} subjects, {int(np.isfinite(y).sum())} values; converged in {fit.steps} steps, "
        f"-2 restricted log-likelihood {fit.minus2:.6f}"
    )


def _visit_variances(arm: NDArray[np.int64], n_arms: int, covariates: Floats, y: Floats) -> Floats:
    variances = []
    for column in y.T:
        seen = np.isfinite(column)
        fit = fit_linear(arm_design(arm[seen], n_arms, covariates[seen]), column[seen])
        variances.append(fit.sigma2)
    return np.array(variances)


def _comparison(
    fit: RemlFit, at: int, n_arms: int, width: int, counts: NDArray[np.int64], scale: str, notes: tuple[str, ...]
) -> Comparison:
    pairs, small = pair_rows(n_arms)
    begin = at * width

    def row(part: Floats) -> Floats:
        whole = np.zeros(len(fit.beta))
        whole[begin : begin + n_arms] = part
        return whole

    def tested(pair: tuple[int, int], part: Floats) -> Contrast:
        whole = row(part)
        variance = float(whole @ fit.covariance @ whole)
        return from_test(pair, float(whole @ fit.beta), np.sqrt(variance), satterthwaite_df(fit, whole))

    means = []
    for number in range(n_arms):
        alone = tested((number, number), np.eye(n_arms)[number])
        means.append(ArmMean(number, int(counts[number]), alone.estimate, alone.low, alone.high))
    contrasts = tuple(tested(pair, part) for pair, part in zip(pairs, small, strict=True))
    rows = np.stack([row(part) for part in small[: n_arms - 1]])
    statistic, df, p = _joint_test(fit, rows)
    return Comparison(scale, int(counts.sum()), df, statistic, p, tuple(means), contrasts, notes)


def _joint_test(fit: RemlFit, rows: Floats) -> tuple[float, float, float]:
    """F test of several contrasts with Fai and Cornelius's denominator degrees of freedom.

    Where every direction has the same degrees of freedom theirs are just these, also at 2 and below, where the formula
    has no value; else one of 2 or less sets all to 2, the cautious side, as lmerTest does.
    """
    from scipy import special

    values, vectors = np.linalg.eigh(rows @ fit.covariance @ rows.T)
    turned = vectors.T @ rows
    q = len(rows)
    f = float(np.sum((turned @ fit.beta) ** 2 / values)) / q
    each = np.array([satterthwaite_df(fit, row) for row in turned])
    if np.ptp(each) < 1e-6 * each[0]:
        df = float(each.mean())
    elif np.all(each > 2):
        total = float(np.sum(each / (each - 2)))
        df = 2 * total / (total - q) if total > q else float("inf")
    else:
        df = 2.0
    return f, df, float(special.fdtrc(q, min(df, 1e12), f))
