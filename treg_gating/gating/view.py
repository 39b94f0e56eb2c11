"""The events of one tube as gates and methods see them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.axes import Axis, mask_of
from treg_gating.gating.gates import Gate
from treg_gating.gating.grids import counted, placed
from treg_gating.gating.method import Counted
from treg_gating.transforms import Linear

__all__ = ["EventView", "Indices"]

Indices = NDArray[np.intp]

REMEMBERED = 4  # transformed columns


class EventView:
    """Columns of one tube in gate units, transformed only where a gate asks and only for the events that survive.

    What is fitted looks at values that are right to 10⁻⁶ gate units (:meth:`values`); which events a gate contains
    is asked exactly (:meth:`inside`).

    Parameters
    ----------
    n_events : events in the file.
    clean : mask of shape (n_events,), the events quality control keeps.
    column : ``column(name, rows)`` gives the named dimension in gate units for these rows; KeyError where the
        tube does not measure it.
    measured : names of the dimensions the tube measures.
    axes : by dimension, how its values come about; gates are then asked the quick way.
    """

    def __init__(
        self,
        n_events: int,
        clean: NDArray[np.bool_],
        column: Callable[[str, Indices], NDArray[np.floating[Any]]],
        measured: Sequence[str],
        axes: Mapping[str, Axis] | None = None,
    ) -> None:
        self.root = np.arange(n_events)
        self.clean = np.flatnonzero(clean)
        self.measured = frozenset(measured)
        self._column = column
        self._axes = axes or {}
        self._of: int | None = None  # events in the tube, where this is a stretch of it
        self._remembering = Lock()  # several threads ask
        self._recent: OrderedDict[str, tuple[Indices, NDArray[np.floating[Any]]]] = OrderedDict()

    @classmethod
    def of_axes(cls, n_events: int, clean: NDArray[np.bool_], axes: Mapping[str, Axis]) -> EventView:
        """The view of a tube whose dimensions are these."""
        return cls(n_events, clean, lambda name, rows: axes[name].near(rows), list(axes), axes)

    def comes_in_stretches(self, dims: Sequence[str]) -> bool:
        """Whether :meth:`stretch` gives these dimensions."""
        return all(name in self._axes and self._axes[name].stretch is not None for name in dims)

    def stretch(self, first: int, last: int) -> EventView:
        """The events from `first` to `last`, counted from `first` on, on the dimensions that come in stretches.

        Which of them are clean it does not say.
        """
        axes = {name: axis.on(first, last) for name, axis in self._axes.items() if axis.stretch is not None}
        view = EventView.of_axes(0, np.empty(0, bool), axes)
        view.root = self.root[: last - first]
        view._of = len(self.root)
        return view

    def values(self, dims: Sequence[str], rows: Indices) -> NDArray[np.floating[Any]]:
        """Shape (len(rows), len(dims)); GateFitError where a dimension is not measured."""
        for name in dims:
            if name not in self.measured:
                msg = f"{name} is not measured in this tube"
                raise GateFitError(msg)
        columns = [self._transformed(name, rows) for name in dims]
        return columns[0][:, None] if len(columns) == 1 else np.stack(columns).T  # columns lie together in memory

    def exact(self, name: str, rows: Indices) -> NDArray[np.float64]:
        """One dimension as the gates' definitions want it, shape (len(rows),)."""
        return self._axes[name].values(rows) if name in self._axes else np.asarray(self._transformed(name, rows), float)

    def inside(self, gate: Gate, rows: Indices) -> NDArray[np.bool_]:
        """Mask of the events that the gate contains."""
        if all(name in self._axes for name in gate.dims):
            return mask_of(gate, self._axes, rows, self._of)
        return gate.contains(self.values(gate.dims, rows))

    def finite(self, dims: Sequence[str], rows: Indices) -> NDArray[np.bool_]:
        """Mask of the events with a number on every dimension."""
        mask = np.ones(len(rows), dtype=bool)
        for name in dims:
            mask &= np.isfinite(self._units(name, rows))
        return mask

    def counted(self, name: str, rows: Indices) -> Counted:
        """One dimension's finite values, ascending and right to 2 · 10⁻⁴ gate units, and how many events have each."""
        if name in self._axes:
            axis = self._axes[name]
            return counted(axis.transform, axis.linear(rows))
        return counted(Linear(), self.values((name,), rows)[:, 0].astype(np.float64))

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

    def narrowed(self, dims: Sequence[str], rows: Indices) -> EventView:
        """These events alone, counted from 0 on, on some dimensions."""
        columns = {name: self._units(name, rows) for name in dims}

        def column(name: str, at: Indices) -> NDArray[np.floating[Any]]:
            return columns[name] if len(at) == len(rows) else columns[name][at]

        if all(name in self._axes for name in dims):
            axes = {name: Axis(partial(column, name), self._axes[name].transform) for name in dims}
            view = EventView.of_axes(0, np.empty(0, bool), axes)
        else:
            view = EventView(0, np.empty(0, bool), column, dims)
        view.root = self.root[: len(rows)]
        return view

    def _units(self, name: str, rows: Indices) -> NDArray[np.floating[Any]]:
        """Linear values where they are known; else the gate units that there are."""
        return self._axes[name].linear(rows) if name in self._axes else self._transformed(name, rows)

    def _transformed(self, name: str, rows: Indices) -> NDArray[np.floating[Any]]:
        """One dimension in gate units; the last ones are remembered, because a gate is fitted, then asked."""
        with self._remembering:
            known, values = self._recent.get(name, (None, None))
        if known is not rows or values is None:
            values = self._column(name, rows)
        with self._remembering:
            self._recent[name] = rows, values
            self._recent.move_to_end(name)
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return values
