"""The dimensions of one tube as gates see them, with the shortcuts that give the same answer sooner.

A transform is strictly increasing. So a bound on the transformed axis is a bound on the linear one
(:func:`treg_gating.transforms.least_float32`), exactly; and a polygon needs an event's transformed values only where a
coarse look at the linear ones (a screen) does not say on which side of its edges the event lies. Lines, ellipses and
plain polygons are asked in single precision first (:mod:`treg_gating.gating.levels`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Mask, Polygon, Rectangle
from treg_gating.gating.grids import coarsely, from_table, key_ends, keys_of, nearly
from treg_gating.gating.levels import Levels, levels_of
from treg_gating.linear_columns import Column, LinearColumns
from treg_gating.transforms import Linear, Transform, least_float32

__all__ = ["Axis", "Column", "axis_of", "mask_and_undecided", "mask_of", "undecided"]

Indices = NDArray[np.intp]
Cells = NDArray[np.int32]

CELLS = 256  # of a screen, along each dimension; the first and the last lie outside the polygon
CHUNK = 1 << 16  # events; what is made of them stays in the processor's cache, and numpy's own time hardly counts
DOUBT = 1e-5  # gate units; more than a value from a table may err
FEW = 20_000  # events that are not worth a screen
FEW_EDGES = 4
FEW_FOR_LEVELS = 1_000  # events that are asked exactly as soon
_OUTSIDE, _INSIDE, _ASK = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Axis:
    """One dimension: linear values of events, and the transform to gate units.

    Parameters
    ----------
    stretch : ``stretch(first, last)`` gives the linear values of the events between, counted from `first` on, sooner
        than `linear` does; None where nothing does.
    """

    linear: Column
    transform: Transform
    stretch: Callable[[int, int], Column] | None = None

    def on(self, first: int, last: int) -> Axis:
        """The axis of the events from `first` to `last`."""
        assert self.stretch is not None  # noqa: S101 (asked before)
        return Axis(self.stretch(first, last), self.transform)

    def values(self, rows: Indices) -> NDArray[np.float64]:
        """Values in gate units, shape (len(rows),)."""
        return self.transform.apply(self.linear(rows))

    def near(self, rows: Indices) -> NDArray[np.floating[Any]]:
        """The same to within 10⁻⁶ gate units, by a table: for what is fitted, not for what decides over an event.

        float32 where the linear values are.
        """
        values = self.linear(rows)
        if values.dtype != np.float32:
            return self.transform.apply(values)
        return values if isinstance(self.transform, Linear) else from_table(self.transform, values, np.float32)

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
        inside: Mask = values >= first
        inside &= values < last
        return inside


def axis_of(columns: LinearColumns, channel: str, transform: Transform) -> Axis:
    """The dimension that a channel ($PnN) of a tube is."""
    return Axis(partial(columns.values, channel), transform, partial(columns.stretch, channel))


def mask_of(gate: Gate, axes: Mapping[str, Axis], rows: Indices, of: int | None = None) -> Mask:
    """What ``gate.contains`` says of these events, without transforming all of them where there is a way.

    Parameters
    ----------
    of : events in the tube, where these are some that come before others; decides whether a screen is worth it.
    """
    mask: Mask | None = None
    if isinstance(gate, Interval):
        mask = axes[gate.dims[0]].within(rows, gate.low, gate.high)
    elif isinstance(gate, Rectangle):
        mask = _in_rectangle(gate, axes, rows)
    elif isinstance(gate, Polygon) and (len(rows) if of is None else of) > FEW and not _is_plain(gate, axes):
        mask = _in_polygon(gate, axes, rows)
    elif len(rows) > FEW_FOR_LEVELS:
        mask = _on_level(gate, (), axes, rows)[0]
    if mask is None and isinstance(gate, HalfPlane):
        mask = _beyond_line(gate, axes, rows)
    if mask is None:
        mask = gate.contains(_stacked([_exact(axes[name], rows) for name in gate.dims]))
    return mask


def _is_plain(gate: Polygon, axes: Mapping[str, Axis]) -> bool:
    """Whether a polygon is asked itself as soon as a screen is: few edges, and nothing to transform."""
    return len(gate.vertices) <= FEW_EDGES and all(isinstance(axes[name].transform, Linear) for name in gate.dims)


def _exact(axis: Axis, rows: Indices) -> NDArray[np.floating[Any]]:
    """Values in gate units; those of a linear axis as they are, for gates reckon in double precision anyway."""
    return axis.linear(rows) if isinstance(axis.transform, Linear) else axis.values(rows)


def _stacked(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Shape (n, dimensions); columns lie together in memory."""
    return np.stack(columns).T


