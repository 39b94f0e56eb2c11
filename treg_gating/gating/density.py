"""One-dimensional densities on a grid: smoothed histograms, peaks, valleys. Independent of event order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.smoothing import smooth

__all__ = ["Density", "Peak", "estimate_density", "find_peaks", "quantiles"]

Array = NDArray[np.float64]
BINS = 512


@dataclass(frozen=True, eq=False)
class Density:
    """A smoothed histogram.

    Parameters
    ----------
    centres : bin centres, shape (bins,), in gate units.
    counts : events per bin, shape (bins,).
    smoothed : expected events per bin, shape (bins,).
    bandwidth : standard deviation of the Gaussian kernel, in bins.
    """

    centres: NDArray[np.float64]
    counts: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    bandwidth: float

    @property
    def step(self) -> float:
        """Width of a bin, in gate units."""
        return float(self.centres[1] - self.centres[0])

    def poisson_sd(self, height: float | NDArray[Any]) -> Any:
        """Standard deviation of a smoothed count of this height: √(f / (2 √π h)) for a Gaussian kernel of h bins."""
        return np.sqrt(np.maximum(height, 0) / (2 * np.sqrt(np.pi) * self.bandwidth))


@dataclass(frozen=True, slots=True)
class Peak:
    """A local maximum of a density: its bin, height, and topographic prominence (same units as height)."""

    index: int
    height: float
    prominence: float


def estimate_density(values: Array, counts: NDArray[Any], *, adjust: float = 1.0, minimum: int = 50) -> Density:
    """Kernel density on a grid of 512 bins.

    The bandwidth is Silverman's rule with the robust spread, min(SD, IQR / 1.349) (Silverman 1986,
    eq. 3.31); the grid spans the 0.05 to 99.95 % quantiles plus five bandwidths; events beyond it count in its ends.

    Parameters
    ----------
    values : finite, ascending. counts : events that have each.

    Raises
    ------
    GateFitError : fewer than `minimum` events, or no spread.
    """
    upto = np.cumsum(counts)
    n = int(upto[-1]) if len(upto) else 0
    if n < minimum:
        msg = f"{n} events; at least {minimum} are needed for a density"
        raise GateFitError(msg)
    bottom, q1, q3, top = quantiles(values, upto, 0.0005, 0.25, 0.75, 0.9995)
    inner = np.clip(values, bottom, top)
    mean = float(inner @ counts) / n
    sd = float(np.sqrt((inner - mean) ** 2 @ counts / n))
    spreads = [spread for spread in (sd, float(q3 - q1) / 1.349) if spread > 0]
    if not spreads or not top > bottom:
        msg = f"all events have nearly the same value ({values[0]:g})"
        raise GateFitError(msg)
    width = adjust * 0.9 * min(spreads) * n**-0.2
    low, high = bottom - 5 * width, top + 5 * width
    edges = np.linspace(low, high, BINS + 1)
    before = np.concatenate([[0], upto])
    binned = np.diff(before[np.searchsorted(values, edges[1:-1])], prepend=0, append=n).astype(np.float64)
    bandwidth = max(width / (edges[1] - edges[0]), 0.5)
    return Density((edges[:-1] + edges[1:]) / 2, binned, smooth(binned, bandwidth), bandwidth)


def quantiles(values: Array, upto: NDArray[Any], *shares: float) -> Array:
    """Quantiles of ascending values, `upto` each of which so many events lie; between two events on a straight line."""
    place = np.array(shares) * (upto[-1] - 1)
    before = place.astype(np.intp)
    lower, upper = (
        values[np.searchsorted(upto, np.minimum(at, upto[-1] - 1), side="right")] for at in (before, before + 1)
    )
    result: Array = lower + (place - before) * (upper - lower)
    return result


def find_peaks(smoothed: NDArray[np.float64], min_prominence: float) -> list[Peak]:
    """Local maxima whose prominence is at least `min_prominence` of the highest, left to right."""
    padded = np.concatenate([[0.0], smoothed, [0.0]])
    begins = np.flatnonzero(np.diff(padded, prepend=np.nan) != 0)  # of every stretch of equal values
    heights, ends = padded[begins], np.append(begins[1:], len(padded)) - 1
    tops = np.flatnonzero((heights[1:-1] > heights[:-2]) & (heights[1:-1] > heights[2:])) + 1
    least = min_prominence * float(smoothed.max())
    tops = tops[heights[tops] - heights.min() >= least]  # the others cannot stand out as much
    peaks = []
    for top in tops:
        height = heights[top]
        left, right = np.flatnonzero(heights[:top] > height), np.flatnonzero(heights[top:] > height)
        valleys = heights[left[-1] if len(left) else 0 : top], heights[top : top + right[0] if len(right) else None]
        prominence = height - max(valley.min() for valley in valleys)
        if prominence >= least:
            peaks.append(Peak(int(begins[top] + ends[top]) // 2 - 1, float(height), float(prominence)))
    return peaks
