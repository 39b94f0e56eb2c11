"""Median intensity of every marker on the populations of a tube."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.axes import Column
from treg_gating.gating.rows import PopulationRows
from treg_gating.gating.template import GatingTemplate
from treg_gating.threads import side_by_side

__all__ = ["Medians", "median_intensities"]

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


def median_intensities(
    template: GatingTemplate, rows: PopulationRows, linear: Mapping[str, Column]
) -> dict[str, dict[str, float]]:
    """By marker, then by population that holds events, the median of its linear values.

    Parameters
    ----------
    rows : the events of each population.
    linear : by marker, what gives the compensated linear values of some events.
    """
    medians = Medians(template, rows, list(rows))
    return dict(zip(linear, side_by_side(medians.of, list(linear.values())), strict=True))


class Medians:
    """Medians of some populations of a tube, of one column after the other.

    Large populations mostly lie within each other. A column is put once for all of them into an order in which they lie
    together, and the median of each is found in its piece.

    Parameters
    ----------
    rows : the events of each population. names : populations that are wanted; those without events are left out.
    """

    def __init__(self, template: GatingTemplate, rows: PopulationRows, names: Collection[str]) -> None:
        self._template = template
        self._n_events = rows.n_events
        self._rooms: list[NDArray[np.floating[Any]]] = []  # memory that is used again; list's methods are atomic
        self._few: dict[str, Indices] = {}
        self._many: dict[str, Mask] = {}
        self._counts = {name: n for name in names if (n := rows.count(name))}
        for name in self._counts:
            if (few := rows.few(name)) is not None:
                self._few[name] = few
            else:
                self._many[name] = rows.mask(name)

    def of(self, column: Column) -> dict[str, float]:
        """By population, the median of what `column` gives for its events."""
        found = {name: _median(column(rows).copy()) for name, rows in self._few.items()}
        if not self._many:
            return found
        order, places = self._nested
        values = column(self._everything)
        nested = self._rooms.pop() if self._rooms else np.empty_like(values)
        if nested.dtype != values.dtype:
            nested = np.empty_like(values)
        np.take(values, order, out=nested, mode="clip")  # all are within bounds; to raise would take a copy
        # To find its median puts a piece in disorder; the pieces that it holds were asked before.
        found |= {name: _median(nested[at] if isinstance(at, slice) else values[at]) for name, at in places}
        self._rooms.append(nested)
        return found

    @cached_property
    def _everything(self) -> Indices:
        return np.arange(self._n_events)

    @cached_property
    def _nested(self) -> tuple[Indices, list[tuple[str, slice | Mask]]]:
        """An order of all events in which populations lie together, and where each does; smaller ones come first.

        A population's own events come before those of its children, so that a tree of populations is made of pieces.
        A population that shares events with one beside it is no such piece; its events are given by a mask.
        """
        parents = {"clean": "root"} | {step.population: step.parent for step in self._template.steps}
        names = [name for name in _downwards("root", parents) if name in self._many]
        smallest = np.zeros(self._n_events, np.min_scalar_type(len(names)))
        for at, name in enumerate(names, 1):
            np.maximum(smallest, self._many[name].view(np.uint8) * smallest.dtype.type(at), out=smallest)
        ends = np.cumsum([np.count_nonzero(smallest == at) for at in range(len(names) + 1)])
        places: dict[str, slice | Mask] = {}
        for at, name in enumerate(names, 1):
            last = at + len(set(_downwards(name, parents)).intersection(names)) - 1
            piece = slice(int(ends[at - 1]), int(ends[last]))
            places[name] = piece if piece.stop - piece.start == self._counts[name] else self._many[name]
        order = np.argsort(smallest, kind="stable")
        return order, sorted(places.items(), key=lambda one: self._counts[one[0]])


def _downwards(population: str, parents: Mapping[str, str]) -> list[str]:
    """The population and all below it, every one before its children."""
    children = [name for name, parent in parents.items() if parent == population]
    return [population, *(name for child in children for name in _downwards(child, parents))]


def _median(values: NDArray[np.floating[Any]]) -> float:
    """What numpy.median gives, found by one partition in place instead of two."""
    half = len(values) // 2
    values.partition(half)
    if np.isnan(values[half:].max()):
        return np.nan
    low = values[half] if len(values) % 2 else values[:half].max()
    return float((low + values[half]) / 2)
