"""DATA: from bytes to events, chunk by chunk.

Chunks stay in the processor's cache, so checking, transposing and scaling them costs little more than reading; the
hash runs beside in a thread. Memory is the result and little more. Floats in this computer's own byte order stay as
they lie in the file, event after event, and are read and checked in two threads; everything else, and a choice of
channels, becomes columns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

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
from treg_gating.sample import absent_events
from treg_gating.threads import hand_over, side_by_side

__all__ = ["Data", "Passing", "decode_events"]

CHUNK_BYTES = 3 << 20  # read and looked at in one go; large, as threads that take turns in Python wait for each other
BUFFERS = 4
HASHED_BYTES = 1 << 18  # copied for the hash in one go
FEW_CHUNKS = 4  # not worth a thread
AHEAD_BYTES = 48 << 20  # of more, and where nobody looks at passing events, the hash is what is waited for
MOST_SCALED = 2  # channels of a float file that are not stored in linear units, Time first of all

Array = NDArray[Any]
Span = tuple[int, int]


class Passing(Protocol):
    """Work on events that is cheaper while they are in the processor's cache."""

    @property
    def channels(self) -> Collection[str]:
        """The channels ($PnN) that are looked at; all others may pass in the units they are stored in."""

    def take(self, first: int, events: Array) -> None:
        """Look at events from the number `first` on, shape (n, channels), while they pass.

        It may be called in any order and in two threads at once. The events must stay as they are, and must not be
        kept. The file may still be refused when all have passed.
        """


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

    def chunks(self) -> list[Span]:
        """Spans of whole events and whole bytes: first event, one past the last.

        The last ones are halves, so that no thread waits long for another.
        """
        n = self.layout.n_events
        events = max(16, CHUNK_BYTES * 8 // self.layout.event_bits // 64 * 64)
        half, whole = events // 2 // 8 * 8, max(0, n // events - 2) * events
        starts = [*range(0, whole, events), *range(whole, n, half)]
        return list(pairwise([*starts, n]))

    def fill(self, first: int, last: int, view: memoryview, inspection: Inspection) -> None:
        """Read the bytes of the events from `first` to `last` into `view`."""
        self.source.fill(self.begin + first * self.layout.event_bits // 8, view, inspection)

    def scales(self, wanted: Sequence[int]) -> list[tuple[int, Scale]]:
        """Columns of the result that have to be scaled, and how."""
        found = ((row, linear_scale(self.decoder.parameters[i], self.step)) for row, i in enumerate(wanted))
        return [(row, scale) for row, scale in found if scale is not None]


def decode_events(
    data: Data,
    wanted: Sequence[int],
    digest: Digest,
    inspection: Inspection,
    *,
    judged: bool = False,
    passing: Passing | None = None,
    keep: bool = True,
) -> Array:
    """Read DATA, check it, scale it.

    Parameters
    ----------
    judged : whether these bytes were found plausible before; then those that lie as this computer's floats are not
        looked at again.
    passing : is handed all events, when they are scaled, as columns `wanted`.
    keep : whether all events are wanted at once behind that.

    Returns
    -------
    shape (n_events, len(wanted)), float32 or float64; where they are not wanted, what stands there may be NaN.

    Raises
    ------
    FCSError : E_VALUES, E_ZERO_RUN, E_REPEATED, E_TIME, E_RANGE, E_CHANGED.
    """
    everything = list(wanted) == list(range(len(data.decoder.parameters)))
    with np.errstate(all="ignore"):
        if not (everything and data.decoder.native_floats and len(data.scales(wanted)) <= MOST_SCALED):
            return _as_columns(data, wanted, digest, inspection, passing)
        if judged:
            return _as_judged(data, wanted, digest, inspection, passing, keep=keep)
        return _as_stored(data, wanted, digest, inspection, passing)


def _as_stored(
    data: Data, wanted: Sequence[int], digest: Digest, inspection: Inspection, passing: Passing | None
) -> Array:
    """Events as they lie in the file; what is stored in other units is scaled in its place.

    A chunk is looked at and scaled by one thread, so that it stays in that processor's cache.
    """
    kind = data.decoder.uniform
    assert kind is not None  # noqa: S101 (of native floats)
    events = leased_empty((data.layout.n_events, len(wanted)), kind)
    scales = data.scales(wanted)
    checks = Checks(data.decoder, wanted, data.layout.n_events, data.stored, inspection, whole=True)
    kept = {row: np.empty(len(events), kind) for row in checks.kept.union(row for row, _ in scales)}

    def take(span: Span) -> Look:
        chunk = events[slice(*span)]
        before = {row: column[slice(*span)] for row, column in kept.items()}
        await_read(span)
        with np.errstate(all="ignore"):
            look = checks.look(span[0], chunk.view(np.uint8), chunk.T, before)
            for row, scale in scales:
                chunk[:, row] = scale(before[row])
        if passing is not None:
            passing.take(span[0], chunk)
        return look

    ahead = digest.beside and passing is not None and events.nbytes <= AHEAD_BYTES
    with _reading(data, events, inspection, ahead=ahead) as await_read:
        for (first, last), look in _taken(take, data.chunks(), alone=digest.wanted):
            checks.note(first, look)
            if digest.wanted:
                stored = {row: kept[row][first:last] for row, _ in scales}
                digest.feed(partial(_bytes_of, events[first:last], stored))
    checks.judge(events, kept)
    return events


@contextmanager
def _reading(data: Data, events: Array, inspection: Inspection, *, ahead: bool) -> Iterator[Callable[[Span], object]]:
    """What is called before the events of a span are looked at: it reads them, or waits for the one who reads ahead.

    Parameters
    ----------
    ahead : the thread of the hash reads, before it begins with that.
    """

    def fill(span: Span) -> None:
        data.fill(*span, memoryview(events[slice(*span)].data).cast("B"), inspection)

    reads = {span: hand_over(fill, span) for span in (data.chunks() if ahead else ())}
    try:
        yield (lambda span: reads[span].result()) if ahead else fill
    finally:  # behind an error, nobody may read on when the file is closed
        wait([read for read in reads.values() if not read.cancel()])


def _as_judged(
    data: Data, wanted: Sequence[int], digest: Digest, inspection: Inspection, passing: Passing | None, *, keep: bool
) -> Array:
    """The same for bytes that were judged before: the thread of the hash reads them too, and they are passed on here.

    Where they are not kept, a few chunks' memory is used again and again, so that it stays in the processor's cache,
    and only what is looked at is scaled.
    """
    kind, n, spans = data.decoder.uniform, data.layout.n_events, data.chunks()
    assert kind is not None  # noqa: S101 (of native floats)
    room = n if keep else BUFFERS * max((last - first for first, last in spans), default=0)
    events = leased_empty((room, len(wanted)), kind)
    looked_at = () if passing is None else passing.channels
    names = [data.decoder.parameters[i].channel.name for i in wanted]
    scales = [(row, scale) for row, scale in data.scales(wanted) if keep or names[row] in looked_at]
    read = deque[tuple[int, Array, Future[None] | None]]()

    def bytes_of(chunk: Array, first: int) -> Iterator[memoryview]:
        view = memoryview(chunk.data).cast("B")
        data.fill(first, first + len(chunk), view, inspection)
        yield view

    def pass_on(first: int, chunk: Array, hashed: Future[None] | None) -> None:
        if hashed is not None:
            hashed.result()
        with np.errstate(all="ignore"):
            for row, scale in scales:
                chunk[:, row] = scale(chunk[:, row])
        if passing is not None:
            passing.take(first, chunk)

    try:
        for i, (first, last) in enumerate(spans):
            if len(read) == BUFFERS:
                pass_on(*read.popleft())
            begin = first if keep else i % BUFFERS * (room // BUFFERS)
            chunk = events[begin : begin + last - first]
            read.append((first, chunk, digest.feed(partial(bytes_of, chunk, first))))
        while read:
            pass_on(*read.popleft())
    finally:  # behind an error, nobody may read on when the file is closed
        left = [hashed for *_, hashed in read if hashed is not None and not hashed.cancel()]
        wait(left)
    return events if keep else absent_events((n, len(wanted)), kind)


def _taken(take: Callable[[Span], Look], spans: Sequence[Span], *, alone: bool) -> Iterable[tuple[Span, Look]]:
    """Spans in the order of the file and what they show; those of a large file in two threads, unless `alone`."""
    if alone or len(spans) < FEW_CHUNKS:
        return ((span, take(span)) for span in spans)
    return zip(spans, side_by_side(take, spans), strict=True)


def _bytes_of(events: Array, before: Mapping[int, Array]) -> Iterator[memoryview]:
    """The bytes of `events` as they were read, `before` some columns were scaled; in parts that the cache holds."""
    n = len(events) if not before else HASHED_BYTES // events.strides[0] + 1
    for first in range(0, len(events), n):
        part = events[first : first + n]
        if before:
            part = part.copy()
            for row, column in before.items():
                part[:, row] = column[first : first + n]
        yield memoryview(part.data).cast("B")


def _as_columns(
    data: Data, wanted: Sequence[int], digest: Digest, inspection: Inspection, passing: Passing | None
) -> Array:
    """Columns, each of which lies together in memory."""
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
            for row, scale in scales:
                part[row] = scale(part[row])
        if part is not target:
            target[:] = part[: len(wanted)]
        if passing is not None:
            passing.take(first, target.T)
        return look

    alone = digest.wanted or not decoder.floats  # the hash takes longer, and marks on integers are told in turn
    for (first, _), look in _taken(take, data.chunks(), alone=alone):
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