def undecided(gates: Sequence[Gate], axes: Mapping[str, Axis], rows: Indices) -> Mask | None:
    """Mask of the events on which gates of one kind, that differ in their bounds, may disagree; None where any may."""
    intervals = [gate for gate in gates if isinstance(gate, Interval)]
    if intervals:
        axis, found = axes[intervals[0].dims[0]], None
        for bounds in ([gate.low for gate in intervals], [gate.high for gate in intervals]):
            if min(bounds) < max(bounds):
                between = axis.within(rows, min(bounds), max(bounds))
                if between is None:
                    return None
                found = between if found is None else found | between
        return np.zeros(len(rows), dtype=bool) if found is None else found
    bounds = [getattr(gate, "bound", np.nan) for gate in gates]
    known = _levels(gates[0], axes, rows)
    if known is None or not np.isfinite(bounds).all():
        return None
    levels, (x, y) = known
    return levels.decide(x, y, levels.scale * min(bounds), levels.scale * max(bounds))[1]


def mask_and_undecided(
    gate: Gate, others: Sequence[Gate], axes: Mapping[str, Axis], rows: Indices, of: int | None = None
) -> tuple[Mask, Mask | None]:
    """:func:`mask_of` a gate, and what is :func:`undecided` between it and others; sooner than one after the other."""
    if isinstance(gate, Ellipse | HalfPlane) and len(rows) > FEW_FOR_LEVELS:
        mask, doubtful = _on_level(gate, others, axes, rows)
        if mask is not None:
            return mask, doubtful
    return mask_of(gate, axes, rows, of), undecided([gate, *others], axes, rows)


def _levels(gate: Gate, axes: Mapping[str, Axis], rows: Indices) -> tuple[Levels, list[NDArray[np.float32]]] | None:
    """How the levels of events are told in single precision, and the values that this is told from."""
    transforms = tuple(axes[name].transform for name in gate.dims)
    levels = levels_of(gate, transforms)
    columns = [] if levels is None else [axes[name].linear(rows) for name in gate.dims]
    if levels is None or any(column.dtype != np.float32 for column in columns):
        return None
    return levels, [coarsely(transform, column) for transform, column in zip(transforms, columns, strict=True)]


def _on_level(
    gate: Gate, others: Sequence[Gate], axes: Mapping[str, Axis], rows: Indices
) -> tuple[Mask, Mask] | tuple[None, None]:
    """In single precision; events as near to the edge as that may err are asked with their exact values.

    Also mask of the events that were asked: near to this edge or one of the others, or between them.
    """
    known = _levels(gate, axes, rows)
    if known is None:
        return None, None
    levels, (x, y) = known
    bounds = [levels.bound, *(levels.scale * one.bound for one in others if isinstance(one, Ellipse | HalfPlane))]
    inside, doubtful = levels.decide(x, y, min(bounds), max(bounds))
    ask = np.flatnonzero(doubtful)
    inside[ask] = gate.contains(_stacked([_exact(axes[name], rows[ask]) for name in gate.dims]))
    return inside, doubtful


def _beyond_line(gate: HalfPlane, axes: Mapping[str, Axis], rows: Indices) -> Mask:
    """By values from a table; events as near to the line as these may err are asked with their exact values."""
    x, y = (nearly(axes[name].transform, axes[name].linear(rows)) for name in gate.dims)
    with np.errstate(invalid="ignore"):  # infinite values
        beyond = gate.normal[0] * x + gate.normal[1] * y - gate.offset
    inside: Mask = beyond >= 0
    ask = np.flatnonzero(~(np.abs(beyond) > DOUBT))
    inside[ask] = gate.contains(_stacked([axes[name].values(rows[ask]) for name in gate.dims]))
    return inside


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
    xs, ys = across.linear(rows), along.linear(rows)
    if xs.dtype != np.float32 or ys.dtype != np.float32:
        return None
    inside = np.empty(len(rows), dtype=bool)
    asked: list[Indices] = []
    for first in range(0, len(rows), CHUNK):
        part = slice(first, first + CHUNK)
        cell = screen.across(xs[part])
        cell *= CELLS
        cell += screen.along(ys[part])
        answer = screen.answers.take(cell, mode="clip")  # cells are within bounds; to raise would take a copy
        np.equal(answer, _INSIDE, out=inside[part])
        asked.append(np.flatnonzero(answer == _ASK) + first)
    ask = np.concatenate(asked) if asked else np.empty(0, np.intp)
    if len(ask):
        inside[ask] = _asked(gate, across.transform, along.transform, xs.take(ask), ys.take(ask))
    return inside


