"""Gates as lines to draw: outlines, cuts and bands of uncertainty, in gate units. Knows no file format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, Rectangle

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bands", "cut_errors", "cuts", "drawable", "outline", "segments"]

Points = NDArray[np.float64]
Box = tuple[tuple[float, float], tuple[float, float]]
"""((x low, y low), (x high, y high)) in gate units."""


def cuts(gate: Interval) -> tuple[float, ...]:
    """The finite bounds of an interval."""
    return tuple(bound for bound in (gate.low, gate.high) if np.isfinite(bound))


def cut_errors(gate: Interval, standard_error: Sequence[float]) -> tuple[float, ...]:
    """Standard error of every finite bound, NaN where there is none."""
    n = len(cuts(gate))
    if len(standard_error) == 1:
        return tuple(standard_error) * n
    return tuple(standard_error) if len(standard_error) == n else (float("nan"),) * n


def segments(gate: Interval, sign: str, low: float, high: float) -> list[tuple[float, float]]:
    """Stretches of an axis from `low` to `high` that belong to the population (outside the gate for "-")."""
    inside = (max(gate.low, low), min(gate.high, high))
    stretches = [inside] if sign != "-" else [(low, inside[0]), (inside[1], high)]
    return [(a, b) for a, b in stretches if a < b]


def drawable(gate: Gate, dims: tuple[str, ...]) -> bool:
    """Whether a gate can be drawn on a plot of `dims`."""
    return set(gate.dims) <= set(dims) and len(gate.dims) <= 2


def outline(gate: Gate, dims: tuple[str, ...], box: Box) -> list[tuple[Points, bool]]:
    """Lines of a gate on a two-dimensional plot.

    Parameters
    ----------
    gate : any gate whose dimensions are among `dims`, in whatever order.
    dims : the plot's dimensions, x first.
    box : the plot's limits; lines without an end are drawn across it.

    Returns
    -------
    Pairs (points of shape (n, 2), whether the line closes).
    """
    if isinstance(gate, Interval):
        axis = dims.index(gate.dims[0])
        return [(_across(axis, cut, box), False) for cut in cuts(gate)]
    flip = gate.dims != dims
    if isinstance(gate, HalfPlane):
        normal, offset = gate.normal[::-1] if flip else gate.normal, gate.offset
        return [(_line(np.array(normal), offset, box), False)]
    points = _corners(gate)
    return [(points[:, ::-1] if flip else points, True)]


def bands(gate: Gate, standard_error: Sequence[float], dims: tuple[str, ...], box: Box) -> list[Points]:
    """Polygons that cover ± one standard error about the lines of a gate; empty where none was estimated.

    Intervals take one number a bound; half-planes the error of their offset (the last number); ellipses the
    errors of their centre and, where given, of the logarithms of their spreads. Other gates carry no band.
    """
    if not len(standard_error):
        return []
    if isinstance(gate, Interval):
        axis = dims.index(gate.dims[0])
        return [
            np.vstack([_across(axis, cut - error, box), _across(axis, cut + error, box)[::-1]])
            for cut, error in zip(cuts(gate), cut_errors(gate, standard_error), strict=True)
            if np.isfinite(error)
        ]
    if isinstance(gate, HalfPlane) and np.isfinite(standard_error[-1]):
        normal = np.array(gate.normal[::-1] if gate.dims != dims else gate.normal)
        error = standard_error[-1]
        return [np.vstack([_line(normal, gate.offset - error, box), _line(normal, gate.offset + error, box)[::-1]])]
    if isinstance(gate, Ellipse) and len(gate.mean) == 2 and len(standard_error) >= 2:
        ring = _ring(gate, np.array(standard_error))
        return [ring if gate.dims == dims else ring[:, ::-1]]
    return []


def _ring(gate: Ellipse, error: Points) -> Points:
    """The stretch between an ellipse widened and narrowed by one standard error on each axis."""
    spread = np.sqrt(gate.distance_square * np.diag(np.array(gate.covariance)))
    of_spread = spread * (np.exp(error[2:4]) - 1) if len(error) >= 4 else 0.0
    relative = np.minimum(np.hypot(error[:2], of_spread) / spread, 0.95)
    centred, mean = _corners(gate) - np.array(gate.mean), np.array(gate.mean)
    outer, inner = mean + centred * (1 + relative), mean + centred * (1 - relative)
    return np.vstack([outer, outer[:1], inner[:1], inner[::-1]])


def _across(axis: int, at: float, box: Box) -> Points:
    points = np.array(box, dtype=np.float64)
    points[:, axis] = at
    return points


def _line(normal: Points, offset: float, box: Box) -> Points:
    low, high = np.array(box[0]), np.array(box[1])
    centre = (low + high) / 2
    foot = centre + (offset - centre @ normal) * normal
    reach = np.array([-normal[1], normal[0]]) * np.hypot(*(high - low))
    return np.array([foot - reach, foot + reach])


def _corners(gate: Any) -> Points:
    if isinstance(gate, Polygon):
        return np.array(gate.vertices, dtype=np.float64)
    if isinstance(gate, Rectangle):
        (x1, y1), (x2, y2) = gate.low, gate.high
        return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float64)
    if isinstance(gate, Ellipse) and len(gate.mean) == 2:
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        circle = np.sqrt(gate.distance_square) * np.column_stack([np.cos(angle), np.sin(angle)])
        root = np.linalg.cholesky(np.array(gate.covariance))
        ellipse: Points = np.array(gate.mean) + circle @ root.T
        return ellipse
    msg = f"a {type(gate).__name__} on {gate.dims} cannot be drawn in two dimensions"
    raise ValueError(msg)
