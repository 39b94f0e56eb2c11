"""DATA: from bytes to events, chunk by chunk.

Chunks stay in the processor's cache, so checking, transposing and scaling them costs little more than reading; the
hash runs beside in a thread. Memory is the result and little more. Floats in this computer's own byte order stay as
they lie in the file, event after event, and are read and checked in two threads; everything else, and a choice of
channels, becomes columns.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.decoder import Decoder, Scale, linear_scale, result_dtype
from treg_gating.fcs.digest import Digest
from treg_gating.fcs.glance import Look
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.layout import Layout
from treg_gating.fcs.memory import leased_empty
from treg_gating.fcs.parameters import Parameter
from treg_gating.fcs.plausibility import Checks
from treg_gating.fcs.ranges import Ranges
from treg_gating.fcs.source import Source

__all__ = ["Data", "decode_events"]

CHUNK_BYTES = 1 << 21  # what is judged at once; large enough that Python's own time hardly counts
BLOCK_BYTES = 1 << 20  # what is read and looked at once; it stays in the processor's second cache
BUFFERS = 4
THREADS = min(2, os.cpu_count() or 1)  # reading is bound by memory; a third gains nothing
FEW_CHUNKS = 4  # not worth a thread
MOST_SCALED = 2  # channels of a float file that are not stored in linear units, Time first of all

Array = NDArray[Any]
Span = tuple[int, int]


@dataclass(frozen=True)
class Data:
    """The DATA segment of one data set.

    Parameters
    ----------
    source : the file. begin : first byte, from the beginning of the file.
    layout, decoder : how many events, and how they lie.
    step : seconds a tick of Time.
    """

    source: Source
    begin: int
    layout: Layout
    decoder: Decoder
    step: float

    def stored(self, event: int, n: int) -> bytes:
        """Bytes of `n` events from `event` on."""
        size = self.layout.event_bits // 8
        return self.source.peek(self.begin + event * size, n * size)

    def chunks(self) -> Iterator[Span]:
        """Spans of whole events and whole bytes: first event, one past the last."""
        return _cut((0, self.layout.n_events), self._block_events * max(1, CHUNK_BYTES // BLOCK_BYTES))

    def blocks(self, chunk: Span) -> Iterator[Span]:
        """The same, of a chunk; one of integers stays whole: what marks they carry shows in many of them."""
        return _cut(chunk, self._block_events) if self.decoder.floats else iter((chunk,))

    @property
    def _block_events(self) -> int:
        return max(16, min(BLOCK_BYTES, CHUNK_BYTES) * 8 // self.layout.event_bits // 64 * 64)

    def fill(self, first: int, last: int, view: memoryview, inspection: Inspection) -> None:
        """Read the bytes of the events from `first` to `last` into `view`."""
        self.source.fill(self.begin + first * self.layout.event_bits // 8, view, inspection)

    def scales(self, wanted: Sequence[int]) -> list[tuple[int, Scale]]:
        """Columns of the result that have to be scaled, and how."""
        found = ((row, linear_scale(self.decoder.parameters[i], self.step)) for row, i in enumerate(wanted))
        return [(row, scale) for row, scale in found if scale is not None]


def _cut(span: Span, events: int) -> Iterator[Span]:
    return ((first, min(first + events, span[1])) for first in range(*span, events))


def decode_events(data: Data, wanted: Sequence[int], digest: Digest, inspection: Inspection) -> Array:
    """Read DATA, check it, scale it.

    Returns
    -------
    shape (n_events, len(wanted)), float32 or float64.

    Raises
    ------
    FCSError : E_VALUES, E_ZERO_RUN, E_REPEATED, E_TIME, E_RANGE, E_CHANGED.
    """
    everything = list(wanted) == list(range(len(data.decoder.parameters)))
    with np.errstate(all="ignore"):
        if everything and data.decoder.native_floats and len(data.scales(wanted)) <= MOST_SCALED:
            return _as_stored(data, wanted, digest, inspection)
        return _as_columns(data, wanted, digest, inspection)


def _as_stored(data: Data, wanted: Sequence[int], digest: Digest, inspection: Inspection) -> Array:
    """Events as they lie in the file; what is stored in other units is scaled in its place.

    A chunk is read, looked at and scaled by one thread, so that it stays in that processor's cache.
    """
    kind = data.decoder.uniform
    assert kind is not None  # noqa: S101 (of native floats)
    events = leased_empty((data.layout.n_events, len(wanted)), kind)
    scales = data.scales(wanted)
    unscaled = {row: np.empty(len(events), kind) for row, _ in scales} if digest.wanted else {}
    checks = Checks(data.decoder, wanted, data.layout.n_events, data.stored, inspection)

    def take(span: Span) -> Look:
        chunk = events[slice(*span)]
        glance = checks.glance(len(chunk), kind)
        with np.errstate(all="ignore"):
            for block in data.blocks(span):
                part = events[slice(*block)]
                data.fill(*block, memoryview(part.data).cast("B"), inspection)
                glance.take(part.view(np.uint8), part.T)
            look = checks.look(span[0], glance, chunk.T)
            for row, scale in scales:
                column = chunk[:, row].copy()
                if unscaled:
                    unscaled[row][slice(*span)] = column
                chunk[:, row] = scale(column)
        return look

    with closing(
        _taken(take, list(data.chunks()), THREADS)
    ) as looks:  # an error kept by the caller keeps no thread alive
        for (first, last), look in looks:
            checks.note(first, look)
            if digest.wanted:
                before = {row: column[first:last] for row, column in unscaled.items()}
                digest.feed(partial(_bytes_of, events[first:last], before))
    checks.judge()
    return events


def _taken(
    take: Callable[[Span], Look], spans: Sequence[Span], threads: int
) -> Generator[tuple[Span, Look], None, None]:
    """Spans in the order of the file and what they show; those of a large file in several threads."""
    if threads == 1 or len(spans) < FEW_CHUNKS:
        yield from ((span, take(span)) for span in spans)
        return
    with ThreadPoolExecutor(threads, "fcs-read") as pool:
        try:
            yield from zip(spans, pool.map(take, spans), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


def _bytes_of(part: Array, before: Mapping[int, Array]) -> memoryview:
    """The bytes of events as they were read, `before` some columns were scaled."""
    if before:
        part = part.copy()
        for row, column in before.items():
            part[:, row] = column
    return memoryview(part.data).cast("B")


def _as_columns(data: Data, wanted: Sequence[int], digest: Digest, inspection: Inspection) -> Array:
    """Columns, each of which lies together in memory."""
    decoder = data.decoder
    decoded = [*wanted, *_clock(decoder.parameters, wanted)]
    kind = np.dtype(result_dtype([decoder.parameters[i] for i in decoded]))
    out = leased_empty((len(wanted), data.layout.n_events), kind)
    scales = data.scales(decoded)
    checks = Checks(decoder, decoded, data.layout.n_events, data.stored, inspection)
    ranges = Ranges(decoder, decoded, inspection)
    buffers = _Buffers(data, digest, inspection)

    def take(span: Span) -> Look:
        first, last = span
        target = out[:, first:last]
        chunk = target if len(decoded) == len(wanted) else np.empty((len(decoded), last - first), kind)
        glance = checks.glance(last - first, kind)
        with np.errstate(all="ignore"):
            for block in data.blocks(span):
                part = chunk[:, block[0] - first : block[1] - first]
                with buffers.rows(block) as rows:
                    decoder.fill(rows, decoded, part)
                    ranges.enforce(rows, part)
                    glance.take(rows, part)
            look = checks.look(first, glance, chunk)
            for row, scale in scales:
                chunk[row] = scale(chunk[row])
        if chunk is not target:
            target[:] = chunk[: len(wanted)]
        return look

    alone = digest.wanted or not decoder.floats  # the hash takes longer, and marks on integers are told in turn
    with closing(_taken(take, list(data.chunks()), 1 if alone else THREADS)) as looks:
        for (first, _), look in looks:
            checks.note(first, look)
    checks.judge()
    return out.T


class _Buffers:
    """Blocks of DATA as they are stored, in memory that is used again: by each thread, or when it has been hashed."""

    def __init__(self, data: Data, digest: Digest, inspection: Inspection) -> None:
        self._data, self._digest, self._inspection = data, digest, inspection
        self._free: deque[Array] = deque()  # its methods are atomic

    @contextmanager
    def rows(self, block: Span) -> Iterator[Array]:
        """The events of `block`, as stored."""
        n = block[1] - block[0]
        length = (n * self._data.layout.event_bits + 7) // 8
        buffer = self._borrow(length)
        view = memoryview(buffer.data)[:length]
        self._data.fill(*block, view, self._inspection)
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
