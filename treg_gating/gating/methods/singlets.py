"""Singlets: events whose height and area agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.gates import Polygon
from treg_gating.gating.method import FitContext, MethodFit, argument

__all__ = ["SingletBand"]

Values = NDArray[np.float64]

ITERATIONS = 30
STEPS, FARTHEST = 500, 4  # cells per median of height / area; medians behind which all are one cell
BEHIND_OCTAVE = 49  # bits of a float64 behind exponent and three of the fraction: eight cells of area an octave
HUBER_K = 1.345  # 95 % efficiency for normal residuals (Huber 1964)


@dataclass(frozen=True, slots=True)
class SingletBand:
    """A band about the robust regression of height on area (dims: area; height).

    Doublets have twice the area at little more height. The line height = b₀ + b₁·area is fitted by iteratively
    reweighted least squares with Huber weights on residuals relative to the area (the spread of singlets grows
    with their size); the band keeps `level` of a normal distribution of the robust residual spread.

    Source: Huber (Ann Math Stat 1964) for the weights; the gate is flowStats' singletGate idea with relative residuals.
    Fails: a tube in which most events are doublets; a height channel that is cut off at the top.
    """

    level: float = argument(0.99, "share of the singlets the band keeps")
    minimum: int = argument(100, "fewest events to fit on", "events")

    dimensions: ClassVar[tuple[int, ...]] = (2,)
    can_be_shared: ClassVar[bool] = False  # a polygon has no median

    def __post_init__(self) -> None:
        if not 0.5 < self.level < 1:
            msg = f"level is {self.level:g}; expected between 0.5 and 1"
            raise ValueError(msg)

    def fit(self, context: FitContext) -> MethodFit:
        """Polygon with four corners over the positive range of the area."""
        from scipy.special import ndtri

        area, height = context.events[:, 0], context.events[:, 1]
        usable = np.isfinite(area) & np.isfinite(height) & (area > 0) & (height > 0)
        if usable.sum() < self.minimum:
            msg = f"{int(usable.sum())} events with positive area and height; at least {self.minimum} are needed"
            raise GateFitError(msg)
        intercept, slope, spread = _huber(area[usable], height[usable])
        if not (slope > 0 and spread > 0):
            msg = f"height does not rise with area (slope {slope:.3g}, spread {spread:.3g})"
            raise GateFitError(msg)
        z = float(ndtri(0.5 + self.level / 2))
        left, right = 0.0, float(area[usable].max()) * 1.01
        corners = [
            (left, intercept + (slope - z * spread) * left),
            (right, intercept + (slope - z * spread) * right),
            (right, intercept + (slope + z * spread) * right),
            (left, intercept + (slope + z * spread) * left),
        ]
        reason = f"height = {intercept:.4g} + {slope:.3f} × area, band ± {z * spread:.3f} × area"
        return MethodFit(Polygon(context.dims, tuple(corners)), reason)


def _huber(area: Values, height: Values) -> tuple[float, float, float]:
    """Intercept, slope, and robust SD of the residuals divided by area.

    The line is fitted to cells of events that are nearly alike; the SD, which a cell would blur, is that of the events.
    """
    inverse, ratio = 1 / area, height / area
    x, y, counts = _cells(area, inverse, ratio)
    weight, scale, intercept, slope = counts, 0.0, 0.0, 0.0
    for _ in range(ITERATIONS):
        centre = np.average(x, weights=weight)
        leverage = weight * (x - centre)
        spread = float(leverage @ (x - centre))
        intercept = float(leverage @ y) / spread if spread > 0 else 0.0
        slope = float(np.average(y, weights=weight) - intercept * centre)
        residual = np.abs(y - slope - intercept * x)
        before, scale = scale, 1.4826 * _weighted_median(residual, counts)
        if scale <= 0 or abs(scale - before) < 1e-6 * scale:
            break
        weight = counts * np.minimum(1.0, HUBER_K * scale / np.maximum(residual, 1e-300))
    inverse *= intercept
    ratio -= inverse
    ratio -= slope
    return intercept, slope, 1.4826 * _middle(np.abs(ratio, out=ratio))


def _cells(area: Values, inverse: Values, ratio: Values) -> tuple[Values, Values, Values]:
    """Cells of nearly one area and one ratio of height to area: means of 1 / area and of the ratio, and the events."""
    steps = np.minimum(ratio * (STEPS / _middle(ratio)), FARTHEST * STEPS).astype(np.intp)
    octave = np.ascontiguousarray(area).view(np.int64) >> BEHIND_OCTAVE
    cell = (octave - octave.min()) * (FARTHEST * STEPS + 1) + steps
    counts = np.bincount(cell)
    known = np.flatnonzero(counts)
    n = counts[known].astype(np.float64)
    return np.bincount(cell, inverse)[known] / n, np.bincount(cell, ratio)[known] / n, n


def _middle(values: Values) -> float:
    """The median, or the upper one of two: one of many thousands is as good as their mean, and found sooner."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])


def _weighted_median(values: Values, counts: Values) -> float:
    order = np.argsort(values)
    mass = np.cumsum(counts[order])
    return float(np.interp(mass[-1] / 2, mass - counts[order] / 2, values[order]))
