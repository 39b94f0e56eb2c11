"""Events of any kind become columns, each of which lies together in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.decoder import result_dtype
from treg_gating.fcs.digest import Digest
from treg_gating.fcs.glance import Look
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.memory import leased_empty
from treg_gating.fcs.parameters import Parameter
from treg_gating.fcs.plausibility import Checks
from treg_gating.fcs.ranges import Ranges
from treg_gating.fcs.segment import Data, Passing, Span, taken

__all__ = ["decode_columns"]

BUFFERS = 4  # chunks whose bytes wait for the hash

Array = NDArray[Any]


def decode_columns(
    data: Data, wanted: Sequence[int], digest: Digest, inspection: Inspection, passing: Passing | None
) -> Array:
    """Read DATA, check it, scale it: shape (n_events, len(wanted)), column by column in memory."""
    decoder = data.decoder
    decoded = [*wanted, *_clock(decoder.parameters, wanted)]
    kind = np.dtype(result_dtype(decoder.parameters))  # of all: a value must not depend on which channels are asked for
    out = leased_empty((len(wanted), data.layout.n_events), kind)
    scales = data.scales(decoded)
    checks = Checks(decoder, decoded, data.layout.n_events, data.stored, inspection)
    ranges = Ranges(decoder, decoded, inspection)
    buffers = _Buffers(data, digest, inspection)

    def take(span: Span) -> Look:
        first, last = span
        target = out[:, first:last]
        part = target if len(decoded) == len(wanted) else np.empty((len(decoded), last - first), kind)
        with buffers.rows(span) as rows, np.errstate(all="ignore"):
            decoder.fill(rows, decoded, part)
            ranges.enforce(rows, part)
            look = checks.look(first, rows, part)
            for row, scale in scales.items():
                scale(part[row], part[row])
        if part is not target:
            target[:] = part[: len(wanted)]
        if passing is not None:
            passing.take(first, target.T)
        return look

    alone = digest.wanted or not decoder.floats  # the hash takes longer, and marks on integers are told in turn
    for (first, _), look in taken(take, data.chunks(), alone=alone):
        checks.note(first, look)
    checks.judge()
    return out.T


class _Buffers:
    """Chunks of DATA as they are stored, in memory that is used again: by each thread, or when it has been hashed."""

    def __init__(self, data: Data, digest: Digest, inspection: Inspection) -> None:
        self._data, self._digest, self._inspection = data, digest, inspection
        self._free: deque[Array] = deque()  # its methods are atomic

    @contextmanager
    def rows(self, span: Span) -> Iterator[Array]:
        """The events of `span`, as stored."""
        n = span[1] - span[0]
        length = (n * self._data.layout.event_bits + 7) // 8
        buffer = self._borrow(length)
        view = memoryview(buffer.data)[:length]
        self._data.fill(*span, view, self._inspection)
        if self._digest.wanted:
            self._digest.feed(view, waiting=BUFFERS - 1)
        yield self._data.decoder.rows(buffer[:length], n)
        self._free.append(buffer)

    def _borrow(self, length: int) -> Array:
        """With the hash the one used longest ago, which has been hashed; else the one used last, which is in cache."""
        hashed = self._digest.wanted
        if not hashed or len(self._free) == BUFFERS:
            with suppress(IndexError):
                buffer = self._free.popleft() if hashed else self._free.pop()
                if len(buffer) >= length:
                    return buffer
        return np.empty(length, np.uint8)


def _clock(parameters: Sequence[Parameter], wanted: Sequence[int]) -> list[int]:
    """The Time channel where it is not wanted: it is decoded all the same, to see events out of order."""
    clocks = [i for i, parameter in enumerate(parameters) if parameter.channel.is_time]
    return clocks[:1] if clocks and not set(clocks) & set(wanted) else []
