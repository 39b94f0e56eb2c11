"""How far the missing values would have to lie from what the model expects before a result changes sides of 5 %."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.statistics.comparison import pair_rows
from treg_gating.statistics.linear import NotEstimableError, arm_design, fit_linear

__all__ = ["TippingPoint", "missing_share", "tipping_points"]

Floats = NDArray[np.float64]
_FACTORS = np.round(np.exp(np.linspace(0.0, np.log(4.0), 57)), 4)  # 1 to 4 in steps of 2.5 %
_ABOVE = 0.10


@dataclass(frozen=True, slots=True)
class TippingPoint:
    """One pair of arms.

    Parameters
    ----------
    first, second : numbers of the arms.
    p : pooled p with nothing shifted (multiple imputation, missing at random).
    factor : missing values of the arm that lies higher divided, and those of the other multiplied, by this much bring p
        to the other side of 5 %; NaN where none up to 4 does.
    """

    first: int
    second: int
    p: float
    factor: float


def missing_share(baseline: Floats, y: Floats) -> float:
    """Share of subjects with a baseline and without the value."""
    known = np.isfinite(baseline)
    return float(np.mean(~np.isfinite(y[known]))) if known.any() else float("nan")


def is_needed(baseline: Floats, y: Floats) -> bool:
    """More than 10 % are missing."""
    return missing_share(baseline, y) > _ABOVE


def tipping_points(
    arm: NDArray[np.int64],
    baseline: Floats,
    y: Floats,
    n_arms: int,
    *,
    strata: Floats | None = None,
    imputations: int = 50,
    seed: int = 1,
) -> list[TippingPoint]:
    """Shift multiply imputed values until the pooled p crosses 5 %.

    Imputed from the ANCOVA's posterior (non-informative prior), pooled by Rubin's rules with Barnard and Rubin's
    degrees of freedom (Biometrika 86 (1999) 948). Both arms of a pair are shifted towards each other.

    Parameters
    ----------
    baseline, y : log scale, shape (n,).

    Raises
    ------
    NotEstimableError : as for the analysis of covariance.
    """
    known = np.isfinite(baseline)
    arm, baseline, y = arm[known], baseline[known], y[known]
    covariates = baseline[:, None] if strata is None else np.column_stack([baseline, strata[known]])
    design = arm_design(arm, n_arms, covariates)
    absent = ~np.isfinite(y)
    imputed = _impute(design, y, absent, imputations, np.random.default_rng(seed))
    points = []
    for pair, row in zip(*pair_rows(n_arms), strict=True):
        towards = np.where(arm == pair[0], 1.0, 0.0) - np.where(arm == pair[1], 1.0, 0.0)
        estimate = float(np.mean([row @ fit_linear(design, column).beta[:n_arms] for column in imputed.T]))
        towards *= np.sign(estimate) * absent
        first = _pooled_p(design, imputed, row, n_arms)
        factor = float("nan")
        for tried in _FACTORS[1:]:
            moved = _pooled_p(design, imputed + (towards * np.log(tried))[:, None], row, n_arms)
            if (moved < 0.05) != (first < 0.05):
                factor = float(tried)
                break
        points.append(TippingPoint(*pair, first, factor))
    return points


def _impute(design: Floats, y: Floats, absent: NDArray[np.bool_], times: int, rng: np.random.Generator) -> Floats:
    fit = fit_linear(design[~absent], y[~absent])
    lower = np.linalg.cholesky(fit.unscaled)
    sigma = np.sqrt(fit.sigma2 * fit.df / rng.chisquare(fit.df, times))
    beta = fit.beta[:, None] + (lower @ rng.standard_normal((len(fit.beta), times))) * sigma
    whole = np.repeat(y[:, None], times, axis=1)
    noise = rng.standard_normal((int(absent.sum()), times)) * sigma
    whole[absent] = design[absent] @ beta + noise
    return whole


def _pooled_p(design: Floats, imputed: Floats, row: Floats, n_arms: int) -> float:
    from scipy import special

    fits = [fit_linear(design, column) for column in imputed.T]
    estimates = np.array([row @ fit.beta[:n_arms] for fit in fits])
    within = float(np.mean([row @ fit.covariance[:n_arms, :n_arms] @ row for fit in fits]))
    between = float(estimates.var(ddof=1)) * (1 + 1 / len(fits))
    total, complete = within + between, fits[0].df
    if not total > 0:
        msg = "the imputed values leave no variance"
        raise NotEstimableError(msg)
    share = between / total
    observed = (complete + 1) / (complete + 3) * complete * (1 - share)
    df = observed if share == 0 else 1 / (share**2 / (len(fits) - 1) + 1 / observed)
    return float(2 * special.stdtr(df, -abs(estimates.mean()) / np.sqrt(total)))
