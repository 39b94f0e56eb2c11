"""The events of one tube as gates and methods see them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.axes import Axis, mask_of
from treg_gating.gating.gates import Gate

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
        column: Callable[[str, Indices], NDArray[np.float64]],
        measured: Sequence[str],
        axes: Mapping[str, Axis] | None = None,
    ) -> None:
        self.root = np.arange(n_events)
        self.clean = np.flatnonzero(clean)
        self.measured = frozenset(measured)
        self._column = column
        self._axes = axes or {}
        self._of: int | None = None  # events in the tube, where this is a stretch of it
        self._recent: OrderedDict[str, tuple[Indices, NDArray[np.float64]]] = OrderedDict()

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

    def values(self, dims: Sequence[str], rows: Indices) -> NDArray[np.float64]:
        """Shape (len(rows), len(dims)); GateFitError where a dimension is not measured."""
        for name in dims:
            if name not in self.measured:
                msg = f"{name} is not measured in this tube"
                raise GateFitError(msg)
        return np.stack([self._transformed(name, rows) for name in dims]).T  # columns lie together in memory

    def exact(self, name: str, rows: Indices) -> NDArray[np.float64]:
        """One dimension as the gates' definitions want it, shape (len(rows),)."""
        return self._axes[name].values(rows) if name in self._axes else self._transformed(name, rows)

    def inside(self, gate: Gate, rows: Indices) -> NDArray[np.bool_]:
        """Mask of the events that the gate contains."""
        if all(name in self._axes for name in gate.dims):
            return mask_of(gate, self._axes, rows, self._of)
        return gate.contains(self.values(gate.dims, rows))

    def finite(self, dims: Sequence[str], rows: Indices) -> NDArray[np.bool_]:
        """Mask of the events with a number on every dimension."""
        mask = np.ones(len(rows), dtype=bool)
        for name in dims:
            mask &= np.isfinite(self._axes[name].linear(rows) if name in self._axes else self._transformed(name, rows))
        return mask

    def _known(self, name: str, rows: Indices) -> bool:
        return name in self._recent and self._recent[name][0] is rows

    def _transformed(self, name: str, rows: Indices) -> NDArray[np.float64]:
        """One dimension in gate units; the last ones are remembered, because a gate is fitted, then asked."""
        if not self._known(name, rows):
            self._recent[name] = rows, self._column(name, rows)
        self._recent.move_to_end(name)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return self._recent[name][1]
