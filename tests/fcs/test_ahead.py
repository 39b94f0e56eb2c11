"""Bytes of DATA that are read before TEXT is understood: the same events, verdicts and warnings as without them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treg_gating import FCSError
from treg_gating.fcs import ahead, open_fcs, read_fcs
from treg_gating.fcs.ahead import Ahead
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.source import Source
from treg_gating.fcs.writer import write_fcs
from treg_gating.sample import Channel

SIZE = 100_003  # bytes read ahead here: neither whole events nor whole chunks
N = 20_000
Reads = list[tuple[int, int]]


@pytest.fixture(autouse=True)
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Where something was read into events, and how many bytes."""
    monkeypatch.setattr(ahead, "AHEAD_BYTES", SIZE)
    monkeypatch.setattr(ahead, "PATIENCE", 5.0)
    monkeypatch.setattr(ahead, "THREADS", 2)
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 60_000)
    seen: Reads = []
    fill = Source.fill

    def counted(self: Source, offset: int, view: memoryview, inspection: Inspection) -> None:
        seen.append((offset, len(view)))
        fill(self, offset, view, inspection)

    monkeypatch.setattr(Source, "fill", counted)
    return seen


@pytest.fixture
def tube(tmp_path: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    """A file, and what is in it."""
    rng = np.random.default_rng(3)
    events = rng.lognormal(5, 1, (N, 4)).astype(np.float32)
    events[:, 3] = np.arange(N) // 20
    path = tmp_path / "a.fcs"
    write_fcs(path, events, [Channel("A", ""), Channel("B", ""), Channel("C", ""), Channel("Time", "")], timestep=0.5)
    return path, events


def test_every_byte_is_read_once(tube: tuple[Path, np.ndarray[Any, Any]], reads: Reads) -> None:
    path, events = tube
    sample = read_fcs(path, digest=False)
    np.testing.assert_array_equal(sample.events, events)
    assert reads[0][1] == SIZE
    assert sum(length for _, length in reads) == events.nbytes
    ends = [begin + length for begin, length in sorted(reads)]
    assert [begin for begin, _ in sorted(reads)][1:] == ends[:-1]


def test_nothing_is_read_ahead_for_some_channels_or_the_header(
    tube: tuple[Path, np.ndarray[Any, Any]], reads: Reads
) -> None:
    path, events = tube
    with open_fcs(path):
        pass
    assert not reads
    np.testing.assert_array_equal(read_fcs(path, channels=["B"], digest=False).events[:, 0], events[:, 1])
    assert SIZE not in {length for _, length in reads}


@pytest.mark.parametrize("by", [-16, 16])
def test_header_that_puts_data_elsewhere_is_judged_as_ever(
    tube: tuple[Path, np.ndarray[Any, Any]], by: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = tube
    raw = bytearray(path.read_bytes())
    for at in (26, 34):
        raw[at : at + 8] = b"%8d" % (int(raw[at : at + 8]) + by)
    path.write_bytes(raw)
    found = _verdict(path)
    monkeypatch.setattr(ahead, "THREADS", 1)
    assert found == _verdict(path)
    assert found.startswith("E_OFFSETS" if by < 0 else "W_TEXT_OFFSETS")


def _verdict(path: Path) -> str:
    try:
        sample = read_fcs(path)
    except FCSError as error:
        return f"{error.code} {error}"
    return " ".join([*(f"{warning.code} {warning}" for warning in sample.warnings), repr(sample.events.tobytes())])


def test_other_memory_is_taken_where_data_is_not_what_header_says(
    tube: tuple[Path, np.ndarray[Any, Any]],
) -> None:
    path, events = tube
    raw = path.read_bytes()
    inspection = Inspection(str(path))
    source = Source(os.open(path, os.O_RDONLY), len(raw))
    try:
        begun = Ahead(source, int(raw[26:34]), events.nbytes, inspection)
        begun.read.result()
        kind = np.dtype(np.float32)
        assert begun.claim(int(raw[26:34]) + 4, events.shape, kind) is None
        assert begun.claim(int(raw[26:34]), (N + 1, 4), kind) is None
        assert begun.claim(int(raw[26:34]), (100, 4), kind) is None
        assert begun.claim(int(raw[26:34]), events.shape, kind) is not None
    finally:
        os.close(source.fd)


def test_file_that_shrinks_meanwhile_is_refused(
    tube: tuple[Path, np.ndarray[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = tube
    begin: Callable[..., Ahead | None] = ahead._begun

    def cut(source: Source, inspection: Inspection) -> Ahead | None:
        os.truncate(path, 50_000)
        return begin(source, inspection)

    monkeypatch.setattr(ahead, "_begun", cut)
    with pytest.raises(FCSError) as found:
        read_fcs(path)
    assert found.value.code == "E_CHANGED"


def test_a_busy_thread_is_not_waited_for(
    tube: tuple[Path, np.ndarray[Any, Any]], monkeypatch: pytest.MonkeyPatch, reads: Reads
) -> None:
    path, events = tube
    claim = Ahead.claim

    def late(self: Ahead, *arguments: Any) -> Any:
        monkeypatch.setattr(self.read, "cancel", lambda: True)
        self.read.result()
        return claim(self, *arguments)

    monkeypatch.setattr(Ahead, "claim", late)
    np.testing.assert_array_equal(read_fcs(path, digest=False).events, events)
    assert sum(length for _, length in reads) == events.nbytes + SIZE
