"""Ordinary least squares in the form the comparisons need: cell means of the arms and centred covariates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LinearFit", "NotEstimableError", "arm_design", "fit_linear", "no_variance", "overall_f"]

Floats = NDArray[np.float64]


class NotEstimableError(ValueError):
    """The data do not support the model; the message is the reason a table shows."""


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A least-squares fit.

    Parameters
    ----------
    beta, covariance : coefficients (p,) and their covariance (p, p).
    df : residual degrees of freedom, n − p.
    residuals : (n,). unscaled : (X'X)⁻¹. sigma2 : residual variance.
    """

    beta: Floats
    covariance: Floats
    df: int
    residuals: Floats
    unscaled: Floats
    sigma2: float


def arm_design(arm: NDArray[np.int64], n_arms: int, covariates: Floats) -> Floats:
    """One column an arm, then covariates about their mean: an arm's coefficient is its adjusted mean.

    Parameters
    ----------
    arm : codes 0 … n_arms − 1, shape (n,).
    covariates : shape (n, c), c ≥ 0.
    """
    cells = (arm[:, None] == np.arange(n_arms)).astype(float)
    return np.hstack([cells, covariates - covariates.mean(axis=0)]) if covariates.shape[1] else cells


def fit_linear(design: Floats, y: Floats, *, robust: bool = False) -> LinearFit:
    """Fit by QR; with `robust`, the HC3 covariance (MacKinnon & White, J. Econometrics 29 (1985) 305).

    Raises
    ------
    NotEstimableError : columns that depend on each other, or no residual degree of freedom.
    """
    n, p = design.shape
    if n <= p:
        msg = f"{n} subjects cannot carry {p} coefficients and a residual variance"
        raise NotEstimableError(msg)
    if np.linalg.matrix_rank(design) < p:
        msg = "arm, baseline and strata are not separable in these subjects (the design is rank deficient)"
        raise NotEstimableError(msg)
    q, r = np.linalg.qr(design)
    inverse_r = np.linalg.inv(r)
    beta = inverse_r @ (q.T @ y)
    unscaled = inverse_r @ inverse_r.T
    residuals = y - design @ beta
    sigma2 = float(residuals @ residuals) / (n - p)
    if sigma2 <= no_variance(y):
        msg = "the values leave no residual variance"
        raise NotEstimableError(msg)
    if robust:
        leverage = np.minimum((q * q).sum(axis=1), 1.0)
        if np.any(leverage > 1.0 - 1e-12):
            msg = "a subject alone determines a coefficient, so that HC3 is not defined"
            raise NotEstimableError(msg)
        scaled = design * (residuals / (1.0 - leverage))[:, None]
        covariance = unscaled @ (scaled.T @ scaled) @ unscaled
    else:
        covariance = sigma2 * unscaled
    return LinearFit(beta, covariance, n - p, residuals, unscaled, sigma2)


def no_variance(y: Floats) -> float:
    """Variance that rounding alone gives to values of this size."""
    return 1e-24 * max(1e-12, float(np.nanmax(np.abs(y)))) ** 2


def overall_f(fit: LinearFit, n_arms: int) -> tuple[float, float]:
    """F and p of equality of the first `n_arms` coefficients (Wald form, q and n − p degrees of freedom)."""
    from scipy import special

    rows = np.zeros((n_arms - 1, len(fit.beta)))
    rows[:, 0] = -1.0
    rows[np.arange(n_arms - 1), np.arange(1, n_arms)] = 1.0
    difference = rows @ fit.beta
    q = n_arms - 1
    try:
        f = float(difference @ np.linalg.solve(rows @ fit.covariance @ rows.T, difference)) / q
    except np.linalg.LinAlgError:
        msg = "the covariance of the arms' differences is singular"
        raise NotEstimableError(msg) from None
    return f, float(special.fdtrc(q, fit.df, f))
