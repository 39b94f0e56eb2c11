"""What a gating method may look at: the events of one population of one tube, fetched only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.bins import Binned
from treg_gating.gating.gates import Interval
from treg_gating.gating.method import Counted
from treg_gating.gating.rows import Indices, PopulationRows
from treg_gating.gating.view import EventView

__all__ = ["PopulationLooks", "TooEarlyError"]


class TooEarlyError(Exception):
    """A method asks for the events of its step's parent, which are not known yet."""


@dataclass(frozen=True, eq=False)
class PopulationLooks:
    """The events of a population, as methods ask for them; many a method does not.

    Parameters
    ----------
    view : the tube. populations : of the tube, by name, those that are known so far.
    name : of the population looked at. parent : of the step's parent.
    """

    view: EventView
    populations: PopulationRows
    name: str
    parent: str

    @cached_property
    def rows(self) -> Indices:
        """Indices of the population's events, made when they are first asked for."""
        rows = self.populations[self.name]
        assert rows is not None  # noqa: S101 (asked before)
        return rows

    def fetch(self, names: Sequence[str]) -> NDArray[np.floating[Any]]:
        """As :attr:`treg_gating.gating.method.FitContext.fetch`."""
        return self.view.values(names, self.rows)

    def fetch_every(self, step: int, names: Sequence[str]) -> NDArray[np.floating[Any]]:
        """As :meth:`treg_gating.gating.method.FitContext.fetch_every`."""
        return self.view.values(names, self.populations.every(self.name, step))

    def fetch_inside(self, names: Sequence[str]) -> NDArray[np.floating[Any]]:
        """As :meth:`treg_gating.gating.method.FitContext.fetch_inside`; TooEarlyError where the parent is not known."""
        if self.parent not in self.populations:
            raise TooEarlyError
        if self.parent == self.name or self.populations.count(self.parent) is None:
            return self.fetch(names)
        return self.view.values(names, self.rows[self.populations.mask(self.parent)[self.rows]])

    def beyond(self, name: str, cut: float, step: int) -> NDArray[np.bool_]:
        """As :meth:`treg_gating.gating.method.FitContext.beyond`."""
        return self.view.inside(Interval((name,), low=cut), self.populations.every(self.name, step))

    def highest(self, name: str) -> float:
        """As :meth:`treg_gating.gating.method.FitContext.highest`."""
        return self.view.highest(name)

    def binned(self, names: Sequence[str], width: float) -> Binned:
        """As :meth:`treg_gating.gating.method.FitContext.binned`."""
        return self.view.binned(names, self.rows, width)

    def counted(self, name: str, step: int) -> Counted:
        """As :meth:`treg_gating.gating.method.FitContext.counted`."""
        return self.view.counted(name, self.populations.every(self.name, step))

    def measures(self, name: str) -> bool:
        """As :meth:`treg_gating.gating.method.FitContext.measures`."""
        return name in self.view.measured
