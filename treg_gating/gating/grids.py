"""From linear values to gate units and to the cells of grids in gate units, by tables instead of transforms.

The upper bits of a float32 (its key) say nearly all of its value, so that what is asked of many events is looked up
under their keys. A table of knots gives gate units right to 10⁻⁶; the cell of a key is that of its middle, which lies
within 2 · 10⁻⁴ gate units of every value of the key on a logicle or arcsinh scale, and within 10⁻³ of the value on a
linear one: nothing where cells count events.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.threads import side_by_side
from treg_gating.transforms import Linear, Transform

__all__ = [
    "coarse_error",
    "coarsely",
    "counted",
    "from_table",
    "key_ends",
    "keys_of",
    "nearly",
    "placed",
    "widths_below",
]

Values = NDArray[np.floating[Any]]
T = TypeVar("T", bound=np.floating[Any])

KEY_BITS = 18  # sign, exponent and nine bits of the fraction
BEHIND_KEY = 32 - KEY_BITS
BEHIND_KNOT = 16  # bits of a float32 behind those that choose the piece of a table; seven of the fraction choose it
MANY = 1 << 18  # events
FEW = 20_000  # events; so many are sorted as quickly as they are looked up
CHUNK = 1 << 14  # events; what is made of them stays in the processor's cache
ERR = 1e-5  # gate units; more than a value from a table errs, and its cell's edge in single precision
ASK = np.iinfo(np.int16).min  # in a table of cells: the key alone does not tell


def keys_of(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The upper bits."""
    keys: NDArray[np.uint32] = values.view(np.uint32) >> np.uint32(BEHIND_KEY)
    return keys


def nearly(transform: Transform, values: Values) -> NDArray[np.float64]:
    """Gate units right to 10⁻⁶, in double precision."""
    if isinstance(transform, Linear) or values.dtype != np.float32:
        return transform.apply(values)
    return from_table(transform, values, np.float64)


