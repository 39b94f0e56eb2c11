"""Tail: where the flank of the main peak has run out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from treg_gating.errors import GateFitError
from treg_gating.gating.density import estimate_density, find_peaks
from treg_gating.gating.gates import Interval
from treg_gating.gating.method import FitContext, MethodFit, argument
from treg_gating.smoothing import smooth

__all__ = ["Tail"]

BOOTSTRAPS = 60


@dataclass(frozen=True, slots=True)
class Tail:
    """Cut beyond the reference peak where the slope of the density has died away.

    The reference peak is the highest. The cut is the first x beyond it, on the `side` asked for, where the
    absolute first derivative falls below `tolerance` of its greatest value on that flank.

    Source: the tail gate of openCyto (Finak et al., PLoS Comput Biol 2014), restated on a smoothed histogram.
    Fails: where the second population overlaps the flank: the cut then lies in the saddle between them.
    """

    tolerance: float = argument(0.01, "share of the steepest slope at which the flank has run out")
    side: str = argument("high", "flank of the peak: high or low")
    adjust: float = argument(1.5, "factor on Silverman's bandwidth")

    dimensions: ClassVar[tuple[int, ...]] = (1,)

    def __post_init__(self) -> None:
        if self.side not in {"high", "low"} or not (0 < self.tolerance < 1 and 0 < self.adjust < np.inf):
            msg = (
                f"side is {self.side!r} (expected high or low), tolerance {self.tolerance:g} (expected 0 to 1), "
                f"adjust {self.adjust:g} (expected above 0)"
            )
            raise ValueError(msg)

    def fit(self, context: FitContext) -> MethodFit:
        """Interval [cut, ∞) (side=high: the tail is inside; side=low: the peak is inside)."""
        density = estimate_density(*context.counted(context.dims[0]), adjust=self.adjust)
        at = self._cut(density.smoothed)
        rng = np.random.default_rng(int(density.counts.sum()))
        draws = rng.poisson(density.counts, (BOOTSTRAPS, density.counts.size)).astype(float)
        cuts = [density.centres[self._cut(curve)] for curve in smooth(draws, density.bandwidth)]
        reason = f"flank of the peak at {density.centres[int(np.argmax(density.smoothed))]:.3f} runs out here"
        return MethodFit(Interval(context.dims, low=float(density.centres[at])), reason, (float(np.std(cuts)),))

    def _cut(self, smoothed: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> int:
        peaks = find_peaks(smoothed, 0.05)
        if not peaks:
            msg = "no peak to measure a tail from"
            raise GateFitError(msg)
        top = max(peaks, key=lambda peak: peak.height).index
        slope = np.abs(np.gradient(smoothed))
        flank = slope[top:] if self.side == "high" else slope[: top + 1][::-1]
        steepest = int(np.argmax(flank))
        below = np.flatnonzero(flank[steepest:] < self.tolerance * flank[steepest])
        if below.size == 0:
            msg = "the flank does not run out within the data"
            raise GateFitError(msg)
        offset = steepest + int(below[0])
        return top + offset if self.side == "high" else top - offset
