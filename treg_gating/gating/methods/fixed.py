"""Fixed gates: numbers written in the template by a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from treg_gating.gating.gates import Interval
from treg_gating.gating.method import FitContext, MethodFit, argument

__all__ = ["Fixed"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A cut that does not look at the data; the end of a fall-back chain, or a laboratory's static gate.

    Source: whoever wrote the template.
    Fails: never, and that is its weakness; its status in the results is always "fixed".
    """

    low: float = argument(-np.inf, "events below are outside", "gate units")
    high: float = argument(np.inf, "events at or above are outside", "gate units")

    dimensions: ClassVar[tuple[int, ...]] = (1,)

    def __post_init__(self) -> None:
        if not self.low < self.high or not (np.isfinite(self.low) or np.isfinite(self.high)):
            msg = f"low={self.low:g}, high={self.high:g}: expected low below high and at least one of them finite"
            raise ValueError(msg)

    def fit(self, context: FitContext) -> MethodFit:
        """Interval [low, high)."""
        return MethodFit(Interval(context.dims, self.low, self.high), "written in the template")
