"""Chunks are read once each, by whoever needs them first, and an error reaches whoever asks for that chunk."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from typing import Any, cast

import numpy as np
import pytest

from treg_gating import FCSError
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.reads import Reads
from treg_gating.fcs.segment import Data

CHUNK, N = 10, 200
STARTS = range(0, N, CHUNK)


class Slow:
    """Stands for DATA: events hold their numbers. Chunks from `fails` on cannot be read."""

    def __init__(self, fails: int = N) -> None:
        self.fails = fails
        self.readers: dict[int, list[int]] = {first: [] for first in STARTS}
        self.reading = threading.Event()

    def fill(self, first: int, last: int, view: memoryview, inspection: Inspection) -> None:
        self.readers[first].append(threading.get_ident())
        self.reading.set()
        time.sleep(0.002)
        if first >= self.fails:
            inspection.refuse("E_CHANGED", "the file became shorter while it was read")
        view[:] = np.arange(first, last, dtype=np.float32).tobytes()


def _opened(data: Slow) -> tuple[Reads, np.ndarray[Any, Any]]:
    events = np.full((N, 1), -1, np.float32)
    reads = Reads(cast("Data", cast("Any", data)), Inspection("x.fcs"))
    for first in STARTS:
        reads.open(first, events[first : first + CHUNK])
    return reads, events


def test_two_threads_read_each_chunk_once() -> None:
    data = Slow()
    reads, events = _opened(data)
    seen: list[bool] = []

    def work() -> None:
        for first in STARTS:
            reads.have(first)
            seen.append(bool((events[first : first + CHUNK, 0] == np.arange(first, first + CHUNK)).all()))

    other = threading.Thread(target=work)
    other.start()
    data.reading.wait(10)
    work()
    other.join(10)
    assert seen == [True] * 2 * len(STARTS), "whoever asks for a chunk finds it whole"
    assert all(len(readers) == 1 for readers in data.readers.values())
    assert len({reader for readers in data.readers.values() for reader in readers}) == 2, "who would wait reads on"


def test_an_error_reaches_who_asks_for_that_chunk_alone() -> None:
    data = Slow(fails=100)
    reads, events = _opened(data)
    reads.have_all()
    reads.have(90)
    assert (events[:100, 0] == np.arange(100)).all()
    with pytest.raises(FCSError, match="E_CHANGED"):
        reads.have(100)


def test_nobody_begins_behind_the_end() -> None:
    data = Slow()
    reads, _ = _opened(data)
    reads.have(0)
    reads.close()
    reads.have_all()
    reads.have(0)
    assert [first for first, readers in data.readers.items() if readers] == [0]


def test_nobody_waits_behind_the_end_for_what_nobody_reads() -> None:
    """As the thread of the hash would that has just taken the next chunk up when the other meets an error."""
    data, called_off = Slow(), threading.Event()
    reads, _ = _opened(data)
    reads.close()

    def ask() -> None:
        with pytest.raises(CancelledError):
            reads.have(0)
        called_off.set()

    other = threading.Thread(target=ask, daemon=True)
    other.start()
    other.join(10)
    assert called_off.is_set()
    assert not any(data.readers.values())


def test_a_thread_beside_reads_ahead() -> None:
    data = Slow()
    reads, events = _opened(data)
    beside = threading.Thread(target=reads.have_all)
    beside.start()
    reads.have(N - CHUNK)
    beside.join(10)
    assert (events[:, 0] == np.arange(N)).all()
    assert all(len(readers) == 1 for readers in data.readers.values())
