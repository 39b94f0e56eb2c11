"""Median intensity of every marker on the populations of a tube."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
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
Integers = NDArray[np.signedinteger[Any]]


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
        self._counts = {name: n for name in names if (n := rows.count(name))}
        self._few: dict[str, Indices] = {}
        self._many: dict[str, Mask] = {}
        self.found: dict[str, dict[str, float]] = {marker: {} for marker in linear}
        for name in self._counts:
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
            medians = _medians(np.stack([column(rows) for column in self._linear.values()]))
            for marker, median in zip(self._linear, medians.tolist(), strict=True):
                self.found[marker][name] = median

    def _of_large(self, marker: str) -> None:
        values, (order, places) = self._linear[marker](slice(None)), self._nested
        nested = None
        with suppress(IndexError):  # to look first whether there is one would let another thread take it meanwhile
            nested = self._rooms.pop()
        if nested is None or nested.dtype != values.dtype:
            nested = np.empty(len(order), values.dtype)
        np.take(values, order, out=nested, mode="clip")  # all are within bounds; to raise would take a copy
        known = not np.isnan(nested.max())
        for name, at in places:
            if known and isinstance(at, slice):
                # Its median puts a piece in disorder; the pieces that it holds were asked before.
                median = _middle(nested[at])
            else:
                median = float(_medians(nested[at].copy() if isinstance(at, slice) else values[at]))
            self.found[marker][name] = median
        self._rooms.append(nested)

    @cached_property
    def _nested(self) -> tuple[Indices, list[tuple[str, slice | Mask]]]:
        """An order of the events of large populations in which each of these lies together, and where; deepest first.

        A population's own events come before those of its children, so that a tree of populations is made of pieces.
        A population that shares events with one beside it is no such piece; its events are given by a mask.
        """
        parents = {"clean": "root"} | {step.population: step.parent for step in self._template.steps}
        names = [name for name in _downwards("root", parents) if name in self._many]
        smallest = np.zeros(self._n_events, np.min_scalar_type(len(names)))
        for at, name in enumerate(names, 1):
            np.maximum(smallest, self._many[name].view(np.uint8) * smallest.dtype.type(at), out=smallest)
        order = np.argsort(smallest, kind="stable")
        ends = np.searchsorted(smallest, np.arange(len(names) + 1, dtype=smallest.dtype), "right", sorter=order)
        order = order[ends[0] :]
        places: list[tuple[str, slice | Mask]] = []
        for at, name in reversed(list(enumerate(names, 1))):
            last = at + len(set(_downwards(name, parents)).intersection(names)) - 1
            piece = slice(int(ends[at - 1] - ends[0]), int(ends[last] - ends[0]))
            places.append((name, piece if piece.stop - piece.start == self._counts[name] else self._many[name]))
        return order, places


def _medians(values: Values) -> Values:
    """What numpy.median gives along the last axis; what is in `values` is lost."""
    no_number = np.isnan(values.max(axis=-1))
    return np.where(no_number, np.nan, _middles(_ordered(values), values.dtype))


def _middle(values: Values) -> float:
    """What numpy.median gives of numbers, which are put in disorder.

    Bits of numbers above zero, as integers, are in the same order, and those of numbers below zero are integers below
    zero. So where the middle lies above zero these integers are partitioned, and where it lies below, the same with
    all signs turned: a third of the time, because none of them can be no number.
    """
    low, high = _middle_two(values)
    if turned := bool(np.signbit(low)):
        np.negative(values, out=values)
        low, high = _middle_two(values)
        np.negative(values, out=values)
    if np.signbit(low):  # they lie on either side of zero
        return float(_medians(values.copy()))
    middle = float((low + high) / 2)
    return -middle if turned else middle


def _middle_two(values: Values) -> tuple[Any, Any]:
    """The middle two of numbers, by the order of their bits, in which they are partitioned; twice the one of an odd."""
    bits, half = values.view(f"i{values.itemsize}"), len(values) // 2
    bits.partition(half)
    return values[half if len(values) % 2 else bits[:half].argmax()], values[half]


def _middles(ordered: Integers, kind: np.dtype[Any]) -> Values:
    """Medians along the last axis, from what :func:`_ordered` gives, which is put in disorder."""
    half = ordered.shape[-1] // 2
    ordered.partition(half, axis=-1)
    high = ordered[..., half]
    low = high if ordered.shape[-1] % 2 else ordered[..., :half].max(axis=-1)
    ends = np.stack([low, high])
    _ordered(ends)
    both: Values = ends.view(kind)
    return np.asarray((both[0] + both[1]) / 2)


def _ordered(values: Values | Integers) -> Integers:
    """Bits of numbers as integers in the same order, in place; the same again turns them back."""
    bits = values.view(f"i{values.itemsize}")
    digits = 8 * values.itemsize - 1
    negative = bits >> digits  # all ones, or none
    negative &= (1 << digits) - 1
    bits ^= negative  # all digits but the sign
    return bits


def _downwards(population: str, parents: Mapping[str, str]) -> list[str]:
    """The population and all below it, every one before its children."""
    children = [name for name, parent in parents.items() if parent == population]
    return [population, *(name for child in children for name in _downwards(child, parents))]
