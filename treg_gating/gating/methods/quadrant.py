"""Quadrant: two valleys cross, and one of the four corners is taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from treg_gating.errors import GateFitError
from treg_gating.gating.gates import Rectangle
from treg_gating.gating.method import FitContext, MethodFit, argument
from treg_gating.gating.methods.valley import Valley

__all__ = ["Quadrant"]

CORNERS = ("++", "+-", "-+", "--")


@dataclass(frozen=True, slots=True)
class Quadrant:
    """One corner of the cross that a valley on each of two dimensions makes, as a rectangle open to the outside.

    Each cut is found on all events of the parent, by the acceptance rule of ``valley``. Four rows of gates.csv with the
    four corners, fitted on the same parent, share both cuts and hold every event once.

    Source: quadrant gates as two thresholds, Gating-ML 2.0 (Spidlen et al., Cytometry A 2015); the cuts are those of
    ``valley``.
    Fails: either dimension has no acceptable valley; populations that a slanted line would part and a cross does not.
    """

    corner: str = argument("++", "corner taken, the first dimension's side first: ++, +-, -+ or --")
    min_prominence: float = argument(0.02, "least prominence of each peak, as a share of the highest peak")
    depth: float = argument(0.8, "greatest height of a valley, as a share of the lower of its two peaks")
    sigma: float = argument(4.0, "least dip, in Poisson standard deviations of the smoothed count", "SD")

    dimensions: ClassVar[tuple[int, ...]] = (2,)

    def __post_init__(self) -> None:
        if self.corner not in CORNERS:
            msg = f"corner is {self.corner!r}: expected {', '.join(CORNERS)}"
            raise ValueError(msg)
        self._valley()  # its own limits on the numbers hold here too

    def _valley(self) -> Valley:
        return Valley(min_prominence=self.min_prominence, depth=self.depth, sigma=self.sigma)

    def fit(self, context: FitContext) -> MethodFit:
        """Rectangle with two bounds; GateFitError where a dimension has no acceptable valley."""
        cuts, errors, reasons = [], [], []
        for name in context.dims:
            try:
                fit = self._valley().fit(replace(context, dims=(name,), source=partial(context.fetch, (name,))))
            except GateFitError as error:
                msg = f"{name}: {error}"
                raise GateFitError(msg) from None
            cuts.append(float(fit.gate.low))  # type: ignore[attr-defined]
            errors.append(fit.standard_error[0])
            reasons.append(f"{name}: {fit.reason}")
        low = tuple(cut if side == "+" else -np.inf for cut, side in zip(cuts, self.corner, strict=True))
        high = tuple(np.inf if side == "+" else cut for cut, side in zip(cuts, self.corner, strict=True))
        # Errors stand in the order of the finite bounds: lower ones first, then upper ones.
        order = sorted(range(2), key=lambda at: self.corner[at] == "-")
        return MethodFit(Rectangle(context.dims, low, high), "; ".join(reasons), tuple(errors[at] for at in order))
