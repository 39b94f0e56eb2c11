"""DATA: from bytes to columns of numbers, chunk by chunk.

Chunks stay in the processor's cache, so transposing, checking and scaling them costs little more than reading; the
hash runs beside in a thread. Memory is the result and a few chunks. The result is column-major: a gate reads one or two
channels, and only those.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.layout import Layout
from treg_gating.fcs.parameters import Parameter
from treg_gating.fcs.plausibility import Checks
from treg_gating.fcs.ranges import Ranges
from treg_gating.fcs.source import Digest, Source

__all__ = ["Decoder", "decode_events", "event_bits"]

CHUNK_BYTES = 1 << 19
BUFFERS = 4
EXACT_IN_FLOAT32 = 24  # bits of an integer that float32 holds exactly
_NATIVE_BITS = (8, 16, 32, 64)
_TABLE_BITS = 16

Array = NDArray[Any]
Scale = Callable[[Array], Array]


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
    """float32 unless that would lose digits (Time apart, which is rounded by its step anyway)."""
    return np.float64 if any(_needs_double(parameter) for parameter in parameters) else np.float32


def _needs_double(parameter: Parameter) -> bool:
    if parameter.kind != "I" or parameter.channel.is_time or parameter.decades:
        return parameter.kind == "D"
    return parameter.bits > EXACT_IN_FLOAT32 and (parameter.channel.range or 0) > 2**EXACT_IN_FLOAT32


def _scale(parameter: Parameter, step: float) -> Scale | None:
    """From what is stored to a linear scale: $PnE, $PnG, $TIMESTEP; None where nothing is to be done."""
    if parameter.channel.is_time:
        return None if step == 1 else lambda values: values.astype(np.float64) * step
    if parameter.decades:
        return _exponential(parameter)
    if parameter.gain != 1:
        gain = parameter.gain
        return lambda values: values.astype(np.float64) / gain
    return None


def _exponential(parameter: Parameter) -> Scale:
    """10 ** (decades × value / range) × value at channel 0 (FCS 3.1, $PnE)."""
    decades, log_zero, largest = parameter.decades, parameter.log_zero, parameter.channel.range or 1.0

    def formula(values: Array) -> Array:
        return np.asarray(10 ** (decades * values.astype(np.float64) / largest) * log_zero)

    if parameter.bits > _TABLE_BITS:
        return formula
    table = formula(np.arange(1 << min(parameter.bits, int(np.ceil(np.log2(largest))))))
    return lambda values: table[values.astype(np.intp)]


def decode_events(
    source: Source,
    origin: int,
    layout: Layout,
    decoder: Decoder,
    wanted: Sequence[int],
    step: float,
    digest: Digest,
    inspection: Inspection,
) -> Array:
    """Read DATA, check it, scale it.

    Returns
    -------
    shape (len(wanted), n_events), float32 or float64, each row a channel.

    Raises
    ------
    FCSError : E_VALUES, E_ZERO_RUN, E_REPEATED, E_TIME, E_RANGE, E_CHANGED.
    """
    decoded = [*wanted, *_clock(decoder.parameters, wanted)]
    parameters = [decoder.parameters[i] for i in decoded]
    out = np.empty((len(wanted), layout.n_events), result_dtype(parameters))
    scales = [(row, scale) for row, p in enumerate(parameters) if (scale := _scale(p, step)) is not None]

    def stored(event: int, n: int) -> bytes:
        size = layout.event_bits // 8
        return source.peek(origin + layout.begin + event * size, n * size)

    checks = Checks(decoder, decoded, layout.n_events, stored, inspection)
    ranges = Ranges(decoder, decoded, inspection)
    pieces = _chunks(source, origin + layout.begin, layout, digest, inspection)
    with np.errstate(all="ignore"), closing(pieces) as chunks:  # an error kept by the caller keeps no thread alive
        for first, last, raw in chunks:
            rows = decoder.rows(raw, last - first)
            target = out[:, first:last]
            part = target if len(decoded) == len(wanted) else np.empty((len(decoded), last - first), out.dtype)
            decoder.fill(rows, decoded, part)
            ranges.enforce(rows, part)
            checks.look(first, rows, part)
            for row, scale in scales:
                part[row] = scale(part[row])
            if part is not target:
                target[:] = part[: len(wanted)]
        checks.judge()
    return out


def _clock(parameters: Sequence[Parameter], wanted: Sequence[int]) -> list[int]:
    """The Time channel where it is not wanted: it is decoded all the same, to see events out of order."""
    clocks = [i for i, parameter in enumerate(parameters) if parameter.channel.is_time]
    return clocks[:1] if clocks and not set(clocks) & set(wanted) else []


def _chunks(
    source: Source, begin: int, layout: Layout, digest: Digest, inspection: Inspection
) -> Generator[tuple[int, int, Array], None, None]:
    """DATA in pieces of whole events: first event, one past the last, bytes. Each is hashed while it is used."""
    events = max(16, CHUNK_BYTES * 8 // layout.event_bits // 16 * 16)
    if layout.n_events <= events or not digest.wanted:
        buffers = [np.empty((min(events, layout.n_events) * layout.event_bits + 7) // 8, np.uint8)]
        yield from _fill(source, begin, layout, events, buffers, digest.update if digest.wanted else None, inspection)
        return
    buffers = [np.empty(events * layout.event_bits // 8, np.uint8) for _ in range(BUFFERS)]
    with ThreadPoolExecutor(1) as pool:
        busy: list[Future[None]] = []

        def submit(piece: memoryview) -> None:
            busy.append(pool.submit(digest.update, piece))
            if len(busy) == BUFFERS:
                busy.pop(0).result()

        yield from _fill(source, begin, layout, events, buffers, submit, inspection)


def _fill(
    source: Source,
    begin: int,
    layout: Layout,
    events: int,
    buffers: list[Array],
    hashing: Callable[[memoryview], None] | None,
    inspection: Inspection,
) -> Iterator[tuple[int, int, Array]]:
    for turn, first in enumerate(range(0, layout.n_events, events)):
        last = min(first + events, layout.n_events)
        length = ((last - first) * layout.event_bits + 7) // 8
        raw = buffers[turn % len(buffers)][:length]
        view = memoryview(raw.data)
        source.fill(begin + first * layout.event_bits // 8, view, inspection)
        if hashing is not None:
            hashing(view)
        yield first, last, raw
