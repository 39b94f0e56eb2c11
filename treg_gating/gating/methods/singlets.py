"""Singlets: events whose height and area agree."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.gates import Polygon
from treg_gating.gating.method import FitContext, MethodFit, argument

__all__ = ["SingletBand"]

Values = NDArray[np.float64]
Events = NDArray[np.floating[Any]]

ITERATIONS = 30
STEPS, FARTHEST = 500, 4  # cells per median of height / area; medians behind which nothing is looked at
ENOUGH = 10_000  # events tell the median that cells are a share of
BEHIND_OCTAVE = 20  # bits of a float32 behind exponent and three of the fraction: eight cells of area an octave
HUBER_K = 1.345  # 95 % efficiency for normal residuals (Huber 1964)


@dataclass(frozen=True, slots=True)
class SingletBand:
    """A band about the robust regression of height on area (dims: area; height).

    Doublets have twice the area at little more height. The line height = b₀ + b₁·area is fitted by iteratively
    reweighted least squares with Huber weights on residuals relative to the area (the spread of singlets grows
    with their size); the band keeps `level` of a normal distribution of the robust residual spread. Of a large tube
    every second, third, … event is looked at, some 100,000 at least.

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
        area, height = context.fetch_every(context.every, context.dims).T
        if not (len(area) and _all_usable(area) and _all_usable(height)):
            usable = np.isfinite(area) & np.isfinite(height) & (area > 0) & (height > 0)
            area, height = area[usable], height[usable]
        if len(area) < self.minimum:
            msg = f"{len(area)} events with positive area and height; at least {self.minimum} are needed"
            raise GateFitError(msg)
        intercept, slope, spread = _huber(area, height)
        if not (slope > 0 and spread > 0):
            msg = f"height does not rise with area (slope {slope:.3g}, spread {spread:.3g})"
            raise GateFitError(msg)
        z = NormalDist().inv_cdf(0.5 + self.level / 2)
        left, right = 0.0, context.highest(context.dims[0]) * 1.01
        corners = [
            (left, intercept + (slope - z * spread) * left),
            (right, intercept + (slope - z * spread) * right),
            (right, intercept + (slope + z * spread) * right),
            (left, intercept + (slope + z * spread) * left),
        ]
        reason = f"height = {intercept:.4g} + {slope:.3f} × area, band ± {z * spread:.3f} × area"
        return MethodFit(Polygon(context.dims, tuple(corners)), reason)


def _all_usable(values: Events) -> bool:
    return bool(values.min() > 0 and np.isfinite(values.max()))


def _huber(area: Events, height: Events) -> tuple[float, float, float]:
    """Intercept, slope, and robust SD of the residuals divided by area.

    The line is fitted to cells of events that are nearly alike; the SD, which a cell would blur, is that of the events.
    """
    ratio = height / area
    x, y, counts = _cells(area, ratio)
    weight, scale, intercept, slope = counts, 0.0, 0.0, 0.0
    for _ in range(ITERATIONS):
        total = float(weight.sum())
        centre = float(weight @ x) / total
        leverage = weight * (x - centre)
        spread = float(leverage @ (x - centre))
        intercept = float(leverage @ y) / spread if spread > 0 else 0.0
        slope = float(weight @ y) / total - intercept * centre
        residual = np.abs(y - slope - intercept * x)
        before, scale = scale, 1.4826 * _weighted_median(residual, counts)
        if scale <= 0 or abs(scale - before) < 1e-6 * scale:
            break
        weight = counts * np.minimum(1.0, HUBER_K * scale / np.maximum(residual, 1e-300))
    residual = intercept / area
    residual += slope
    residual -= ratio
    return intercept, slope, 1.4826 * _middle(np.abs(residual, out=residual))


def _cells(area: Events, ratio: Events) -> tuple[Values, Values, Values]:
    """Cells of nearly one area and one ratio of height to area: their middles (1 / area, ratio), and the events."""
    step = _middle(ratio[:: max(1, len(ratio) // ENOUGH)]) / STEPS
    octave = area.astype(np.float32).view(np.int32) >> BEHIND_OCTAVE
    lowest = int(octave.min())
    octave -= lowest
    octave *= FARTHEST * STEPS + 1
    steps = ratio / ratio.dtype.type(step)
    octave += np.clip(steps, 0, FARTHEST * STEPS, out=steps).astype(np.int32)
    counts = np.bincount(octave)
    known = np.flatnonzero(counts != 0)  # of a mask they are sooner found
    octave, number = np.divmod(known, FARTHEST * STEPS + 1)
    near = number < FARTHEST * STEPS
    known, octave, number = known[near], octave[near], number[near]
    edges = (np.stack([octave, octave + 1]) + lowest).astype(np.int32) << BEHIND_OCTAVE
    areas = edges.view(np.float32).mean(axis=0, dtype=np.float64)
    return 1 / areas, (number + 0.5) * step, counts[known].astype(np.float64)


def _middle(values: Events) -> float:
    """The median, or the upper one of two: one of many thousands is as good as their mean, and found sooner."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])


def _weighted_median(values: Values, counts: Values) -> float:
    if len(values) == 1:
        return float(values[0])
    order = np.argsort(values)
    counts = counts[order]
    upto = np.cumsum(counts)
    middles = upto - counts / 2
    at = max(1, min(int(middles.searchsorted(upto[-1] / 2)), len(order) - 1))  # between this one and the one before
    (x0, x1), (y0, y1) = middles[at - 1 : at + 1], values[order[at - 1 : at + 1]]
    return float(np.interp(upto[-1] / 2, (x0, x1), (y0, y1)))
