"""The dimensions of one tube as gates see them, with the shortcuts that give the same answer sooner.

A transform is strictly increasing. So a bound on the transformed axis is a bound on the linear one
(:func:`treg_gating.transforms.least_float32`), exactly; and a polygon needs an event's transformed values only where a
coarse look at the linear ones (a screen) does not say on which side of its edges the event lies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Gate, Interval, Mask, Polygon, Rectangle
from treg_gating.transforms import Linear, Transform, least_float32

__all__ = ["Axis", "Column", "quick_mask"]

Indices = NDArray[np.intp]
Column = Callable[[Indices], NDArray[np.floating[Any]]]

CELLS = 256  # of a screen, along each dimension; the first and the last lie outside the polygon
KEY_BITS = 18
CHUNK = 1 << 14  # events; what is made of them stays in the processor's cache
FEW = 20_000  # events that are not worth a screen
_OUTSIDE, _INSIDE, _ASK = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Axis:
    """One dimension: linear values of events, and the transform to gate units."""

    linear: Column
    transform: Transform

    def values(self, rows: Indices) -> NDArray[np.float64]:
        """Values in gate units, shape (len(rows),)."""
        return self.transform.apply(self.linear(rows))

    def within(self, rows: Indices, low: float, high: float) -> Mask | None:
        """Mask of the events with low ≤ value < high, asked on the linear axis; None where that is not exact."""
        values = self.linear(rows)
        if values.dtype == np.float32:
            first, last = least_float32(self.transform, low), least_float32(self.transform, high)
        elif isinstance(self.transform, Linear):
            first, last = low, high
        else:
            return None
        if first is None or last is None:
            return None
        inside: Mask = (values >= first) & (values < last)
        return inside


def quick_mask(gate: Gate, axes: Mapping[str, Axis], rows: Indices) -> Mask | None:
    """What ``gate.contains`` says of these events, without transforming all of them; None where there is no way."""
    if not all(name in axes for name in gate.dims):
        return None
    if isinstance(gate, Interval):
        return axes[gate.dims[0]].within(rows, gate.low, gate.high)
    if isinstance(gate, Rectangle):
        return _in_rectangle(gate, axes, rows)
    if isinstance(gate, Polygon) and len(rows) > FEW:
        return _in_polygon(gate, axes, rows)
    return None


def _in_rectangle(gate: Rectangle, axes: Mapping[str, Axis], rows: Indices) -> Mask | None:
    masks = [axes[d].within(rows, a, b) for d, a, b in zip(gate.dims, gate.low, gate.high, strict=True)]
    inside = np.ones(len(rows), dtype=bool)
    for mask in masks:
        if mask is None:
            return None
        inside &= mask
    return inside


def _in_polygon(gate: Polygon, axes: Mapping[str, Axis], rows: Indices) -> Mask | None:
    """A lookup for most events, some at a time; those in a cell near an edge are asked with their exact values."""
    across, along = (axes[name] for name in gate.dims)
    screen = _screen(gate, across.transform, along.transform)
    answer = np.empty(len(rows), np.uint8)
    asked: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for first in range(0, len(rows), CHUNK):
        chunk = rows[first : first + CHUNK]
        x, y = across.linear(chunk), along.linear(chunk)
        if x.dtype != np.float32 or y.dtype != np.float32:
            return None
        cell = screen.across(x)
        cell *= CELLS
        cell += screen.along(y)
        here = answer[first : first + CHUNK]
        screen.answers.take(cell, out=here, mode="clip")  # cells are within bounds; to raise would take a copy
        ask = np.flatnonzero(here == _ASK)
        asked.append((x[ask], y[ask]))
    inside: Mask = answer == _INSIDE
    x, y = (np.concatenate(values) for values in zip(*asked, strict=True))
    inside[answer == _ASK] = gate.contains(np.column_stack([across.transform.apply(x), along.transform.apply(y)]))
    return inside


@dataclass(frozen=True, eq=False)
class _Screen:
    """Cells around a polygon.

    Parameters
    ----------
    across, along : from linear values to the number of the cell, on each dimension.
    answers : by cell, row by row: inside, outside, or to be asked.
    """

    across: Callable[[NDArray[np.floating[Any]]], Indices]
    along: Callable[[NDArray[np.floating[Any]]], Indices]
    answers: NDArray[np.uint8]


@lru_cache(maxsize=64)
def _screen(gate: Polygon, x: Transform, y: Transform) -> _Screen:
    vertices = np.array(gate.vertices)
    low, size = vertices.min(axis=0), np.ptp(vertices, axis=0) / (CELLS - 4)
    size = np.where(size > 0, size, 1.0)
    origin = low - 2 * size  # two cells around the polygon, so that the outermost hold nothing of it
    ways = [_cells(transform, float(origin[i]), float(size[i])) for i, transform in enumerate((x, y))]
    answers = _answers(gate, origin, size, max(blur for _, blur in ways))
    return _Screen(ways[0][0], ways[1][0], answers.ravel())


def _cells(
    transform: Transform, origin: float, size: float
) -> tuple[Callable[[NDArray[np.floating[Any]]], Indices], int]:
    """How the cell of a linear value is found, and by how many cells that may be wrong."""
    if isinstance(transform, Linear):
        return partial(_place, origin=origin, size=size), 1
    exact = _key_ends(transform)
    ends = _place(exact, origin, size)
    neighbours = np.isfinite(exact[1:]) & np.isfinite(exact[:-1])
    neighbours[len(exact) // 2 - 1] = False  # of the largest number and minus zero
    blur = int(np.abs(np.diff(ends))[neighbours].max())
    return lambda values: ends.take(_keys(values)), blur + 1


def _place(values: NDArray[np.floating[Any]], origin: float, size: float) -> Indices:
    """Number of the cell, the first or last one for what lies beyond; the first for what is no number."""
    number = values * values.dtype.type(1 / size)
    number -= values.dtype.type(origin / size)
    np.fmax(number, 0, out=number)
    np.fmin(number, CELLS - 1, out=number)
    cell: Indices = number.astype(np.intp)
    return cell


def _keys(values: NDArray[np.floating[Any]]) -> NDArray[np.uint32]:
    """The upper bits of a float32: sign, exponent and nine bits of the fraction."""
    keys: NDArray[np.uint32] = values.view(np.uint32) >> np.uint32(32 - KEY_BITS)
    return keys


@lru_cache(maxsize=16)
def _key_ends(transform: Transform) -> NDArray[np.float64]:
    """Transformed value at the end of every key that is nearer to zero; NaN where a key is no number."""
    ends = (np.arange(1 << KEY_BITS, dtype=np.uint32) << np.uint32(32 - KEY_BITS)).view(np.float32)
    with np.errstate(all="ignore"):
        return transform.apply(ends)


def _answers(gate: Polygon, origin: NDArray[np.float64], size: NDArray[np.float64], blur: int) -> NDArray[np.uint8]:
    """Answer by cell, shape (CELLS, CELLS): to be asked within `blur` cells of an edge, else inside or outside."""
    from scipy.ndimage import binary_dilation, label

    near = np.zeros((CELLS, CELLS), dtype=bool)
    vertices = np.array(gate.vertices)
    for begin, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        points = begin + np.linspace(0, 1, 4 * CELLS)[:, None] * (end - begin)
        at = np.floor((points - origin) / size).astype(np.intp)
        near[at[:, 0], at[:, 1]] = True
    near = binary_dilation(near, np.ones((3, 3), dtype=bool), iterations=blur)
    regions, n = label(~near)  # no edge runs through a region: one of its cells speaks for all
    spokesmen = np.array([np.argmax(regions.ravel() == number) for number in range(1, n + 1)], dtype=np.intp)
    middle = origin + (np.stack(np.unravel_index(spokesmen, regions.shape), axis=1) + 0.5) * size
    by_region = np.concatenate([[_ASK], gate.contains(middle)]).astype(np.uint8)
    answers: NDArray[np.uint8] = by_region[regions]
    return answers
