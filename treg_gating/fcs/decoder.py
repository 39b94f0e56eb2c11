"""How values lie in an event, and what they mean: from stored bytes to numbers on a linear scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.parameters import Parameter

__all__ = ["Decoder", "Scale", "event_bits", "linear_scale", "result_dtype"]

EXACT_IN_FLOAT32 = 24  # bits of an integer that float32 holds exactly
_NATIVE_BITS = (8, 16, 32, 64)
_TABLE_BITS = 16

Array = NDArray[Any]
Scale = Callable[[Array, Array], None]  # of what is stored, and where it is written, which may be its own place


def event_bits(parameters: Sequence[Parameter]) -> int:
    """Bits an event."""
    return sum(parameter.bits for parameter in parameters)


@dataclass(frozen=True)
class Decoder:
    """Turns the bytes of some events into columns.

    Parameters
    ----------
    parameters : all of them, in the file's order.
    order : ``"<"`` or ``">"``.
    """

    parameters: tuple[Parameter, ...]
    order: str

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(parameter.bits for parameter in self.parameters)]

    @cached_property
    def packed(self) -> bool:
        """Whether values do not begin at whole bytes."""
        return any(parameter.bits % 8 for parameter in self.parameters)

    @cached_property
    def uniform(self) -> np.dtype[Any] | None:
        """The one type of all values, or None."""
        kinds = {(parameter.kind, parameter.bits) for parameter in self.parameters}
        kind, bits = next(iter(kinds))
        return self._dtype(kind, bits) if len(kinds) == 1 and bits in _NATIVE_BITS else None

    @property
    def floats(self) -> bool:
        """Whether every value is a float."""
        return all(parameter.kind != "I" for parameter in self.parameters)

    @property
    def native_floats(self) -> bool:
        """Whether every value is a float that this computer reads as it lies."""
        return self.uniform is not None and self.uniform.kind == "f" and self.uniform.isnative

    def rows(self, raw: Array, n: int) -> Array:
        """`raw` bytes as shape (n, bytes an event); bits an event where values are packed."""
        if not self.packed:
            return raw.reshape(n, -1)
        width = event_bits(self.parameters)
        return np.unpackbits(raw, count=n * width).reshape(n, width)

    def fill(self, rows: Array, wanted: Sequence[int], out: Array) -> None:
        """Write the columns `wanted` of `rows` into `out`, shape (len(wanted), n)."""
        kind = self.uniform
        if kind is not None and list(wanted) == list(range(len(self.parameters))):
            out[:] = rows.view(kind).T
            return
        for row, i in enumerate(wanted):
            out[row] = self.column(rows, i)

    def column(self, rows: Array, i: int) -> Array:
        """Values of parameter `i` as they are stored, shape (n,)."""
        parameter = self.parameters[i]
        start = self._starts[i]
        if self.packed:
            return _weigh(rows[:, start : start + parameter.bits], 1)
        first, width = start // 8, parameter.bits // 8
        field = rows[:, first : first + width]
        if parameter.bits in _NATIVE_BITS:
            kind = self._dtype(parameter.kind, parameter.bits)
            return np.ndarray((len(rows),), kind, rows, first, (rows.strides[0],))
        return _weigh(field if self.order == ">" else field[:, ::-1], 8)

    def _dtype(self, kind: str, bits: int) -> np.dtype[Any]:
        return np.dtype(f"{self.order}{'u' if kind == 'I' else 'f'}{bits // 8}")


def _weigh(digits: Array, bits: int) -> Array:
    """Digits of `bits` bits each, most significant first, as whole numbers."""
    value = np.zeros(len(digits), np.uint64)
    for column in digits.T:
        value = (value << np.uint64(bits)) | column.astype(np.uint64)
    return value


def result_dtype(parameters: Sequence[Parameter]) -> type[np.floating[Any]]:
    """Of all channels of a file: float32 unless that would lose digits (not of Time, which its step rounds anyway)."""
    return np.float64 if any(_needs_double(parameter) for parameter in parameters) else np.float32


def _needs_double(parameter: Parameter) -> bool:
    if parameter.kind != "I" or parameter.channel.is_time or parameter.decades:
        return parameter.kind == "D"
    return parameter.bits > EXACT_IN_FLOAT32 and (parameter.channel.range or 0) > 2**EXACT_IN_FLOAT32


def linear_scale(parameter: Parameter, step: float) -> Scale | None:
    """From what is stored to a linear scale: $PnE, $PnG, $TIMESTEP; None where nothing is to be done."""
    if parameter.channel.is_time:
        return None if step == 1 else partial(_computed_into, np.multiply, step)
    if parameter.decades:
        return _exponential(parameter)
    if parameter.gain != 1:
        return partial(_computed_into, np.divide, parameter.gain)
    return None


def _computed_into(operation: np.ufunc, by: float, values: Array, out: Array) -> None:
    """In float64, rounded once, and without an array in between, which would take as much memory traffic again."""
    operation(values, by, out=out, dtype=np.float64, casting="same_kind")


def _exponential(parameter: Parameter) -> Scale:
    """10 ** (decades × value / range) × value at channel 0 (FCS 3.1, $PnE)."""
    decades, log_zero, largest = parameter.decades, parameter.log_zero, parameter.channel.range or 1.0

    def formula(values: Array) -> Array:
        return np.asarray(10 ** (decades * values.astype(np.float64) / largest) * log_zero)

    if parameter.bits > _TABLE_BITS:
        return partial(_written_into, formula)
    table = formula(np.arange(1 << min(parameter.bits, int(np.ceil(np.log2(largest))))))
    return partial(_written_into, lambda values: table[values.astype(np.intp)])


def _written_into(formula: Callable[[Array], Array], values: Array, out: Array) -> None:
    out[:] = formula(values)
