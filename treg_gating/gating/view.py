"""The events of one tube as gates and methods see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.axes import Axis, mask_and_undecided, mask_of, undecided
from treg_gating.gating.bins import Binned, bin_cells, bin_events
from treg_gating.gating.gates import Gate
from treg_gating.gating.grids import counted, placed, widths_below
from treg_gating.gating.method import Counted
from treg_gating.gating.rows import Indices, first_events
from treg_gating.threads import side_by_side
from treg_gating.transforms import Linear

__all__ = ["EventView", "Indices"]


class EventView:
    """Columns of one tube in gate units, transformed only where a gate asks and only for the events that survive.

    What is fitted looks at values that are right to 10⁻⁶ gate units (:meth:`values`); which events a gate contains
    is asked exactly (:meth:`inside`).

    Parameters
    ----------
    n_events : events in the file.
    kept : mask of shape (n_events,), the events quality control keeps.
    column : ``column(name, rows)`` gives the named dimension in gate units for these rows; KeyError where the
        tube does not measure it.
    measured : names of the dimensions the tube measures.
    axes : by dimension, how its values come about; gates are then asked the quick way.
    """

    def __init__(
        self,
        n_events: int,
        kept: NDArray[np.bool_],
        column: Callable[[str, Indices], NDArray[np.floating[Any]]],
        measured: Sequence[str],
        axes: Mapping[str, Axis] | None = None,
    ) -> None:
        self.n_events = n_events
        self.kept = kept
        self.measured = frozenset(measured)
        self._column = column
        self._axes = axes or {}
        self._of: int | None = None  # events in the tube, where this is a stretch of it

    @property
    def root(self) -> Indices:
        """All events."""
        return np.arange(self.n_events) if self._of is None else first_events(self.n_events)

    @property
    def clean(self) -> Indices:
        """The events quality control keeps."""
        return np.flatnonzero(self.kept)

    @classmethod
    def of_axes(cls, n_events: int, clean: NDArray[np.bool_], axes: Mapping[str, Axis]) -> EventView:
        """The view of a tube whose dimensions are these."""
        return cls(n_events, clean, lambda name, rows: axes[name].near(rows), list(axes), axes)

    def comes_in_stretches(self, dims: Sequence[str]) -> bool:
        """Whether :meth:`stretch` gives these dimensions."""
        return all(name in self._axes and self._axes[name].stretch is not None for name in dims)

    def stretch(self, first: int, last: int, dims: Iterable[str]) -> EventView:
        """The events from `first` to `last`, counted from `first` on, on dimensions that come in stretches."""
        axes = {name: self._axes[name].on(first, last) for name in dims}
        view = EventView.of_axes(last - first, self.kept[first:last], axes)
        view._of = self.n_events
        return view

    def values(self, dims: Sequence[str], rows: Indices) -> NDArray[np.floating[Any]]:
        """Shape (len(rows), len(dims)); GateFitError where a dimension is not measured."""
        self._check(dims)
        columns = side_by_side(partial(self._near, rows=rows), dims)
        return columns[0][:, None] if len(columns) == 1 else np.stack(columns).T  # columns lie together in memory

    def highest(self, name: str) -> float:
        """The greatest finite value of a dimension in the tube, removed events and all."""
        axis = self._axes.get(name)
        values = self._column(name, self.root) if axis is None else axis.linear(slice(None))
        farthest = values.max()
        if not np.isfinite(farthest):
            farthest = values[np.isfinite(values)].max()
        return float(farthest if axis is None else axis.transform.apply(farthest))

    def binned(self, dims: Sequence[str], rows: Indices, width: float) -> Binned:
        """What :func:`treg_gating.gating.bins.bin_events` makes of :meth:`values`, mostly told by a table.

        Raises
        ------
        GateFitError : a dimension is not measured; or as there.
        """
        self._check(dims)
        cells = side_by_side(partial(self._widths_below, rows=rows, width=width), dims)
        told = [axis for axis in cells if axis is not None]
        return bin_cells(told, width) if len(told) == len(dims) else bin_events(self.values(dims, rows), width)

    def _widths_below(self, name: str, rows: Indices, width: float) -> NDArray[np.int16] | None:
        axis = self._axes.get(name)
        return None if axis is None else widths_below(axis.transform, axis.linear(rows), width)

    def _check(self, dims: Sequence[str]) -> None:
        for name in dims:
            if name not in self.measured:
                msg = f"{name} is not measured in this tube"
                raise GateFitError(msg)

    def _near(self, name: str, rows: Indices) -> NDArray[np.floating[Any]]:
        return self._axes[name].near(rows) if name in self._axes else self._column(name, rows)

    def exact(self, name: str, rows: Indices) -> NDArray[np.float64]:
        """One dimension as the gates' definitions want it, shape (len(rows),)."""
        return self._axes[name].values(rows) if name in self._axes else np.asarray(self._column(name, rows), float)

    def inside(self, gate: Gate, rows: Indices) -> NDArray[np.bool_]:
        """Mask of the events that the gate contains."""
        if all(name in self._axes for name in gate.dims):
            return mask_of(gate, self._axes, rows, self._of)
        return gate.contains(self.values(gate.dims, rows))

    def undecided(self, gates: Sequence[Gate], rows: Indices) -> NDArray[np.bool_]:
        """Mask of the events on which gates of one kind, that differ in their bounds, may disagree."""
        known = all(name in self._axes for name in gates[0].dims)
        mask = undecided(gates, self._axes, rows) if known else None
        return np.ones(len(rows), bool) if mask is None else mask

    def inside_and_undecided(
        self, gate: Gate, others: Sequence[Gate], rows: Indices
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
        """:meth:`inside` of a gate, and what is :meth:`undecided` between it and others: None where any event may."""
        if all(name in self._axes for name in gate.dims):
            return mask_and_undecided(gate, others, self._axes, rows, self._of)
        return self.inside(gate, rows), None

    def finite(self, dims: Sequence[str], rows: Indices) -> NDArray[np.bool_]:
        """Mask of the events with a number on every dimension."""
        mask: NDArray[np.bool_] = np.isfinite(self._units(dims[0], rows))
        for name in dims[1:]:
            mask &= np.isfinite(self._units(name, rows))
        return mask

    def counted(self, name: str, rows: Indices) -> Counted:
        """One dimension's finite values, ascending and right to 2 · 10⁻⁴ gate units, and how many events have each."""
        transform = self._axes[name].transform if name in self._axes else Linear()
        return counted(transform, partial(self._units, name), rows)

    def placed(
        self, dims: Sequence[str], rows: Indices, low: Sequence[float], high: Sequence[float], shape: Sequence[int]
    ) -> NDArray[np.uint16]:
        """Number of each event's cell on a grid from `low` to `high`, row by row; beyond it, that of the nearest cell.

        Events that are no number on a dimension have a number behind the last cell.
        """
        cell = np.zeros(len(rows), np.uint16)
        none = int(np.prod(shape))
        step = none
        for name, bottom, top, cells in zip(dims, low, high, shape, strict=True):
            step //= cells
            transform = self._axes[name].transform if name in self._axes else Linear()
            cell += placed(transform, self._units(name, rows), bottom, top, cells, step, none)
        return cell

    def _units(self, name: str, rows: Indices) -> NDArray[np.floating[Any]]:
        """Linear values where they are known; else the gate units that there are."""
        return self._axes[name].linear(rows) if name in self._axes else self._column(name, rows)
