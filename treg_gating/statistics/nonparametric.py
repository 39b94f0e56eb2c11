"""Tests without a distribution: Kruskal-Wallis, exact Mann-Whitney, Hodges-Lehmann's interval."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from treg_gating.statistics.comparison import Comparison, Contrast, pair_rows
from treg_gating.statistics.linear import NotEstimableError

__all__ = ["hodges_lehmann", "mann_whitney_p", "nonparametric"]

Floats = NDArray[np.float64]
_EXACT_UP_TO = 50  # larger groups have a normal approximation that is as good


def nonparametric(arm: NDArray[np.int64], log_ratio: Floats, n_arms: int) -> Comparison:
    """Compare the log ratio to baseline between the arms.

    Parameters
    ----------
    arm : codes, shape (n,). log_ratio : ln(value / baseline), shape (n,), NaN where missing.

    Returns
    -------
    Overall Kruskal-Wallis; per pair Hodges-Lehmann's shift with its 95 % interval and Mann-Whitney's p.

    Raises
    ------
    NotEstimableError : an arm has fewer than two values.
    """
    from scipy.stats import kruskal

    groups = [log_ratio[(arm == number) & np.isfinite(log_ratio)] for number in range(n_arms)]
    if min(map(len, groups)) < 2:
        msg = "an arm has fewer than two subjects with baseline and value"
        raise NotEstimableError(msg)
    everything = np.concatenate(groups)
    if np.ptp(everything) == 0:
        msg = "all values are equal"
        raise NotEstimableError(msg)
    overall = kruskal(*groups)
    nan = float("nan")
    contrasts = []
    for first, second in pair_rows(n_arms)[0]:
        estimate, low, high = hodges_lehmann(groups[first], groups[second])
        p = mann_whitney_p(groups[first], groups[second])
        contrasts.append(Contrast(first, second, estimate, nan, nan, nan, p, low, high))
    tied = len(np.unique(everything)) < len(everything)
    exact = "normal approximation, because values tie" if tied else "exact"
    note = f"Kruskal-Wallis and Mann-Whitney ({exact}) on the ratio to baseline; interval of Hodges and Lehmann"
    return Comparison(
        "log",
        len(everything),
        n_arms - 1.0,
        float(overall.statistic),
        float(overall.pvalue),
        (),
        tuple(contrasts),
        (note,),
    )


def mann_whitney_p(first: Floats, second: Floats) -> float:
    """Two-sided p; exact without ties, else the normal approximation with tie and continuity correction."""
    from scipy.stats import mannwhitneyu

    both = np.concatenate([first, second])
    exact = len(np.unique(both)) == len(both) and max(len(first), len(second)) <= _EXACT_UP_TO
    return float(mannwhitneyu(second, first, alternative="two-sided", method="exact" if exact else "asymptotic").pvalue)


def hodges_lehmann(first: Floats, second: Floats) -> tuple[float, float, float]:
    """Median of all differences second − first, and the interval that inverts the exact test at 95 % or more.

    Source: Hodges & Lehmann, Ann. Math. Stat. 34 (1963) 598. Infinite bounds where the groups are too small for 95 %.
    """
    differences = np.sort((second[:, None] - first[None, :]).ravel())
    m, n = len(first), len(second)
    if max(m, n) > _EXACT_UP_TO:
        centre, spread = m * n / 2, np.sqrt(m * n * (m + n + 1) / 12)
        below = int(np.floor(centre - 1.959963984540054 * spread))
    else:
        counts = np.array(_rank_sum_counts(m, n), dtype=float)
        cumulative = np.cumsum(counts) / counts.sum()
        below = int(np.searchsorted(cumulative, 0.025, side="right"))  # largest k with P(U ≤ k − 1) ≤ 2.5 %
    low = float(differences[below - 1]) if below >= 1 else float("-inf")
    high = float(differences[m * n - below]) if below >= 1 else float("inf")
    return float(np.median(differences)), low, high


@cache
def _rank_sum_counts(m: int, n: int) -> tuple[int, ...]:
    """Number of arrangements with U = 0 … mn: coefficients of the Gaussian binomial, exact."""
    counts = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):  # times (1 − q^(n+i))
            counts[u] -= counts[u - n - i]
        for u in range(i, m * n + 1):  # over (1 − q^i)
            counts[u] += counts[u - i]
    return tuple(counts)
