"""Scales that gates of other programs are set on: FlowJo's biex and log, and the rest of Gating-ML 2.0.

Our own templates use none of them; they come with imported gates. FlowJo's biex is FlowKit's table of it
(interpolated linearly, held constant beyond its ends), the others are closed formulas or FlowUtils' C code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FOREIGN", "Biex", "FAsinh", "FLin", "FLog", "FlowJoLog", "Hyperlog"]

Values = NDArray[np.float64]
_LN10 = float(np.log(10))
_BIEX_TOP = 4096


@lru_cache(maxsize=256)
def _biex_table(negative: float, width: float, positive: float, top: float) -> tuple[Values, Values]:
    """Linear values and places on the scale, both increasing."""
    from flowkit import transforms

    place = np.arange(_BIEX_TOP + 1.0)
    table = transforms.WSPBiexTransform(negative=negative, width=width, positive=positive, max_value=top)
    return np.asarray(table.inverse(place), dtype=np.float64), place


@dataclass(frozen=True, slots=True)
class Biex:
    """FlowJo 10's biexponential scale, 0 to 4096.

    Parameters
    ----------
    negative : additional negative decades. width : FlowJo's width basis, negative. positive : decades.
    top : top of the scale in linear units.
    """

    negative: float = 0.0
    width: float = -10.0
    positive: float = 4.41854
    top: float = 262144.0

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to the scale; constant beyond its ends, NaN stays NaN."""
        linear, place = _biex_table(self.negative, self.width, self.positive, self.top)
        return np.asarray(np.interp(np.asarray(values, dtype=np.float64), linear, place))

    def inverse(self, values: ArrayLike) -> Values:
        """The scale to linear units; constant beyond its ends."""
        linear, place = _biex_table(self.negative, self.width, self.positive, self.top)
        return np.asarray(np.interp(np.asarray(values, dtype=np.float64), place, linear))


@dataclass(frozen=True, slots=True)
class FlowJoLog:
    """FlowJo 10's logarithmic scale: log10(x / offset) / decades, values below the offset held at it."""

    offset: float
    decades: float

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to the scale."""
        array = np.maximum(np.asarray(values, dtype=np.float64), self.offset)
        return np.asarray(1.0 / self.decades * (np.log10(array) - np.log10(self.offset)))

    def inverse(self, values: ArrayLike) -> Values:
        """The scale to linear units."""
        return np.asarray(self.offset * 10 ** (np.asarray(values, dtype=np.float64) * self.decades))


@dataclass(frozen=True, slots=True)
class FLin:
    """Gating-ML's flin: (x + a) / (t + a)."""

    t: float
    a: float

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to the scale."""
        return np.asarray((np.asarray(values, dtype=np.float64) + self.a) / (self.t + self.a))

    def inverse(self, values: ArrayLike) -> Values:
        """The scale to linear units."""
        return np.asarray(np.asarray(values, dtype=np.float64) * (self.t + self.a) - self.a)


@dataclass(frozen=True, slots=True)
class FLog:
    """Gating-ML's flog: log10(x / t) / m + 1; values of zero and less have no place on it (NaN, -inf)."""

    t: float
    m: float

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to the scale."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(1.0 / self.m * np.log10(np.asarray(values, dtype=np.float64) / self.t) + 1.0)

    def inverse(self, values: ArrayLike) -> Values:
        """The scale to linear units."""
        return np.asarray(self.t * 10 ** (self.m * (np.asarray(values, dtype=np.float64) - 1.0)))


@dataclass(frozen=True, slots=True)
class FAsinh:
    """Gating-ML's fasinh: (arcsinh(x · sinh(m ln 10) / t) + a ln 10) / ((m + a) ln 10)."""

    t: float
    m: float
    a: float

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to the scale."""
        argument = np.asarray(values, dtype=np.float64) * (np.sinh(self.m * _LN10) / self.t)
        return np.asarray((np.arcsinh(argument) + self.a * _LN10) / ((self.m + self.a) * _LN10))

    def inverse(self, values: ArrayLike) -> Values:
        """The scale to linear units."""
        argument = np.asarray(values, dtype=np.float64) * ((self.m + self.a) * _LN10) - self.a * _LN10
        return np.asarray(np.sinh(argument) * self.t / np.sinh(self.m * _LN10))


@dataclass(frozen=True, slots=True)
class Hyperlog:
    """Gating-ML's hyperlog (Bagwell 2005), by FlowUtils' C code."""

    t: float
    w: float
    m: float
    a: float

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to the scale."""
        from flowutils.transforms import hyperlog

        return self._through(hyperlog, values)

    def inverse(self, values: ArrayLike) -> Values:
        """The scale to linear units."""
        from flowutils.transforms import hyperlog_inverse

        return self._through(hyperlog_inverse, values)

    def _through(self, function: Any, values: ArrayLike) -> Values:
        array = np.array(values, dtype=np.float64)  # a copy: the C code must not write to the caller's array
        if array.size == 0:
            return array
        result = function(array.reshape(-1, 1), [0], t=self.t, m=self.m, w=self.w, a=self.a)
        return np.asarray(result, dtype=np.float64).reshape(array.shape)


FOREIGN: dict[str, type[Any]] = {
    "biex": Biex,
    "flowjo_log": FlowJoLog,
    "flin": FLin,
    "flog": FLog,
    "fasinh": FAsinh,
    "hyperlog": Hyperlog,
}
"""By the name that a stored scale has."""
