"""Proportions of counted events: how sure counting alone makes them."""

from __future__ import annotations

import math

__all__ = ["clopper_pearson", "counting_cv_pct", "rounded", "wilson"]

_Z95 = 1.959963984540054  # 0.975 quantile of the standard normal distribution


def wilson(k: int, n: int) -> tuple[float, float] | None:
    """Wilson's 95 % score interval of k of n, as fractions; None where n is 0.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209.

    >>> [round(bound, 4) for bound in wilson(10, 100)]
    [0.0552, 0.1744]
    """
    if n == 0:
        return None
    p, z2 = k / n, _Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At 0 and n the bound is exact; the formula leaves a rounding error there.
    return (0.0 if k == 0 else max(0.0, centre - half)), (1.0 if k == n else min(1.0, centre + half))


def clopper_pearson(k: int, n: int) -> tuple[float, float] | None:
    """Clopper and Pearson's exact 95 % interval of k of n, as fractions; None where n is 0.

    Source: Clopper & Pearson, Biometrika 26 (1934) 404; by quantiles of the beta distribution.
    """
    if n == 0:
        return None
    from scipy.stats import beta

    low = 0.0 if k == 0 else float(beta.ppf(0.025, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(0.975, k + 1, n - k))
    return low, high


def counting_cv_pct(k: int, n: int) -> float | None:
    """Coefficient of variation that counting k of n events gives, 100 √((1 − p) / k), in percent; None where k is 0."""
    return 100 * math.sqrt((1 - k / n) / k) if k else None


def rounded(value: float | None) -> float | None:
    """A number to six significant digits; None where it is absent or not finite.

    >>> rounded(6.735607140300288)
    6.73561
    """
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