def coarsely(transform: Transform, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gate units of the middle of each value's key, right to :func:`coarse_error`; NaN for what is not finite."""
    return values if isinstance(transform, Linear) else _coarse_middles(transform).take(keys_of(values), mode="clip")


@lru_cache(maxsize=16)
def _coarse_middles(transform: Transform) -> NDArray[np.float32]:
    return _key_middles(transform).astype(np.float32)


@lru_cache(maxsize=16)
def coarse_error(transform: Transform) -> float:
    """By how much :func:`coarsely` may err, in gate units: by less than the widest key."""
    if isinstance(transform, Linear):
        return 0.0
    ends = key_ends(transform)
    neighbours = np.isfinite(ends[1:]) & np.isfinite(ends[:-1])
    neighbours[len(ends) // 2 - 1] = False  # of the largest number and minus zero
    return float(np.abs(np.diff(ends))[neighbours].max())


def from_table(transform: Transform, values: Values, kind: type[T]) -> NDArray[T]:
    """Transformed float32 values, on a straight line between neighbouring knots."""
    knots, slopes = _knots(transform, kind)  # type: ignore[arg-type]
    result = np.empty(len(values), kind)
    for first in range(0, len(values), CHUNK):
        part = slice(first, first + CHUNK)
        bits = np.ascontiguousarray(values[part]).view(np.uint32)
        piece = (bits >> np.uint32(BEHIND_KNOT)).astype(np.intp)
        result[part] = bits & np.uint32((1 << BEHIND_KNOT) - 1)
        result[part] *= slopes[piece]
        result[part] += knots[piece]
    return result


@lru_cache(maxsize=64)
def _knots(transform: Transform, kind: type[T]) -> tuple[NDArray[T], NDArray[T]]:
    """Transformed value of every float32 whose last bits are zero, and its rise from one float32 to the next."""
    bits = np.arange(1 << (32 - BEHIND_KNOT), dtype=np.uint32) << np.uint32(BEHIND_KNOT)
    with np.errstate(all="ignore"):
        knots = transform.apply(bits.view(np.float32))
        slopes = np.append(np.diff(knots), 0.0) / (1 << BEHIND_KNOT)
        slopes[~np.isfinite(slopes)] = 0.0
        return knots.astype(kind), slopes.astype(kind)


@lru_cache(maxsize=16)
def key_ends(transform: Transform) -> NDArray[np.float64]:
    """Transformed value at the end of every key that is nearer to zero; NaN where a key is no number."""
    ends = (np.arange(1 << KEY_BITS, dtype=np.uint32) << np.uint32(BEHIND_KEY)).view(np.float32)
    with np.errstate(all="ignore"):
        return transform.apply(ends)


@lru_cache(maxsize=16)
def _key_middles(transform: Transform) -> NDArray[np.float64]:
    """Transformed value in the middle of every key; NaN where a key is no number."""
    bits = (np.arange(1 << KEY_BITS, dtype=np.uint32) << np.uint32(BEHIND_KEY)) | np.uint32(1 << (BEHIND_KEY - 1))
    with np.errstate(all="ignore"):
        middles = nearly(transform, bits.view(np.float32))
    middles[~np.isfinite(bits.view(np.float32))] = np.nan
    return middles


def counted(
    transform: Transform, column: Callable[[NDArray[np.intp]], Values], rows: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values in gate units, ascending, and how many events have each; those of many events the middles of their keys.

    What is no number is left out.

    Parameters
    ----------
    column : gives the linear values of some events. rows : the events.
    """
    if len(rows) < FEW or column(rows[:1]).dtype != np.float32:
        points = np.sort(nearly(transform, column(rows)))
        points = points[np.isfinite(points)]
        return points, np.ones(len(points), np.int64)

    def count(some: NDArray[np.intp]) -> NDArray[np.int64]:
        return np.bincount(keys_of(np.ascontiguousarray(column(some))), minlength=1 << KEY_BITS)

    by_key = count(rows[:MANY])
    for begin in range(MANY, len(rows), 2 * MANY):  # two tables at once, and not more: they are large
        for table in side_by_side(count, np.array_split(rows[begin : begin + 2 * MANY], 2)):
            by_key += table
    half = 1 << (KEY_BITS - 1)  # behind it come the negative numbers, from zero downwards
    known = np.flatnonzero(by_key != 0)
    negative = int(np.searchsorted(known, half))
    known = np.concatenate([known[negative:][::-1], known[:negative]])
    middles = _key_middles(transform)[known]
    finite = np.isfinite(middles)
    return middles[finite], by_key[known[finite]]


def placed(
    transform: Transform, values: Values, low: float, high: float, cells: int, step: int, none: int
) -> NDArray[np.uint16]:
    """`step` times the number of each value's cell among `cells` from `low` to `high`; beyond them, of the outermost.

    Parameters
    ----------
    none : what values have that are no number.
    """
    if values.dtype == np.float32:
        return _places(transform, low, high, cells, step, none).take(keys_of(np.ascontiguousarray(values)))
    return _place(values if isinstance(transform, Linear) else transform.apply(values), low, high, cells, step, none)


@lru_cache(maxsize=64)
def _places(transform: Transform, low: float, high: float, cells: int, step: int, none: int) -> NDArray[np.uint16]:
    return _place(_key_middles(transform), low, high, cells, step, none)


def _place(values: Values, low: float, high: float, cells: int, step: int, none: int) -> NDArray[np.uint16]:
    number = values - values.dtype.type(low)
    number *= values.dtype.type(cells / (high - low))
    finite = np.isfinite(number)
    np.fmax(number, 0, out=number)
    np.fmin(number, cells - 1, out=number)
    cell = number.astype(np.int32).astype(np.uint16)
    cell *= np.uint16(step)
    if not finite.all():
        cell[~finite] = none
    return cell


def widths_below(transform: Transform, values: Values, width: float) -> NDArray[np.int16] | None:
    """Whole number of `width` gate units below each value, as :func:`from_table` gives it: mostly told by its key.

    None where that cannot be told of all, or has no such number.
    """
    if isinstance(transform, Linear) or values.dtype != np.float32:
        return None
    cells = _widths_below(transform, width).take(keys_of(values), mode="clip")
    ask = np.flatnonzero(cells == ASK)
    exactly = np.floor(from_table(transform, values.take(ask), np.float32) / width)
    if not (np.abs(exactly) < -int(ASK)).all():  # some are no number, too
        return None
    cells[ask] = exactly
    return cells


@lru_cache(maxsize=16)
def _widths_below(transform: Transform, width: float) -> NDArray[np.int16]:
    ends = key_ends(transform)
    others = np.append(ends[1:], np.nan)
    with np.errstate(invalid="ignore"):
        below = np.floor((np.minimum(ends, others) - ERR) / width)
        known = (below == np.floor((np.maximum(ends, others) + ERR) / width)) & (np.abs(below) < -int(ASK))
    return np.where(known, below, ASK).astype(np.int16)
