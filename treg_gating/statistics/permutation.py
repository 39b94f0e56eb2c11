"""Permutation test of the arms with the baseline in the model, after Freedman and Lane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.statistics.comparison import Comparison, Contrast, pair_rows
from treg_gating.statistics.linear import arm_design, fit_linear

__all__ = ["freedman_lane"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Model:
    """What is needed to compute t and F of many response vectors at once."""

    design: Floats
    n_arms: int

    def statistics(self, responses: Floats) -> tuple[Floats, Floats]:
        """F of the arms (b,) and t² of every pair (pairs, b) for responses of shape (n, b)."""
        fit = fit_linear(self.design, responses[:, 0])
        beta = fit.unscaled @ (self.design.T @ responses)
        residuals = responses - self.design @ beta
        sigma2 = np.einsum("nb,nb->b", residuals, residuals) / fit.df
        rows = pair_rows(self.n_arms)[1]
        cells, arms = fit.unscaled[: self.n_arms, : self.n_arms], beta[: self.n_arms]
        independent = rows[: self.n_arms - 1]
        moved = independent @ arms
        solved = np.linalg.solve(independent @ cells @ independent.T, moved)
        f = np.einsum("qb,qb->b", moved, solved) / ((self.n_arms - 1) * sigma2)
        variances = np.einsum("pa,ab,pb->p", rows, cells, rows)
        return f, (rows @ arms) ** 2 / (variances[:, None] * sigma2)


def freedman_lane(
    arm: NDArray[np.int64],
    baseline: Floats,
    y: Floats,
    n_arms: int,
    *,
    strata: Floats | None = None,
    seed: int = 1,
    permutations: int = 9999,
) -> Comparison:
    """Permutation p values of the overall F and of every pair's t.

    Residuals of the model without the tested difference are permuted, added to its fit, and the full model is fitted
    again (Freedman & Lane, J. Bus. Econ. Stat. 1 (1983) 292). The observed order counts as one permutation.

    Parameters
    ----------
    arm, baseline, y : shape (n,), on the model's scale; subjects with NaN are left out.
    seed : of the permutations; the same seed gives the same p.

    Raises
    ------
    NotEstimableError : as for the analysis of covariance.
    """
    kept = np.isfinite(baseline) & np.isfinite(y)
    arm, baseline, y = arm[kept], baseline[kept], y[kept]
    covariates = baseline[:, None] if strata is None else np.column_stack([baseline, strata[kept]])
    full = arm_design(arm, n_arms, covariates)
    model = _Model(full, n_arms)
    f, squares = model.statistics(y[:, None])
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(len(y)), (permutations, 1)), axis=1).T  # (n, b)
    nobody = np.zeros(len(y), dtype=np.int64)
    overall = _share(model.statistics(_responses(arm_design(nobody, 1, covariates), y, order))[0], float(f[0]))
    nan = float("nan")
    contrasts = []
    for at, (first, second) in enumerate(pair_rows(n_arms)[0]):
        merged = full.copy()
        merged[:, first] += merged[:, second]
        reduced = np.delete(merged, second, axis=1)
        permuted = model.statistics(_responses(reduced, y, order))[1][at]
        p = _share(permuted, float(squares[at, 0]))
        contrasts.append(Contrast(first, second, nan, nan, nan, nan, p, nan, nan))
    note = f"Freedman-Lane, {permutations} permutations and the observed order, seed {seed}"
    df = float(len(y) - full.shape[1])
    return Comparison("rank", len(y), df, float(f[0]), overall, (), tuple(contrasts), (note,))


def _responses(reduced: Floats, y: Floats, order: NDArray[np.int64]) -> Floats:
    fit = fit_linear(reduced, y)
    return (y - fit.residuals)[:, None] + fit.residuals[order]


def _share(permuted: Floats, observed: float) -> float:
    # Sums in another order differ in the last bits: an equal statistic must count as reached.
    return float(1 + np.sum(permuted >= observed * (1 - 1e-9))) / (1 + len(permuted))
