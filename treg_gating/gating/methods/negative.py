"""Thresholds from the tube's own negative events, where no control tube exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from treg_gating.errors import GateFitError
from treg_gating.gating.density import estimate_density, quantiles
from treg_gating.gating.gates import Interval
from treg_gating.gating.method import FitContext, MethodFit, argument

__all__ = ["NegativePeak"]


@dataclass(frozen=True, slots=True)
class NegativePeak:
    """Threshold a number of standard deviations above the mode of the negative peak.

    The parent's own negative peak is mirrored about its mode: the SD is the 68.27 % quantile of the distances of the
    events below the mode, where no positive event lies.

    Source: the mirrored negative peak, measured against manual gates on real Treg files; half-sample
    spread, as in the internal-negative gates of FOXP3 by CD3− or CD8+ cells of the same tube.
    Fails: a positive population larger than the negative one; a negative peak skewed to the right.
    """

    k: float = argument(3.0, "standard deviations above the mode", "SD")
    adjust: float = argument(1.5, "factor on Silverman's bandwidth when the mode is sought")
    minimum: int = argument(200, "fewest events to fit on", "events")

    dimensions: ClassVar[tuple[int, ...]] = (1,)

    def __post_init__(self) -> None:
        if not (0 < self.k < np.inf and 0 < self.adjust < np.inf and self.minimum >= 1):
            msg = f"k={self.k:g}, adjust={self.adjust:g}, minimum={self.minimum}: expected all above 0"
            raise ValueError(msg)

    def fit(self, context: FitContext) -> MethodFit:
        """Interval [mode + k SD, ∞)."""
        values, counts = context.counted(context.dims[0])
        density = estimate_density(values, counts, adjust=self.adjust, minimum=self.minimum)
        mode = float(density.centres[int(np.argmax(density.smoothed))])
        half = np.searchsorted(values, mode)
        upto = np.cumsum(counts[:half])
        n = int(upto[-1]) if half else 0
        if n < self.minimum / 4:
            msg = f"{n} events below the mode at {mode:.3f}; at least {self.minimum // 4} are needed"
            raise GateFitError(msg)
        spread = mode - float(quantiles(values[:half], upto, 1 - 0.6827)[0])
        error = float(np.hypot(spread / np.sqrt(n), self.k * spread / np.sqrt(2 * n)))
        reason = f"negative peak at {mode:.3f}, SD {spread:.3f} from its lower half, + {self.k:g} SD"
        return MethodFit(Interval(context.dims, low=mode + self.k * spread), reason, (error,))
