"""Adjusted p values of the pairs of arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from treg_gating.statistics.comparison import Comparison

__all__ = ["adjust", "closed", "holm", "min_test", "tukey"]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (Holm, Scand. J. Stat. 6 (1979) 65).

    >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def closed(p: Sequence[float], overall: float) -> list[float]:
    """Closed test of three arms: a pair counts only where the overall F test does.

    With three arms every intersection of two pairs is the overall hypothesis, so that the adjusted p value is the
    larger of the two. Source: Marcus, Peritz & Gabriel, Biometrika 63 (1976) 655.
    """
    return [max(value, overall) for value in p]


def tukey(statistics: Sequence[float], n_arms: int, df: float) -> list[float]:
    """Tukey-Kramer p values of t statistics, from the studentised range."""
    from scipy.stats import studentized_range

    scaled = np.abs(np.asarray(statistics)) * np.sqrt(2.0)
    return [float(studentized_range.sf(value, n_arms, df)) for value in scaled]


def min_test(comparison: Comparison, combination: int) -> float:
    """P of "the combination is above every other arm" (Laska & Meisner, Biometrics 45 (1989) 1139), two-sided size.

    Twice the largest one-sided p of the combination against each component; 1 where it is not above both.
    """
    worst = 0.0
    for contrast in comparison.contrasts:
        if combination not in (contrast.first, contrast.second):
            continue
        above = contrast.estimate if contrast.second == combination else -contrast.estimate
        worst = max(worst, contrast.p / 2 if above > 0 else 1.0 - contrast.p / 2)
    return min(1.0, 2 * worst)


def adjust(comparison: Comparison, method: str, n_arms: int, combination: int | None = None) -> Comparison:
    """Adjusted p values in place of NaN.

    Parameters
    ----------
    method : "closed" (three arms or two; Holm beyond, which the notes say), "holm", "tukey", "min_test" or "none".
    combination : number of the combination's arm, for "min_test".
    """
    p = [contrast.p for contrast in comparison.contrasts]
    if method == "none" or not np.all(np.isfinite(p)):
        return comparison
    if method == "closed" and n_arms <= 3:
        if not np.isfinite(comparison.p):
            return comparison  # without the overall test no pair can be declared
        return comparison.with_adjusted(closed(p, comparison.p))
    if method == "tukey" and all(np.isfinite(c.statistic) for c in comparison.contrasts):
        return comparison.with_adjusted(_tukey_by_contrast(comparison, n_arms))
    if method == "min_test" and combination is not None:
        joint = min_test(comparison, combination)
        related = [combination in (c.first, c.second) for c in comparison.contrasts]
        return comparison.with_adjusted([joint if one else float("nan") for one in related])
    return comparison.with_adjusted(holm(p))


def _tukey_by_contrast(comparison: Comparison, n_arms: int) -> list[float]:
    return [tukey([c.statistic], n_arms, c.df)[0] for c in comparison.contrasts]