def _asked(gate: Polygon, across: Transform, along: Transform, x: NDArray[Any], y: NDArray[Any]) -> Mask:
    """What the gate says of these linear values: by a table, and exactly as near to an edge as a table may err."""

    def exactly(x: NDArray[Any], y: NDArray[Any]) -> Mask:
        return gate.contains(_stacked([across.apply(x), along.apply(y)]))

    if isinstance(across, Linear) and isinstance(along, Linear):
        return exactly(x, y)
    near = _stacked([nearly(across, x), nearly(along, y)])
    inside = gate.contains(near)
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values
        doubtful = np.flatnonzero(_doubtful(gate, near))
    if len(doubtful):
        inside[doubtful] = exactly(x[doubtful], y[doubtful])
    return inside


def _doubtful(gate: Polygon, points: NDArray[np.float64]) -> Mask:
    """Points that a step of `DOUBT` may take over an edge, or past the end of one."""
    x, y = points.T
    doubtful = np.asarray(~np.isfinite(x + y))
    for (x1, y1), (x2, y2) in gate.edges:
        side = (x2 - x1) * (y - y1)
        side -= (x - x1) * (y2 - y1)
        np.abs(side, out=side)
        doubtful |= side <= DOUBT * (abs(x2 - x1) + abs(y2 - y1))
        doubtful |= np.abs(y - y1) <= DOUBT
    return doubtful


@dataclass(frozen=True, eq=False)
class _Screen:
    """Cells around a polygon.

    Parameters
    ----------
    across, along : from linear values to the number of the cell, on each dimension.
    answers : by cell, row by row: inside, outside, or to be asked.
    """

    across: Callable[[NDArray[np.floating[Any]]], Cells]
    along: Callable[[NDArray[np.floating[Any]]], Cells]
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
) -> tuple[Callable[[NDArray[np.floating[Any]]], Cells], int]:
    """How the cell of a linear value is found, and by how many cells that may be wrong."""
    if isinstance(transform, Linear):
        return partial(_place, origin=origin, size=size), 1
    exact = key_ends(transform)
    ends = _place(exact, origin, size)
    neighbours = np.isfinite(exact[1:]) & np.isfinite(exact[:-1])
    neighbours[len(exact) // 2 - 1] = False  # of the largest number and minus zero
    blur = int(np.abs(np.diff(ends))[neighbours].max())
    numbers = ends.astype(np.uint8)  # so that the table stays in the processor's cache
    return lambda values: numbers.take(keys_of(values)).astype(np.int32), blur + 1


def _place(values: NDArray[np.floating[Any]], origin: float, size: float) -> Cells:
    """Number of the cell, the first or last one for what lies beyond; the first for what is no number."""
    number = values * values.dtype.type(1 / size)
    number -= values.dtype.type(origin / size)
    np.fmax(number, 0, out=number)
    np.minimum(number, CELLS - 1, out=number)
    cell: Cells = number.astype(np.int32)
    return cell


def _answers(gate: Polygon, origin: NDArray[np.float64], size: NDArray[np.float64], blur: int) -> NDArray[np.uint8]:
    """Answer by cell, shape (CELLS, CELLS): to be asked within `blur` cells of an edge, else inside or outside."""
    near = np.zeros((CELLS, CELLS), dtype=bool)
    vertices = np.array(gate.vertices)
    for begin, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        points = begin + np.linspace(0, 1, 4 * CELLS)[:, None] * (end - begin)
        at = np.floor((points - origin) / size).astype(np.intp)
        near[at[:, 0], at[:, 1]] = True
    for axis in (near, near.T):
        for _ in range(blur):
            before = axis.copy()
            axis[1:] |= before[:-1]
            axis[:-1] |= before[1:]
    begins = np.ones_like(near)  # no edge runs through a stretch of a row: its first cell speaks for all
    begins[:, 1:] = near[:, 1:] != near[:, :-1]
    stretch, first = np.cumsum(begins.ravel()) - 1, np.flatnonzero(begins)
    apart = ~near.ravel()[first]
    middle = origin + (np.stack(np.divmod(first[apart], CELLS), axis=1) + 0.5) * size
    by_stretch = np.full(len(first), _ASK, dtype=np.uint8)
    by_stretch[apart] = gate.contains(middle)
    answers: NDArray[np.uint8] = by_stretch[stretch].reshape(near.shape)
    return answers
