"""Events as a sparse histogram, so that time and memory are bounded however many events a tube has.

What is made of bins does not depend on the order of the events, and no event leaves the worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError

__all__ = [
    "Binned",
    "Lattice",
    "bin_cells",
    "bin_events",
    "bounded",
    "merged",
    "merged_where_few",
    "merged_with_cells",
]

Array = NDArray[np.float64]
DENSE_BITS = 20  # of numbers whose cells are counted without sorting
KEY_BITS = 62
PLACED_BITS = 12  # of places along an axis, which many bins then share
NARROW = 1 << 30  # distance of a cell from zero that may be numbered in 32 bits


@dataclass(frozen=True, eq=False)
class Lattice:
    """Where bins stand that share their places on each axis: what is asked of a place is asked once for many bins.

    Parameters
    ----------
    places : along each axis, gate units. numbers : of each bin's place, along each axis, shape (n,).
    """

    places: Sequence[Array]
    numbers: Sequence[NDArray[np.intp]]

    @property
    def points(self) -> Array:
        """The bins, shape (n, d)."""
        axes = np.empty((len(self.places), len(self.numbers[0])))
        for at, axis in enumerate(axes):
            self.axis(at, axis)
        return axes.T

    def axis(self, at: int, out: Array | None = None) -> Array:
        """The bins along one axis, shape (n,)."""
        return self.places[at].take(self.numbers[at], out=out, mode="clip")  # all are in bounds; to raise takes a copy

    def some(self, those: NDArray[np.intp]) -> Array:
        """Some of the bins, shape (those, d)."""
        return Lattice(self.places, [number[those] for number in self.numbers]).points


@dataclass(frozen=True, eq=False)
class Binned:
    """A sparse histogram.

    Parameters
    ----------
    given : centres of the occupied bins, shape (n, d), in gate units; None where the lattice tells them.
    counts : events per bin, shape (n,).
    width : of the cells whose events stand at their mean, gate units; 0 where the bins are taken for points.
    beside : mean in each bin of a marker that the bins are not made of, shape (n,), or None.
    lattice : where the bins stand, or None.
    """

    given: Array | None
    counts: Array
    width: float = 0.0
    beside: Array | None = None
    lattice: Lattice | None = None

    @cached_property
    def points(self) -> Array:
        """Centres of the occupied bins, shape (n, d), in gate units; on a lattice made when they are asked for."""
        if self.given is not None:
            return self.given
        return np.zeros((len(self.counts), 0)) if self.lattice is None else self.lattice.points

    @property
    def total(self) -> float:
        """Number of events."""
        return float(self.counts.sum())

    @property
    def axes(self) -> Iterator[Array]:
        """The bins along one axis after the other, shape (n,)."""
        if self.lattice is None:
            return iter(self.points.T)
        return map(self.lattice.axis, range(len(self.lattice.places)))

    def some(self, those: NDArray[np.intp]) -> Array:
        """Centres of some of the bins, shape (those, d)."""
        return self.points[those] if self.lattice is None else self.lattice.some(those)

    def projected(self, normal: Array) -> Array:
        """The bins along a direction in the space of as many first axes, shape (n,)."""
        if self.lattice is None:
            return np.asarray(self.points[:, : len(normal)] @ normal)
        scaled = [places * part for places, part in zip(self.lattice.places, normal, strict=False)]
        return np.asarray(sum(map(Lattice(scaled, self.lattice.numbers).axis, range(len(normal)))))

    def at(self, points: Array) -> Binned:
        """The same events elsewhere, shape (n, d)."""
        return Binned(points, self.counts, self.width, self.beside)

    def along(self, axis: int) -> tuple[Array, Array]:
        """Places on an axis where events are, and how many: of bins that share places, each place once."""
        if self.lattice is None:
            return self.points[:, axis], self.counts
        places, number = self.lattice.places[axis], self.lattice.numbers[axis]
        counts: Array = np.bincount(number, self.counts, minlength=len(places)).astype(np.float64)
        return places[counts > 0], counts[counts > 0]

    def cells(self, width: float) -> list[NDArray[Any]]:
        """Along each axis the whole number of `width` gate units below each bin."""
        if self.lattice is None:
            return list(_cells(self.points, width))
        whole = [np.floor(places / width) for places in self.lattice.places]
        whole = [below.astype(np.int32) if abs(below).max() < NARROW else below for below in whole]
        return [below.take(number, mode="clip") for below, number in zip(whole, self.lattice.numbers, strict=True)]


def bin_events(events: NDArray[np.floating[Any]], width: float) -> Binned:
    """Sparse histogram of finite events, shape (n, d), with bins of `width` gate units.

    Raises
    ------
    GateFitError : the events lie so far apart, or so far from zero, that their bins have no numbers.
    """
    finite = np.isfinite(events)
    events = events if finite.all() else events[finite.all(axis=1)]
    return bin_cells(_cells(events, width), width)


def bin_cells(cells: Sequence[NDArray[Any]], width: float) -> Binned:
    """:func:`bin_events` of events whose cells are known: along each axis the whole number of widths below, shape (n,).

    Raises
    ------
    GateFitError : as :func:`bin_events`.
    """
    keys, lows, bits = _numbered(cells)
    if sum(bits) <= DENSE_BITS:
        dense = np.bincount(keys)
        unique = np.flatnonzero(dense)
        counts = dense[unique]
    else:
        keys.sort()
        begins = np.ones(len(keys), np.bool_)
        np.not_equal(keys[1:], keys[:-1], out=begins[1:])
        first = np.flatnonzero(begins)
        unique, counts = keys[first], np.diff(first, append=len(keys))
    numbers = []
    for some in bits[::-1]:
        numbers.append((unique & ((1 << some) - 1)).astype(np.intp))
        unique = unique >> some
    numbers.reverse()
    if max(bits) > PLACED_BITS:
        points = np.stack([(number + low + 0.5) * width for number, low in zip(numbers, lows, strict=True)]).T
        return Binned(points, counts.astype(np.float64))
    places = [(np.arange(float(1 << some)) + low + 0.5) * width for low, some in zip(lows, bits, strict=True)]
    lattice = Lattice(places, numbers)
    return Binned(None, counts.astype(np.float64), lattice=lattice)


def _cells(points: NDArray[np.floating[Any]], width: float) -> list[NDArray[np.floating[Any]]]:
    """Of points (n, d), along each axis, the whole number of widths below."""
    scaled = [axis / width for axis in points.T]
    return [np.floor(axis, out=axis) for axis in scaled]


def _numbered(
    cells: Sequence[NDArray[Any]],
) -> tuple[NDArray[np.signedinteger[Any]], list[int], list[int]]:
    """One number for the cell of each event, from those along each axis; their least, and the bits that an axis has."""
    lows = [int(axis.min()) if len(axis) else 0 for axis in cells]
    bits = [(int(axis.max()) - low).bit_length() if len(axis) else 0 for axis, low in zip(cells, lows, strict=True)]
    if sum(bits) > KEY_BITS:
        msg = f"events lie so far apart that bins would need {sum(bits)} bits, more than {KEY_BITS}, to be numbered"
        raise GateFitError(msg)
    if max(map(abs, lows)) >> KEY_BITS:
        msg = f"events lie so far from zero that their bins would need more than {KEY_BITS} bits to be numbered"
        raise GateFitError(msg)
    kind = np.int32 if sum(bits) < np.iinfo(np.int32).bits and max(map(abs, lows)) < NARROW else np.int64
    keys: NDArray[Any] = np.zeros(len(cells[0]), kind)  # half as long numbers are sorted in half the time
    for axis, low, some in zip(cells, lows, bits, strict=True):
        keys <<= some
        keys += axis.astype(kind, copy=False)
        keys -= low
    return keys, lows, bits


def merged(data: Binned, width: float) -> Binned:
    """Bins that lie in one cell of `width` gate units as one, at the mean of their events.

    All events stay, and so do the means of all populations; what is lost is the spread within a cell.
    """
    return merged_with_cells(data, width)[0]


def merged_with_cells(data: Binned, width: float) -> tuple[Binned, NDArray[np.intp]]:
    """:func:`merged`, and for each bin, shape (n,), the number of the cell it went into."""
    if not len(data.counts):
        return data, np.zeros(0, np.intp)
    cell, _, bits = _numbered(data.cells(width))
    if sum(bits) <= DENSE_BITS:
        seen = np.zeros(1 << sum(bits), np.bool_)
        seen[cell] = True
        known, number = np.flatnonzero(seen), np.empty(len(seen), np.intp)
        number[known] = np.arange(len(known))
        cell = number[cell]
    else:
        _, cell = np.unique(cell, return_inverse=True)
    counts = np.bincount(cell, data.counts)
    means = [np.bincount(cell, data.counts * axis) / counts for axis in data.axes]
    beside = None if data.beside is None else np.bincount(cell, data.counts * data.beside) / counts
    return Binned(np.stack(means).T, counts.astype(np.float64), width, beside), cell


def merged_where_few(data: Binned, width: float, few: float) -> tuple[Binned, NDArray[np.intp]]:
    """:func:`merged_with_cells`, and those cells in which fewer than `few` events lie once more, twice as wide."""
    cells, cell = merged_with_cells(data, width)
    lone = cells.counts < few
    if not lone.any():
        return cells, cell
    wide, into = merged_with_cells(Binned(cells.points[lone], cells.counts[lone]), 2 * width)
    number = np.cumsum(~lone) - 1
    number[lone] = into + np.count_nonzero(~lone)
    points, counts = np.concatenate([cells.points[~lone], wide.points]), np.append(cells.counts[~lone], wide.counts)
    return Binned(points, counts, width), number[cell]


def bounded(data: Binned, most: int, width: float) -> Binned:
    """At most `most` bins: merged into cells of the least multiple of `width` gate units that makes so few of them."""
    few, times = data, 1
    while len(few.counts) > most:
        times += 1
        few = merged(few, times * width)
    return few
