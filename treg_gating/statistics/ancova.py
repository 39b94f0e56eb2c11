"""Analysis of covariance at one visit: transformed value ~ arm + transformed baseline + strata."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from treg_gating.statistics.comparison import ArmMean, Comparison, from_test, pair_rows
from treg_gating.statistics.linear import LinearFit, NotEstimableError, arm_design, fit_linear, overall_f

__all__ = ["SCALES", "ancova", "compare", "rank_ancova", "transform"]

Floats = NDArray[np.float64]
SCALES = ("log", "logit", "raw")


def transform(values: Floats, scale: str) -> Floats:
    """Percentages (or scores, for "raw") on the model's scale; NaN where the scale does not hold the value.

    >>> transform(np.array([0.0, 100.0 * 0.5]), "logit").tolist()
    [nan, 0.0]
    """
    if scale == "raw":
        return values.astype(float)
    inside = (values > 0) & ((values < 100) if scale == "logit" else True)
    safe = np.where(inside, values, 50.0)
    moved = np.log(safe) if scale == "log" else np.log(safe / (100.0 - safe))
    return np.where(inside, moved, np.nan)


def ancova(
    arm: NDArray[np.int64],
    baseline: Floats,
    y: Floats,
    n_arms: int,
    *,
    strata: Floats | None = None,
    scale: str = "log",
    robust: bool = False,
) -> Comparison:
    """Compare arms at one visit, adjusted for the baseline.

    Parameters
    ----------
    arm : codes, shape (n,).
    baseline, y : on the original scale, shape (n,); subjects without either are left out.
    strata : indicator columns, shape (n, s).
    scale : "log" (the primary analysis), "logit" or "raw".
    robust : HC3 standard errors, with t on n − p degrees of freedom.

    Raises
    ------
    NotEstimableError : too few subjects, or an arm without any.
    """
    return compare(arm, transform(baseline, scale), transform(y, scale), n_arms, strata, scale=scale, robust=robust)


def rank_ancova(
    arm: NDArray[np.int64], baseline: Floats, y: Floats, n_arms: int, strata: Floats | None = None
) -> Comparison:
    """The same on overall ranks of baseline and value (Conover & Iman, Biometrics 38 (1982) 715): p values only."""
    from scipy.stats import rankdata

    kept = np.isfinite(baseline) & np.isfinite(y)
    ranked = [np.full(len(y), np.nan), np.full(len(y), np.nan)]
    for column, values in zip(ranked, (baseline, y), strict=True):
        column[kept] = rankdata(values[kept])
    return compare(arm, ranked[0], ranked[1], n_arms, strata, scale="rank")


def compare(
    arm: NDArray[np.int64],
    baseline: Floats,
    y: Floats,
    n_arms: int,
    strata: Floats | None = None,
    *,
    scale: str,
    robust: bool = False,
) -> Comparison:
    """Least squares on values that are on the model's scale already."""
    kept = np.isfinite(baseline) & np.isfinite(y)
    counts = np.bincount(arm[kept], minlength=n_arms)
    if len(counts) != n_arms or counts.min() == 0:
        msg = "an arm has no subject with baseline and value"
        raise NotEstimableError(msg)
    covariates = baseline[kept, None] if strata is None else np.column_stack([baseline[kept], strata[kept]])
    fit = fit_linear(arm_design(arm[kept], n_arms, covariates), y[kept], robust=robust)
    return _summary(fit, counts, n_arms, scale, robust)


def _summary(fit: LinearFit, counts: NDArray[np.int64], n_arms: int, scale: str, robust: bool) -> Comparison:
    pairs, rows = pair_rows(n_arms)
    statistic, p = overall_f(fit, n_arms)
    cells = fit.covariance[:n_arms, :n_arms]
    means = []
    for at in range(n_arms):
        alone = from_test((at, at), float(fit.beta[at]), float(np.sqrt(cells[at, at])), fit.df)
        means.append(ArmMean(at, int(counts[at]), alone.estimate, alone.low, alone.high))
    contrasts = tuple(
        from_test(pair, float(row @ fit.beta[:n_arms]), float(np.sqrt(row @ cells @ row)), fit.df)
        for pair, row in zip(pairs, rows, strict=True)
    )
    kind = "HC3" if robust else "ordinary"
    notes = (
        f"least squares, {kind} standard errors; n {counts.sum()}, residual df {fit.df}, "
        f"residual SD {np.sqrt(fit.sigma2):.4g} ({scale} scale)",
    )
    return Comparison(scale, int(counts.sum()), float(fit.df), statistic, p, tuple(means), contrasts, notes)
