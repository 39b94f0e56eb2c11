"""Median intensity of every marker on the populations of a tube."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.axes import Column
from treg_gating.gating.rows import PopulationRows
from treg_gating.gating.template import GatingTemplate

__all__ = ["Medians"]

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]
Values = NDArray[np.floating[Any]]


class Medians:
    """Medians of some populations of a tube, made in parts that may be done by any thread.

    Large populations mostly lie within each other. A column is put once for all of them into an order in which they lie
    together, and the median of each is found in its piece. Of small ones all columns are looked at together.

    Parameters
    ----------
    rows : the events of each population. names : populations that are wanted; those without events are left out.
    linear : by marker, what gives the compensated linear values of some events.

    Attributes
    ----------
    found : by marker, then by population, the median of its linear values, as far as the parts are done.
    """

    def __init__(
        self, template: GatingTemplate, rows: PopulationRows, names: Collection[str], linear: Mapping[str, Column]
    ) -> None:
        self._template = template
        self._n_events = rows.n_events
        self._linear = linear
        self._rooms: list[Values] = []  # memory that is used again; list's methods are atomic
        self._few: dict[str, Indices] = {}
        self._many: dict[str, Mask] = {}
        self.found: dict[str, dict[str, float]] = {marker: {} for marker in linear}
        for name in names:
            if not rows.count(name):
                continue
            if (few := rows.few(name)) is not None:
                self._few[name] = few
            else:
                self._many[name] = rows.mask(name)

    def parts(self) -> list[Callable[[], None]]:
        """What is to be done; the longest come first."""
        large = [partial(self._of_large, marker) for marker in self._linear if self._many]
        return [*large, *([self._of_small] if self._few and self._linear else [])]

    def _of_small(self) -> None:
        for name, rows in self._few.items():
            values = np.stack([column(rows) for column in self._linear.values()])
            half = values.shape[1] // 2
            values.partition(half, axis=1)
            high = values[:, half]
            low = high if values.shape[1] % 2 else values[:, :half].max(axis=1)
            medians = (low + high) / 2
            medians[np.isnan(values[:, half:].max(axis=1))] = np.nan
            for marker, median in zip(self._linear, medians.tolist(), strict=True):
                self.found[marker][name] = median

    def _of_large(self, marker: str) -> None:
        values, (order, pieces) = self._linear[marker](self._everything), self._nested
        nested = self._rooms.pop() if self._rooms else np.empty(len(order), values.dtype)
        if nested.dtype != values.dtype:
            nested = np.empty(len(order), values.dtype)
        np.take(values, order, out=nested, mode="clip")  # all are within bounds; to raise would take a copy
        no_number = bool(np.isnan(nested.max()))
        self.found[marker] |= {
            piece.name: _median(nested, piece, no_number)
            if piece.mask is None
            else float(np.median(values[piece.mask]))
            for piece in pieces
        }
        self._rooms.append(nested)

    @cached_property
    def _everything(self) -> Indices:
        return np.arange(self._n_events)

    @cached_property
    def _nested(self) -> tuple[Indices, list[Piece]]:
        """An order of the events of large populations in which each of these lies together, and where; deepest first.

        A population's own events come before those of its children, so that a tree of populations is made of pieces.

        A population that shares events with one beside it is no such piece; its events are given by a mask.
        """
        parents = {"clean": "root"} | {step.population: step.parent for step in self._template.steps}
        names = [name for name in _downwards("root", parents) if name in self._many]
        smallest = np.zeros(self._n_events, np.min_scalar_type(len(names)))
        for at, name in enumerate(names, 1):
            np.maximum(smallest, self._many[name].view(np.uint8) * smallest.dtype.type(at), out=smallest)
        ends = np.cumsum([np.count_nonzero(smallest == at) for at in range(len(names) + 1)])
        order = np.argsort(smallest, kind="stable")[ends[0] :]
        ends -= ends[0]
        pieces: dict[str, Piece] = {}
        for at in range(len(names), 0, -1):
            name, below = names[at - 1], len(set(_downwards(names[at - 1], parents)).intersection(names)) - 1
            first, last = int(ends[at - 1]), int(ends[at + below])
            mask = None if last - first == np.count_nonzero(self._many[name]) else self._many[name]
            child = pieces[names[at]] if below else None
            if child is not None and (child.mask is not None or child.last < last):
                child = None  # it is no piece, or there are several
            pieces[name] = Piece(name, first, last, child, mask)
        return order, list(pieces.values())


@dataclass(frozen=True, eq=False)
class Piece:
    """Where the events of a population lie among those of all.

    Parameters
    ----------
    first, last : its first place, and the one behind its last.
    child : the population that all events but the first of these belong to, if there is one.
    mask : of all events of the tube, where its events do not lie together.
    """

    name: str
    first: int
    last: int
    child: Piece | None
    mask: Mask | None

    @property
    def middle(self) -> int:
        """The place of the higher of its middle values, once its median is known."""
        return self.first + (self.last - self.first) // 2


def _median(nested: Values, piece: Piece, no_number: bool) -> float:
    """What numpy.median gives. Behind it, the piece is split at its middle: what comes before is no higher.

    The piece of a child is split already, so only the half of it in which the parent's middle lies is looked at.

    Parameters
    ----------
    no_number : whether there is NaN among the values of all populations.
    """
    first, middle, last = piece.first, piece.middle, piece.last
    child = None if no_number else piece.child
    if child is None:
        nested[first:last].partition(middle - first)
    else:
        own, split = child.first - first, child.middle
        lower = np.count_nonzero(nested[first : child.first] < nested[split]) + split - child.first
        if middle - first < lower:
            nested[first:split].partition(middle - first)
        else:
            # The child's lower half goes to the front: as much of it as the parent's own events give room for.
            moved = min(own, split - child.first)
            room = nested[first : first + moved].copy()
            nested[first : first + moved] = nested[split - moved : split]
            nested[split - moved : split] = room
            begin = first + split - child.first
            nested[begin:last].partition(middle - begin)
    if no_number and np.isnan(nested[middle:last].max()):
        return np.nan
    low = nested[middle] if (last - first) % 2 else nested[first:middle].max()
    return float((low + nested[middle]) / 2)


def _downwards(population: str, parents: Mapping[str, str]) -> list[str]:
    """The population and all below it, every one before its children."""
    children = [name for name, parent in parents.items() if parent == population]
    return [population, *(name for child in children for name in _downwards(child, parents))]
