"""Valley: the lowest density between two peaks, accepted only when it is really there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.density import Density, Peak, estimate_density, find_peaks
from treg_gating.gating.gates import Interval
from treg_gating.gating.method import FitContext, MethodFit, argument
from treg_gating.smoothing import kernel_reach, smooth

__all__ = ["Valley"]

BOOTSTRAPS = 100
MANY = 50.0  # events in a bin, from which on normal numbers are drawn: sooner, and hardly different
NEVER = 6.0  # Poisson standard deviations that no draw goes astray


@dataclass(frozen=True, slots=True)
class Valley:
    """Cut at the lowest point between two peaks of a kernel density.

    A valley counts only between two peaks of sufficient prominence, deep enough relative to the lower
    peak, inside the search range, with a dip of several Poisson standard deviations of the smoothed count,
    and found again in at least 90 % of bootstrapped histograms. So data with one peak never get an
    invented cut; they raise GateFitError and the template's chain goes on.

    Of several valleys the one with the most significant dip counts.

    Source: density valleys as in flowDensity (Malek et al., Bioinformatics 2015); the acceptance rule is this
    project's, tried on one-peak data (``tests/gating``).
    Fails: shoulders and smears without a dip; a positive population of under about 1 % beside a broad negative one.
    """

    min_prominence: float = argument(0.02, "least prominence of each peak, as a share of the highest peak")
    depth: float = argument(0.8, "greatest height of the valley, as a share of the lower of its two peaks")
    sigma: float = argument(4.0, "least dip, in Poisson standard deviations of the smoothed count", "SD")
    adjust: float = argument(1.0, "factor on Silverman's bandwidth")
    low: float = argument(-np.inf, "lowest cut accepted", "gate units")
    high: float = argument(np.inf, "highest cut accepted", "gate units")

    dimensions: ClassVar[tuple[int, ...]] = (1,)

    def __post_init__(self) -> None:
        if not (0 < self.min_prominence < 1 and 0 < self.depth <= 1 and self.sigma >= 0 and 0 < self.adjust < np.inf):
            msg = (
                f"min_prominence={self.min_prominence:g}, depth={self.depth:g}, sigma={self.sigma:g}, "
                f"adjust={self.adjust:g}: expected shares within 0 to 1, sigma 0 or more, adjust above 0"
            )
            raise ValueError(msg)
        if not self.low < self.high:
            msg = f"low={self.low:g}, high={self.high:g}: expected low below high"
            raise ValueError(msg)

    def fit(self, context: FitContext) -> MethodFit:
        """Interval [cut, ∞) on the step's dimension; GateFitError where no valley is acceptable."""
        density = estimate_density(*context.counted(context.dims[0], context.every), adjust=self.adjust)
        left, right, at, dip = self._best(density)
        cuts = _bootstrap(density, left, right)
        error = float(cuts.std()) if cuts.size else 0.0
        reason = (
            f"valley at {density.centres[at]:.3f} between peaks at {density.centres[left.index]:.3f} and "
            f"{density.centres[right.index]:.3f}, dip of {dip:.1f} Poisson SD"
        )
        if cuts.size < 0.9 * BOOTSTRAPS:
            msg = f"{reason}, but found again in only {cuts.size} of {BOOTSTRAPS} bootstraps"
            raise GateFitError(msg)
        return MethodFit(Interval(context.dims, low=float(density.centres[at])), reason, (error,))

    def _best(self, density: Density) -> tuple[Peak, Peak, int, float]:
        peaks = find_peaks(density.smoothed, self.min_prominence)
        found: list[tuple[float, Peak, Peak, int]] = []
        rejected: list[str] = []
        for i, left in enumerate(peaks):
            for right in peaks[i + 1 :]:
                at = left.index + int(np.argmin(density.smoothed[left.index : right.index + 1]))
                floor, lower = density.smoothed[at], min(left.height, right.height)
                dip = float((lower - floor) / density.poisson_sd(lower + floor))
                if floor > self.depth * lower:
                    rejected.append(f"the dip at {density.centres[at]:.3f} is shallow")
                elif dip < self.sigma:
                    rejected.append(f"the dip at {density.centres[at]:.3f} is {dip:.1f} Poisson SD")
                elif not self.low <= density.centres[at] <= self.high:
                    rejected.append(f"the valley at {density.centres[at]:.3f} lies outside the search range")
                else:
                    found.append((dip, left, right, at))
        if not found:
            msg = f"{len(peaks)} peak(s) and no acceptable valley" + (f": {rejected[0]}" if rejected else "")
            raise GateFitError(msg)
        dip, left, right, at = max(found, key=lambda item: (item[0], -item[3]))
        return left, right, at, dip


def _bootstrap(density: Density, left: Peak, right: Peak) -> NDArray[np.float64]:
    """Cuts found again between the same two peaks in Poisson-resampled histograms (seeded by the data's size).

    Bins are drawn together up to a third of a bandwidth: so near its lowest point the curve is a parabola. Where the
    curve stands so high that no draw has its lowest point there, none is drawn.
    """
    rng = np.random.default_rng(int(density.counts.sum()))
    wide = max(1, int(density.bandwidth / 3))
    reach = kernel_reach(density.bandwidth / wide)  # bins farther away say nothing of the curve between the peaks
    curve = density.smoothed[left.index : right.index + 1]
    doubt = NEVER * density.poisson_sd(curve)
    low = np.flatnonzero(curve - doubt <= curve.min() + doubt[curve.argmin()])
    first = left.index + max(0, int(low[0]) - wide)
    between = (min(right.index, left.index + int(low[-1]) + wide) - first) // wide + 1
    margin = wide * (reach + 1)
    padded = np.zeros(len(density.counts) + 2 * margin)
    padded[margin:-margin] = density.counts
    expected = padded[first + wide :][: wide * (between + 2 * reach)].reshape(-1, wide).sum(axis=1)
    drawn = expected + np.sqrt(expected) * rng.standard_normal((BOOTSTRAPS, len(expected)))
    few = np.flatnonzero(expected < MANY)
    drawn[:, few] = rng.poisson(expected[few], (BOOTSTRAPS, len(few)))
    curves = smooth(drawn, density.bandwidth / wide)[:, reach:-reach]
    at = curves.argmin(axis=1)
    found = np.flatnonzero((at > 0) & (at < between - 1))
    before, lowest, behind = (curves[found, at[found] + step] for step in (-1, 0, 1))
    beyond = (before - behind) / (2 * np.maximum(before - 2 * lowest + behind, 1e-300))
    place = first + (at[found] + beyond + 0.5) * wide - 0.5
    cuts: NDArray[np.float64] = density.centres[0] + place * density.step
    return cuts
