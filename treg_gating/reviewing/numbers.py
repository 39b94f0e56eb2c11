"""Gates as a person writes them in a cell: compensated intensities, as on the axes.

A threshold is ``≥ 812`` or ``< 812``, a range ``812 to 5000``; a line is two points it runs through, as in
``300, 0; 9000, 4000``; a polygon is its corners, three or more. In a cell ``>=`` does for ``≥``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from treg_gating.errors import InputError
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, Rectangle
from treg_gating.transforms import Transform

__all__ = ["KIND_WORDS", "gate_in_words", "gate_of_words"]

KIND_WORDS = {
    Interval: "threshold", HalfPlane: "line", Polygon: "polygon", Ellipse: "ellipse", Rectangle: "rectangle",
}  # fmt: skip
_NUMBER = r"[-−+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s+to\s+({_NUMBER})\s*$")
_ONE_SIDED = re.compile(rf"\s*(>=|≥|>|<|≤|<=)\s*({_NUMBER})\s*$")
_PLAIN = re.compile(rf"\s*({_NUMBER})\s*$")
_CORNERS_OF_ELLIPSE = 16
_APART = 0.3  # gate units: how far apart the two points are that a line is written with
HOW = "'≥ 812', '< 812' or '812 to 5000' on one axis; 'x, y; x, y' for a line; three points or more for a polygon"


def gate_in_words(gate: Gate | None, scales: Sequence[Transform]) -> str:
    """A gate in compensated intensities; empty for none, and for kinds that a cell cannot hold."""
    if isinstance(gate, Interval):
        low, high = (_said(scales[0], value) for value in (gate.low, gate.high))
        return f"{low} to {high}" if low and high else f"≥ {low}" if low else f"< {high}"
    if isinstance(gate, HalfPlane):
        foot = np.array(gate.normal) * gate.offset
        along = np.array([-gate.normal[1], gate.normal[0]])
        middle = foot + along * float(along @ (np.array([0.5, 0.5]) - foot))
        return _points([middle - _APART * along, middle + _APART * along], scales)
    if isinstance(gate, Polygon):
        return _points(gate.vertices, scales)
    if isinstance(gate, Ellipse):
        lower = np.linalg.cholesky(np.array(gate.covariance)) * math.sqrt(gate.distance_square)
        turns = np.linspace(0, 2 * np.pi, _CORNERS_OF_ELLIPSE, endpoint=False)
        return _points(np.array(gate.mean) + np.column_stack([np.cos(turns), np.sin(turns)]) @ lower.T, scales)
    return ""


def _said(scale: Transform, value: float) -> str:
    return f"{float(scale.inverse(value)):.6g}" if math.isfinite(value) else ""


def _points(points: object, scales: Sequence[Transform]) -> str:
    return "; ".join(
        ", ".join(f"{float(scale.inverse(value)):.6g}" for scale, value in zip(scales, point, strict=True))
        for point in np.asarray(points, dtype=np.float64)
    )


def gate_of_words(text: str, before: Gate | None, dims: Sequence[str], scales: Sequence[Transform]) -> Gate:
    """The inverse of :func:`gate_in_words`.

    Parameters
    ----------
    before : the gate it is instead of (or where other tubes have theirs): a bare number keeps its open end, and a line
        keeps its side.
    dims, scales : the gate's dimensions.

    Raises
    ------
    InputError : it cannot be understood.
    """
    try:
        if len(dims) == 1:
            return _interval(text, before, dims, scales[0])
        points = _read_points(text, scales)
        if len(points) == 2:
            return _line(points, before, dims)
        return Polygon(tuple(dims), tuple(points))
    except ValueError as error:
        problem = f"the new numbers are not understood ({error})"
        raise InputError(problem, found=repr(text), expected=HOW) from error


def _interval(text: str, before: Gate | None, dims: Sequence[str], scale: Transform) -> Interval:
    def at(number: str) -> float:
        return float(scale.apply(_value(number)))

    if found := _RANGE.match(text):
        return Interval(tuple(dims), at(found.group(1)), at(found.group(2)))
    if found := _ONE_SIDED.match(text):
        above = found.group(1) in (">", ">=", "≥")
        value = at(found.group(2))
        return Interval(tuple(dims), low=value) if above else Interval(tuple(dims), high=value)
    if found := _PLAIN.match(text):
        if isinstance(before, Interval) and math.isfinite(before.low) != math.isfinite(before.high):
            value = at(found.group(1))
            low = math.isfinite(before.low)
            return Interval(tuple(dims), low=value) if low else Interval(tuple(dims), high=value)
        msg = "on which side? write ≥ or <"
        raise ValueError(msg)
    msg = "no threshold and no range"
    raise ValueError(msg)


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def _read_points(text: str, scales: Sequence[Transform]) -> list[tuple[float, float]]:
    points = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        values = [value.strip() for value in part.split(",")]
        if len(values) != 2 or not all(_PLAIN.match(value) for value in values):
            msg = f"{part!r} is not a point"
            raise ValueError(msg)
        x, y = (float(scale.apply(_value(value))) for scale, value in zip(scales, values, strict=True))
        points.append((x, y))
    if len(points) < 2:
        msg = f"{len(points)} points"
        raise ValueError(msg)
    return points


def _line(points: Sequence[tuple[float, float]], before: Gate | None, dims: Sequence[str]) -> HalfPlane:
    if not isinstance(before, HalfPlane):
        msg = "two points make a line, and this gate was none: give three corners or more"
        raise ValueError(msg)  # noqa: TRY004 (a person's words, not an argument's type)
    first, second = (np.array(point) for point in points)
    along = second - first
    length = float(np.hypot(*along))
    if not length > 0:
        msg = "the two points are one"
        raise ValueError(msg)
    normal = np.array([-along[1], along[0]]) / length
    if float(normal @ np.array(before.normal)) < 0:
        normal = -normal
    return HalfPlane(tuple(dims), (float(normal[0]), float(normal[1])), float(normal @ first))
