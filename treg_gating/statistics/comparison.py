"""What a model says of the arms: adjusted means and contrasts, each with the scale it stands on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ArmMean", "Comparison", "Contrast", "from_test", "pair_rows"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ArmMean:
    """Adjusted mean of one arm at the mean of the covariates, on the model's scale.

    Parameters
    ----------
    arm : its number in the list of arms.
    n : observations of this arm that entered.
    """

    arm: int
    n: int
    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """Arm `second` minus arm `first`, on the model's scale.

    Parameters
    ----------
    se, df, statistic : standard error, degrees of freedom and t; NaN for a method that has none.
    p : two-sided, not adjusted. p_adjusted : for the multiplicity of the pairs; NaN where none was asked for.
    low, high : 95 % interval, not adjusted.
    """

    first: int
    second: int
    estimate: float
    se: float
    df: float
    statistic: float
    p: float
    low: float
    high: float
    p_adjusted: float = float("nan")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One model's comparison of the arms.

    Parameters
    ----------
    scale : "log" (differences are ratios once exponentiated), "logit" (odds ratios), "raw", or "rank" (no estimate).
    n, df : observations (or subjects), residual degrees of freedom of the overall test.
    statistic, p : of the overall test that all arms are equal.
    notes : the model's log: covariance used, what fell back and why.
    """

    scale: str
    n: int
    df: float
    statistic: float
    p: float
    means: tuple[ArmMean, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    notes: tuple[str, ...] = ()

    def with_adjusted(self, adjusted: Sequence[float]) -> Comparison:
        """The same with adjusted p values, one a contrast."""
        pairs = zip(self.contrasts, adjusted, strict=True)
        return replace(self, contrasts=tuple(replace(c, p_adjusted=float(p)) for c, p in pairs))


def pair_rows(n_arms: int) -> tuple[tuple[tuple[int, int], ...], Floats]:
    """Pairs (first, second) of arms and the rows that make ``second − first`` of arm coefficients.

    >>> pairs, rows = pair_rows(3)
    >>> pairs, rows[0].tolist()
    (((0, 1), (0, 2), (1, 2)), [-1.0, 1.0, 0.0])
    """
    pairs = tuple(combinations(range(n_arms), 2))
    rows = np.zeros((len(pairs), n_arms))
    for at, (first, second) in enumerate(pairs):
        rows[at, first], rows[at, second] = -1.0, 1.0
    return pairs, rows


def from_test(pair: tuple[int, int], estimate: float, se: float, df: float) -> Contrast:
    """A contrast by t with `df` degrees of freedom, which need not be whole."""
    from scipy import special

    if not se > 0 or not df > 0:
        nan = float("nan")
        return Contrast(*pair, estimate, se, df, nan, nan, nan, nan)
    t = estimate / se
    half = float(special.stdtrit(df, 0.975)) * se
    p = 2.0 * float(special.stdtr(df, -abs(t)))
    return Contrast(*pair, float(estimate), float(se), float(df), float(t), p, estimate - half, estimate + half)
