"""Control quantile: a threshold taken from FMO tubes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from treg_gating.errors import GateFitError
from treg_gating.gating.gates import Interval
from treg_gating.gating.method import FitContext, Learner, MethodFit, argument

__all__ = ["ControlQuantile"]


@dataclass(frozen=True, slots=True)
class ControlQuantile:
    """Threshold at a quantile of the matching FMO tube, within the same parent population.

    The batch's own FMO counts; where a batch has several, their median; where it has none, the median over
    batches, and the reason says so.

    Source: fluorescence-minus-one controls (Roederer, Cytometry 2001; for Tregs PMC4184245, figure 5). Right for
    FOXP3, Ki67, CTLA-4 and HLA-DR; only a lower bound for CD25.
    Fails: no FMO with enough events in the parent.
    """

    control: str = argument("FOXP3", "marker that the control leaves out (control_for in the sheet)")
    q: float = argument(0.995, "quantile of the control's events")
    minimum: int = argument(2000, "fewest events of the control in the parent", "events")

    learns_from: ClassVar[str] = "controls"
    dimensions: ClassVar[tuple[int, ...]] = (1,)

    def __post_init__(self) -> None:
        if not 0.5 < self.q < 1:
            msg = f"q is {self.q:g}; expected between 0.5 and 1"
            raise ValueError(msg)
        if self.minimum < 1:
            msg = f"minimum is {self.minimum}; expected 1 or more"
            raise ValueError(msg)

    def summarise(self, context: FitContext) -> Mapping[str, Any]:
        """Quantile of a control tube, its standard error (Maritz-Jarrett by density), and its event count."""
        values = context.events[:, 0]
        values = values[np.isfinite(values)]
        if values.size < self.minimum:
            return {"n": int(values.size)}
        # SE of a quantile is √(q(1−q)/n) / f(x); the density f is read off a narrow quantile range about it.
        half = min(0.002, (1 - self.q) / 2)
        below, cut, above = map(float, np.quantile(values, (self.q - half, self.q, self.q + half)))
        rise = above - below
        error = float(np.sqrt(self.q * (1 - self.q) / values.size) * rise / (2 * half))
        return {"n": int(values.size), "cut": cut, "error": error}

    def pool(self, learners: Sequence[Learner]) -> Mapping[str, Any]:
        """Median threshold by batch and over all."""
        usable = [one for one in learners if one.control_for.upper() == self.control.upper() and "cut" in one.summary]
        if not usable:
            msg = f"no FMO tube without {self.control} has {self.minimum} events in the parent"
            raise GateFitError(msg)
        batches = sorted({one.batch for one in usable})
        by_batch = {
            batch: [
                float(np.median([one.summary[key] for one in usable if one.batch == batch])) for key in ("cut", "error")
            ]
            for batch in batches
        }
        overall = [float(np.median([value[i] for value in by_batch.values()])) for i in (0, 1)]
        return {"by_batch": by_batch, "overall": overall}

    def fit(self, context: FitContext) -> MethodFit:
        """Interval [threshold of the tube's batch, ∞)."""
        if context.model is None:
            msg = f"no usable FMO control for {self.control}"
            raise GateFitError(msg)
        own = context.model["by_batch"].get(context.batch)
        cut, error = own or context.model["overall"]
        where = f"batch {context.batch}" if own else "the median over batches (this batch has none)"
        return MethodFit(Interval(context.dims, low=cut), f"{100 * self.q:g} % of the FMO of {where}", (error,))
