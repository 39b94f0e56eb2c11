"""The first bytes of DATA, read by the second thread while this one finds out from TEXT what they are.

HEADER alone says where; it may be wrong. They are only taken where DATA turns out to lie there, and otherwise let go.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import FCSError
from treg_gating.fcs.header import HEADER_BYTES, parse_header
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.memory import leased_empty
from treg_gating.fcs.source import Source
from treg_gating.threads import THREADS, hand_over

__all__ = ["Ahead", "reading_ahead"]

AHEAD_BYTES = 6 << 20  # about as many as are read until TEXT is understood; smaller files are not worth it
PATIENCE = 5e-4  # seconds; the thread begins within a tenth of that, unless it is busy

Array = NDArray[Any]


class Ahead:
    """Bytes that are read into the memory that all of DATA will need.

    Parameters
    ----------
    source : the file. begin : where DATA is said to begin. room : how many bytes it is said to have.
    """

    def __init__(self, source: Source, begin: int, room: int, inspection: Inspection) -> None:
        self._begin, self._block = begin, leased_empty((room,), np.uint8)
        self.size = AHEAD_BYTES
        self._source, self._inspection, self._begun = source, inspection, Event()
        self.read: Future[None] = hand_over(self._read)
        self._begun.wait(PATIENCE)  # to parse TEXT is all Python: without a pause the thread would not get its turn

    def _read(self) -> None:
        self._begun.set()
        self._source.fill(self._begin, memoryview(self._block.data)[: self.size], self._inspection)

    def claim(self, begin: int, shape: tuple[int, int], kind: np.dtype[Any]) -> Array | None:
        """What is being read, as an array, where DATA begins at `begin` and has this shape; None where it does not.

        `size` bytes of it, from the first, are there when `read` is done; none where the thread had no time to begin.
        """
        needed = shape[0] * shape[1] * kind.itemsize
        if begin != self._begin or not self.size <= needed <= len(self._block):
            return None
        if self.read.cancel():
            self.size = 0
        return self._block[:needed].view(kind).reshape(shape)

    def complete(self, first: int, view: memoryview) -> None:
        """Read what is not read ahead of a stretch that begins with the byte `first` of DATA, in the claimed memory."""
        there = self.size - first
        self._source.fill(self._begin + first + there, view[there:], self._inspection)
        self.read.result()


@contextmanager
def reading_ahead(source: Source, inspection: Inspection) -> Iterator[Ahead | None]:
    """Read the first bytes of DATA beside the ``with`` block, and never behind it; None where that is no help."""
    ahead = _begun(source, inspection) if THREADS > 1 else None
    try:
        yield ahead
    finally:
        if ahead is not None and not ahead.read.cancel():
            wait([ahead.read])  # nobody may read on when the file is closed; who wants these bytes has seen the error


def _begun(source: Source, inspection: Inspection) -> Ahead | None:
    try:
        data = parse_header(source.peek(0, HEADER_BYTES), inspection).data
    except FCSError:
        return None  # refused with its reason when it is read
    if data is None or data.begin < HEADER_BYTES or data.size < AHEAD_BYTES or data.end >= source.size:
        return None
    return Ahead(source, data.begin, data.size, inspection)
