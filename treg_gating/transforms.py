"""Display transforms: from linear intensities to the scale gates are set on, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from treg_gating.errors import InputError

__all__ = [
    "Asinh",
    "Linear",
    "Logicle",
    "LogicleOfStudy",
    "Transform",
    "estimate_logicle_width",
    "least_float32",
    "transform_from_dict",
    "transform_to_dict",
]

Values = NDArray[np.float64]
_BESIDE_ZERO = 1e-8


class Transform(Protocol):
    """A strictly increasing map of one channel's values."""

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to the transform's scale; any shape."""

    def inverse(self, values: ArrayLike) -> Values:
        """The transform's scale to linear units; any shape."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Linear:
    """The identity: values stay in the instrument's units."""

    def apply(self, values: ArrayLike) -> Values:
        """Values as float64."""
        return np.asarray(values, dtype=np.float64)

    def inverse(self, values: ArrayLike) -> Values:
        """Values as float64."""
        return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Asinh:
    """arcsinh(x / cofactor) / scale.

    Parameters
    ----------
    cofactor : linear units per unit of the argument; 150 is customary for flow cytometers, 5 for mass.
    scale : divides the result. The default maps 2¹⁸ to about 0.9, so that steps are of the same
        order as on a logicle scale.
    """

    cofactor: float = 150.0
    scale: float = 9.0

    def __post_init__(self) -> None:
        _positive("asinh", cofactor=self.cofactor, scale=self.scale)

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to asinh scale."""
        result: Values = np.arcsinh(np.asarray(values, dtype=np.float64) / self.cofactor) / self.scale
        return result

    def inverse(self, values: ArrayLike) -> Values:
        """Asinh scale to linear units."""
        result: Values = np.sinh(np.asarray(values, dtype=np.float64) * self.scale) * self.cofactor
        return result


@dataclass(frozen=True, slots=True)
class Logicle:
    """Logicle of Parks, Roederer and Moore (Cytometry A 2006), as Gating-ML 2.0 defines it.

    Parameters
    ----------
    t : top of the scale in linear units.
    w : width of the quasi-linear region in decades, 0 ≤ w ≤ m/2.
    m : decades of the whole scale.
    a : additional negative decades, −w ≤ a ≤ m − 2w.

    The computation is FlowUtils' C code; t maps to 1.
    """

    t: float = 262144.0
    w: float = 0.5
    m: float = 4.5
    a: float = 0.0

    def __post_init__(self) -> None:
        _positive("logicle", t=self.t, m=self.m)
        if not 0 <= self.w <= self.m / 2:
            msg = "logicle width is out of its range"
            raise InputError(msg, found=f"w = {self.w:g}", expected=f"0 to m/2 = {self.m / 2:g}")
        if not -self.w <= self.a <= self.m - 2 * self.w:
            msg = "logicle additional negative decades are out of their range"
            raise InputError(msg, found=f"a = {self.a:g}", expected=f"-w to m - 2w = {self.m - 2 * self.w:g}")

    def apply(self, values: ArrayLike) -> Values:
        """Linear units to logicle scale."""
        from flowutils.transforms import logicle

        return self._through(logicle, values)

    def inverse(self, values: ArrayLike) -> Values:
        """Logicle scale to linear units."""
        from flowutils.transforms import logicle_inverse

        return self._through(logicle_inverse, values)

    def _through(self, function: Any, values: ArrayLike) -> Values:
        array = np.array(values, dtype=np.float64)  # a copy: the C code must not write to the caller's array
        flat = array.reshape(-1, 1)
        if flat.size == 0:
            return array
        # The C code gives −1 for what is no number, and its solver runs away just beside zero where w is 0.
        special = ~np.isfinite(flat)
        kept = flat[special]
        flat[special | (np.abs(flat) < _BESIDE_ZERO)] = 0.0
        result: Values = function(flat, [0], t=self.t, m=self.m, w=self.w, a=self.a)
        result[special] = kept
        return result.reshape(array.shape)


@dataclass(frozen=True, slots=True)
class LogicleOfStudy:
    """A logicle whose width the study's samples are to give (``w=auto``); it transforms nothing before they have.

    Parameters
    ----------
    t, m, a : as in :class:`Logicle`.
    """

    t: float = 262144.0
    m: float = 4.5
    a: float = 0.0

    def __post_init__(self) -> None:
        _positive("logicle", t=self.t, m=self.m)

    def of_width(self, w: float) -> Logicle:
        """The logicle with its width, decades."""
        return Logicle(self.t, w, self.m, self.a)

    def apply(self, values: ArrayLike) -> Values:
        """Raises InputError: the width is not known yet."""
        raise InputError(_NO_WIDTH, action=_ESTIMATE)

    def inverse(self, values: ArrayLike) -> Values:
        """Raises InputError: the width is not known yet."""
        raise InputError(_NO_WIDTH, action=_ESTIMATE)


_NO_WIDTH = "the logicle width of this marker has not been estimated (w=auto in panel.csv)"
_ESTIMATE = "Estimate it with treg_gating.logicle_widths.settle_widths, as 'treg-gating run' does, or write a number"


def estimate_logicle_width(values: ArrayLike, *, t: float = 262144.0, m: float = 4.5) -> float | None:
    """Width of the logicle for one channel of one sample.

    w = (m − log10(t / abs(r))) / 2 with r the 5 % quantile of the negative values (Parks et al. 2006), clipped
    to [0, m/2].

    Parameters
    ----------
    values : compensated linear values, shape (n,).

    Returns
    -------
    The width in decades, or None with fewer than 20 negative values: then the data do not say.
    """
    array = np.asarray(values, dtype=np.float64)
    negative = array[array < 0]
    if negative.size < 20:
        return None
    r = abs(float(np.quantile(negative, 0.05)))
    return float(np.clip((m - np.log10(t / r)) / 2, 0.0, m / 2))


@lru_cache(maxsize=512)
def least_float32(transform: Transform, cut: float) -> float | None:
    """The least float32 x whose transformed value is `cut` or more: x tells then what the transformed value tells.

    So a gate on a transformed axis can be asked on the linear one, exactly. None where the transform is not seen to
    cross `cut` between two neighbouring numbers.
    """
    if np.isinf(cut):
        return cut
    guess = float(transform.inverse(cut))
    if not abs(guess) < _LARGEST_FLOAT32:
        return None
    near = _ordered(np.float32(guess)) + np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)
    values = _from_ordered(near)
    above = transform.apply(values) >= cut
    if above[0] or not above[-1] or (np.diff(above.astype(np.int8)) < 0).any():
        return None
    return float(values[int(np.argmax(above))])


_LARGEST_FLOAT32 = float(np.finfo(np.float32).max) / 2
_NEIGHBOURS = 512
_SIGN = np.int64(-(1 << 31))


def _ordered(value: np.float32) -> np.int64:
    """A whole number that goes up by one from each float32 to the next."""
    bits = np.int64(value.view(np.int32))
    return bits if bits >= 0 else _SIGN - bits


def _from_ordered(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    bits = np.where(numbers >= 0, numbers, _SIGN - numbers)
    return bits.astype(np.int32).view(np.float32)


_KINDS: dict[str, type[Any]] = {"linear": Linear, "asinh": Asinh, "logicle": Logicle}


def _kinds(known: object) -> dict[str, type[Any]]:
    """Kinds of scales by name: our own, and where `known` is none of them those that only imported gates are set on."""
    if known in _KINDS or known in _KINDS.values():
        return _KINDS
    from treg_gating.foreign_scales import FOREIGN

    return FOREIGN


def transform_to_dict(transform: Transform) -> dict[str, Any]:
    """Plain values of a transform, its kind under ``transform``."""
    names = {kind: name for name, kind in _kinds(type(transform)).items()}
    slots = getattr(type(transform), "__slots__", ())
    return {"transform": names[type(transform)], **{slot: getattr(transform, slot) for slot in slots}}


def transform_from_dict(values: dict[str, Any]) -> Transform:
    """Rebuild a transform from :func:`transform_to_dict`."""
    fields = {key: value for key, value in values.items() if key != "transform"}
    transform: Transform = _kinds(values["transform"])[values["transform"]](**fields)
    return transform


def _positive(name: str, **values: float) -> None:
    for key, value in values.items():
        if not (np.isfinite(value) and value > 0):
            msg = f"{name} {key} must be positive"
            raise InputError(msg, found=f"{value:g}")
