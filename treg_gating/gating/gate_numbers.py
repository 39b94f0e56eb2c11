"""Gates as vectors of their free numbers, so that medians and weighted means of gates can be taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.gates import Ellipse, Gate, Interval, Rectangle

__all__ = ["from_vector", "scale_of", "to_vector"]


def to_vector(gate: Gate | None) -> NDArray[np.float64]:
    """Free numbers: finite bounds (lower ones first), or centre, log spreads and correlation of an ellipse."""
    if isinstance(gate, Interval | Rectangle):
        bounds = np.concatenate([np.atleast_1d(gate.low), np.atleast_1d(gate.high)])
        return np.asarray(bounds[np.isfinite(bounds)], dtype=np.float64)
    if isinstance(gate, Ellipse):
        covariance = np.array(gate.covariance)
        spread = np.sqrt(np.diag(covariance))
        correlation = covariance[0, 1] / spread.prod()
        return np.array([*gate.mean, *np.log(spread), np.arctanh(correlation)])
    msg = f"{type(gate).__name__} gates have no consensus; share must be own"
    raise GateFitError(msg)


def from_vector(pattern: Gate | None, vector: NDArray[np.float64]) -> Gate:
    """A gate like `pattern` with other free numbers; the inverse of :func:`to_vector`."""
    if isinstance(pattern, Interval):
        ends = iter(vector)
        low = float(next(ends)) if np.isfinite(pattern.low) else pattern.low
        high = float(next(ends)) if np.isfinite(pattern.high) else pattern.high
        return Interval(pattern.dims, low, high)
    if isinstance(pattern, Rectangle):
        ends = iter(vector)
        sides = [
            tuple(float(next(ends)) if np.isfinite(v) else v for v in side) for side in (pattern.low, pattern.high)
        ]
        return Rectangle(pattern.dims, sides[0], sides[1])
    if isinstance(pattern, Ellipse):
        spread, correlation = np.exp(vector[2:4]), float(np.tanh(vector[4]))
        covariance = np.outer(spread, spread) * np.array([[1.0, correlation], [correlation, 1.0]])
        rows = tuple(tuple(float(value) for value in row) for row in covariance)
        return Ellipse(pattern.dims, (float(vector[0]), float(vector[1])), rows, pattern.distance_square)
    msg = f"{type(pattern).__name__} gates have no consensus; share must be own"
    raise GateFitError(msg)


def scale_of(gate: Gate, size: int) -> NDArray[np.float64]:
    """What one gate unit is: 1 on a transformed axis; for an ellipse its own spreads, and 5 for their logarithms."""
    if isinstance(gate, Ellipse):
        spread = np.sqrt(np.diag(np.array(gate.covariance)))
        return np.array([*(20 * spread), 20.0, 20.0, 40.0])
    return np.ones(size)
