"""DATA: from bytes to events, chunk by chunk.

Chunks stay in the processor's cache, so checking, transposing and scaling them costs little more than reading; the
hash runs beside in a thread. Memory is the result and little more. Floats in this computer's own byte order stay as
they lie in the file, event after event, and are read and checked in two threads; everything else, and a choice of
channels, becomes columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.fcs.ahead import Ahead
from treg_gating.fcs.columns import decode_columns
from treg_gating.fcs.digest import Digest
from treg_gating.fcs.glance import Look
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.memory import leased_empty
from treg_gating.fcs.passing import in_turn
from treg_gating.fcs.plausibility import Checks
from treg_gating.fcs.reads import Reads
from treg_gating.fcs.segment import Data, Passing, Span, taken
from treg_gating.folding import Extremes
from treg_gating.sample import absent_events
from treg_gating.threads import hand_over

__all__ = ["decode_events"]

BUFFERS = 4
HASHED_BYTES = 1 << 18  # copied for the hash in one go
READ_FIRST_BYTES = 48 << 20  # of more, and where nobody looks at passing events, the hash is what is waited for
MOST_SCALED = 2  # channels of a float file that are not stored in linear units, Time first of all

Array = NDArray[Any]


def decode_events(
    data: Data,
    wanted: Sequence[int],
    digest: Digest,
    inspection: Inspection,
    passing: Passing | None = None,
    *,
    judged: bool = False,
    linear: bool = True,
    extremes: Extremes | None = None,
    ahead: Ahead | None = None,
) -> tuple[Array, Array | None]:
    """Read DATA, check it, scale it.

    Parameters
    ----------
    passing : is handed all events, when they are scaled, as columns `wanted`.
    judged : whether these bytes were found plausible before; then those that lie as this computer's floats are not
        looked at again.
    linear : whether all columns are wanted on a linear scale behind that. Where not, those that `passing` does not look
        at may be as they are stored, and events that were judged before are not kept: they are NaN.
    extremes : is to learn those of all events, as `passing` sees them.
    ahead : what is being read of them already.

    Returns
    -------
    Events, shape (n_events, len(wanted)), float32 or float64; and, where not `linear` but kept, Time in seconds, shape
    (n_events,), if there is such a column.

    Raises
    ------
    FCSError : E_VALUES, E_ZERO_RUN, E_REPEATED, E_TIME, E_RANGE, E_CHANGED.
    """
    everything = list(wanted) == list(range(len(data.decoder.parameters)))
    with np.errstate(all="ignore"):
        if not (everything and data.decoder.native_floats and len(data.scales(wanted)) <= MOST_SCALED):
            looking = in_turn(extremes, passing)
            events, clock = decode_columns(data, wanted, digest, inspection, looking), data.clock(wanted)
            return events, None if linear or clock is None else events[:, clock]
        if judged:
            return _as_judged(data, wanted, digest, inspection, in_turn(extremes, passing), keep=linear), None
        return _as_stored(data, wanted, digest, inspection, passing, linear=linear, extremes=extremes, ahead=ahead)


def _as_stored(
    data: Data,
    wanted: Sequence[int],
    digest: Digest,
    inspection: Inspection,
    passing: Passing | None,
    *,
    linear: bool,
    extremes: Extremes | None,
    ahead: Ahead | None,
) -> tuple[Array, Array | None]:
    """Events as they lie in the file; what is stored in other units is scaled in its place.

    A chunk is looked at and scaled by one thread, so that it stays in that processor's cache. Where nobody looks at
    Time in its place it is left there as it is, which spares the hash a copy, and scaled apart.
    """
    kind = data.decoder.uniform
    assert kind is not None  # noqa: S101 (of native floats)
    shape = data.layout.n_events, len(wanted)
    claimed = None if ahead is None else ahead.claim(data.begin, shape, kind)
    events = leased_empty(shape, kind) if claimed is None else claimed
    scales, clock = data.scales(wanted), None if linear else data.clock(wanted)
    here = {row: scale for row, scale in scales.items() if linear or row in data.looked_at(wanted, passing)}
    if here:
        passing, extremes = in_turn(extremes, passing), None  # of what is scaled, they are told behind that
    checks = Checks(data.decoder, wanted, data.layout.n_events, data.stored, inspection, whole=True)
    rows = checks.kept.union(here, () if clock is None else (clock,))
    kept = {row: np.empty(len(events), kind) for row in rows}

    def take(span: Span) -> Look:
        chunk = events[slice(*span)]
        before = {row: column[slice(*span)] for row, column in kept.items()}
        reads.have(span[0])
        with np.errstate(all="ignore"):
            ends = None if extremes is None else extremes.take(span[0], chunk)
            look = checks.look(span[0], chunk.view(np.uint8), chunk.T, before, ends)
            for row, scale in here.items():
                scale(before[row], chunk[:, row])
        if passing is not None:
            passing.take(span[0], chunk)
        return look

    spans, reads = data.chunks(), Reads(data, inspection, None if claimed is None else ahead)
    for first, last in spans:
        reads.open(first, events[first:last])
    first_of_all = digest.beside and passing is not None and events.nbytes <= READ_FIRST_BYTES
    reading = hand_over(reads.have_all) if first_of_all else None  # the thread of the hash, before it begins with that
    try:
        for (first, last), look in taken(take, spans, alone=digest.wanted, meanwhile=checks.seek):
            checks.note(first, look)
            if digest.wanted:
                stored = {row: kept[row][first:last] for row in here}
                digest.feed(partial(_bytes_of, events[first:last], stored), stays=not stored)
    finally:  # behind an error, nobody may read on when the file is closed
        reads.close()
        if reading is not None and not reading.cancel():
            reading.result()
    checks.judge(events, kept)
    if clock is None:
        return events, None
    if clock not in scales:
        return events, kept[clock]
    seconds = np.empty_like(kept[clock])  # another, as the hash may still want what was stored
    scales[clock](kept[clock], seconds)
    return events, seconds


def _as_judged(
    data: Data, wanted: Sequence[int], digest: Digest, inspection: Inspection, passing: Passing | None, *, keep: bool
) -> Array:
    """The same for bytes that were judged before: two threads read them, one hashes them, they are passed on here.

    Where they are not kept, a few chunks' memory is used again and again, so that it stays in the processor's cache,
    and only what is looked at is scaled.
    """
    kind, n, spans = data.decoder.uniform, data.layout.n_events, data.chunks()
    assert kind is not None  # noqa: S101 (of native floats)
    room = n if keep else BUFFERS * max((last - first for first, last in spans), default=0)
    events = leased_empty((room, len(wanted)), kind)
    looked_at = data.looked_at(wanted, passing)
    scales = {row: scale for row, scale in data.scales(wanted).items() if keep or row in looked_at}
    reads, hashed = Reads(data, inspection), list[Future[None] | None]()

    def place(i: int) -> tuple[int, Array]:
        first, last = spans[i]
        begin = first if keep else i % BUFFERS * (room // BUFFERS)
        return first, events[begin : begin + last - first]

    def bytes_of(first: int, chunk: Array) -> Iterator[memoryview]:
        reads.have(first)
        yield memoryview(chunk.data).cast("B")

    def begin(i: int) -> None:
        if i >= BUFFERS:
            _await(hashed[i - BUFFERS])
        first, chunk = place(i)
        reads.open(first, chunk)
        hashed.append(digest.feed(partial(bytes_of, first, chunk)))

    try:
        for i in range(len(spans)):
            while len(hashed) < min(i + BUFFERS, len(spans)):
                begin(len(hashed))
            first, chunk = place(i)
            reads.have(first)
            if scales:
                _await(hashed[i])
            with np.errstate(all="ignore"):
                for row, scale in scales.items():
                    scale(chunk[:, row], chunk[:, row])
            if passing is not None:
                passing.take(first, chunk)
    except BaseException:  # nobody may read on when the file is closed
        reads.close()
        wait([one for one in hashed if one is not None and not one.cancel()])
        raise
    return events if keep else absent_events((n, len(wanted)), kind)


def _await(work: Future[None] | None) -> None:
    if work is not None:
        work.result()


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
