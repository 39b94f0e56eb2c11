"""Events that are handed on while they are read are those that the sample holds."""

from __future__ import annotations

import binascii
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fcs.conftest import NAMES
from tests.fcs.test_values import Build
from treg_gating import FCSError
from treg_gating.fcs import open_fcs, read_fcs, read_header
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.passing import in_turn
from treg_gating.fcs.segment import Data

N = 8000


class Collected:
    """All events that passed, by their numbers."""

    def __init__(self, channels: Collection[str], shape: tuple[int, int]) -> None:
        self.channels = channels
        self.events = np.full(shape, np.nan)
        self.times = np.zeros(shape[0], int)

    def take(self, first: int, events: np.ndarray) -> None:
        self.events[first : first + len(events)] = events
        self.times[first : first + len(events)] += 1


@pytest.fixture(params=[4000, 1 << 20], ids=["many chunks", "one chunk"])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", request.param)


@pytest.fixture(params=[0, 1 << 30], ids=["hash beside", "hash at once"])
def _hash(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treg_gating.fcs.digest.ALONE", request.param)


@pytest.fixture
def raw(build: Build, rng: np.random.Generator) -> bytes:
    events = rng.lognormal(6, 1, (N, len(NAMES))).astype("f4")
    events[:, -1] = np.arange(N)
    return build(events, P3G="2")


def test_all_that_look_in_turn_are_handed_all_events(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.fcs"
    path.write_bytes(raw)
    looking = [Collected(NAMES[:2], (N, len(NAMES))), Collected(NAMES[1:], (N, len(NAMES)))]
    with open_fcs(path) as file:
        file.read(passing=in_turn(None, *looking))
    assert set(in_turn(*looking).channels) == set(NAMES)
    assert in_turn(None) is None
    for each in looking:
        np.testing.assert_array_equal(each.events, read_fcs(path).events)


@pytest.mark.usefixtures("_chunks", "_hash")
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("keep", [True, False])
def test_events_pass_once_each_and_as_they_are(
    tmp_path: Path, raw: bytes, checksum: bool, judged: bool, keep: bool
) -> None:
    path = tmp_path / "x.fcs"
    path.write_bytes(raw)
    passing = Collected(NAMES, (N, len(NAMES)))
    with open_fcs(path) as file:
        if keep:
            sample = file.read(digest=False, checksum=checksum, judged=judged, passing=passing)
        else:
            sample, _ = file.pass_on(passing, digest=False, checksum=checksum, judged=judged)
    whole = read_fcs(path)
    assert (passing.times == 1).all()
    np.testing.assert_array_equal(passing.events, whole.events)
    assert sample.crc32 == (f"{binascii.crc32(raw):08x}" if checksum else "")
    assert (sample.channels, sample.n_events, sample.keywords) == (whole.channels, N, whole.keywords)
    if keep:
        np.testing.assert_array_equal(sample.events, whole.events)
    else:
        assert np.isnan(sample.events).all()
        assert sample.events.strides == (0, 0), "it takes no memory"


@pytest.mark.usefixtures("_chunks")
def test_what_nobody_looks_at_need_not_be_scaled(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.fcs"
    path.write_bytes(raw)
    passing = Collected(NAMES[:3], (N, len(NAMES)))
    with open_fcs(path) as file:
        _, nothing = file.pass_on(passing, judged=True)
    np.testing.assert_array_equal(passing.events[:, :3], read_fcs(path).events[:, :3])
    assert nothing is None


@pytest.mark.usefixtures("_chunks", "_hash")
@pytest.mark.parametrize("looked_at", [NAMES, NAMES[:3], NAMES[1:2]], ids=["all", "without Time", "without gain"])
@pytest.mark.parametrize("how", [{}, {"TIMESTEP": "1"}, {"BYTEORD": "4,3,2,1"}], ids=["scaled", "seconds", "columns"])
def test_events_are_kept_as_they_passed_and_time_in_seconds_apart(
    tmp_path: Path, build: Build, rng: np.random.Generator, looked_at: tuple[str, ...], how: dict[str, str]
) -> None:
    events = rng.lognormal(6, 1, (N, len(NAMES))).astype("f4")
    events[:, -1] = np.arange(N) // 3
    path = tmp_path / "x.fcs"
    path.write_bytes(build(events, P3G="2", **{"TIMESTEP": ".013", **how}))
    whole = read_fcs(path)
    passing = Collected(looked_at, (N, len(NAMES)))
    with open_fcs(path) as file:
        sample, stored = file.pass_on(passing)
    assert np.isnan(sample.events).all(), "no sample holds values that are not what they look like"
    assert sample.sha256 == whole.sha256
    assert stored is not None
    assert stored.seconds is not None
    np.testing.assert_array_equal(stored.seconds, whole.column("Time"))
    assert stored.values.dtype == stored.seconds.dtype == whole.events.dtype
    at = [NAMES.index(name) for name in looked_at]
    np.testing.assert_array_equal(stored.values[:, at], whole.events[:, at])
    np.testing.assert_array_equal(passing.events[:, at], whole.events[:, at])
    clock, native = NAMES.index("Time"), "BYTEORD" not in how
    in_place = whole.events[:, clock] if clock in at or not native else events[:, clock]
    np.testing.assert_array_equal(stored.values[:, clock], in_place)
    assert stored.extremes is not None
    least, most = stored.extremes.by_part(len(NAMES))
    np.testing.assert_array_equal(least.min(axis=0)[at], whole.events[:, at].min(axis=0))
    np.testing.assert_array_equal(most.max(axis=0)[at], whole.events[:, at].max(axis=0))


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -2e15, 3e38, 9e14, -9e14])
@pytest.mark.parametrize("looked_at", [NAMES, NAMES[1:2]], ids=["scaled", "as stored"])
def test_odd_values_are_told_of_events_that_pass_as_of_those_that_are_read(
    tmp_path: Path, build: Build, rng: np.random.Generator, value: float, looked_at: tuple[str, ...]
) -> None:
    events = rng.lognormal(6, 1, (N, len(NAMES))).astype("f4")
    events[:, -1] = np.arange(N)
    events[N // 3, 1] = value
    path = tmp_path / "x.fcs"
    path.write_bytes(build(events, P3G="2"))
    with open_fcs(path) as file:
        sample, _ = file.pass_on(Collected(looked_at, (N, len(NAMES))))
    told = [str(warning) for warning in read_fcs(path).warnings]
    assert [str(warning) for warning in sample.warnings] == told
    assert bool(told) == (abs(value) != 9e14)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("more", [{"BYTEORD": "4,3,2,1"}, {"P1G": "3", "P2G": "2", "P4G": "5"}])
@pytest.mark.parametrize("channels", [None, ["FL2-A", "FSC-A"]])
def test_columns_pass_as_events(
    tmp_path: Path, build: Build, rng: np.random.Generator, more: dict[str, Any], channels: list[str] | None
) -> None:
    events = rng.lognormal(6, 1, (N, len(NAMES))).astype("f4")
    events[:, -1] = np.arange(N)
    path = tmp_path / "x.fcs"
    path.write_bytes(build(events, **more))
    whole = read_fcs(path, channels=channels)
    passing = Collected(whole.channel_names, whole.events.shape)
    with open_fcs(path) as file:
        file.read(channels, digest=False, passing=passing)
    assert (passing.times == 1).all()
    np.testing.assert_array_equal(passing.events, whole.events)


def test_numbers_written_as_text_pass_too(tmp_path: Path, build: Build) -> None:
    data = b"".join(b"%4d%4d" % (100 + i, i) for i in range(50))
    empty = build(np.empty((0, 2), "f4"), ("FSC-A", "Time"), TOT="50", DATATYPE="A", P1B="4", P2B="4", P1R="4096")
    begin = len(empty)
    raw = empty.replace(b"%8d" % (begin - 1), b"%8d" % (begin + len(data) - 1)) + data
    raw = raw[:18] + b"%8d" % (begin - 1) + raw[26:]  # the end of TEXT is where it was
    path = tmp_path / "x.fcs"
    path.write_bytes(raw)
    whole = read_fcs(path, ascii=True)
    passing = Collected(("FSC-A",), (50, 2))
    with open_fcs(path, ascii=True) as file:
        file.read(passing=passing)
    np.testing.assert_array_equal(passing.events, whole.events)
    np.testing.assert_array_equal(whole.events[:, 0], np.arange(100, 150))


def test_what_is_known_before_the_events(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.fcs"
    path.write_bytes(raw[:-4000])
    with pytest.raises(FCSError, match="E_TRUNCATED"), open_fcs(path):
        pass
    path.write_bytes(raw)
    whole = read_fcs(path)
    with open_fcs(path) as file:
        known, header = file.sample, file.header
    assert header == read_header(path)
    assert (known.channels, known.n_events, known.version) == (whole.channels, N, whole.version)
    assert (known.keywords, known.path, known.state) == (whole.keywords, whole.path, whole.state)
    assert (known.sha256, known.crc32) == ("", "")
    assert np.isnan(known.events).all()


@pytest.mark.parametrize("judged", [True, False])
def test_an_error_of_who_looks_ends_the_reading(
    tmp_path: Path, raw: bytes, monkeypatch: pytest.MonkeyPatch, judged: bool
) -> None:
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 4000)
    monkeypatch.setattr("treg_gating.fcs.digest.ALONE", 0)
    path = tmp_path / "x.fcs"
    path.write_bytes(raw)
    passing = Collected(NAMES, (N // 2, len(NAMES)))  # no room for the others
    fill, reading = Data.fill, [0]

    def slow(data: Data, first: int, last: int, view: memoryview, inspection: Inspection) -> None:
        reading[0] += 1
        time.sleep(0.002)
        fill(data, first, last, view, inspection)
        reading[0] -= 1

    monkeypatch.setattr(Data, "fill", slow)
    with open_fcs(path) as file, pytest.raises(ValueError, match="broadcast"):
        file.pass_on(passing, judged=judged)
    assert reading == [0], "nobody reads on"


@pytest.mark.parametrize(
    ("judged", "beside", "ahead"),
    [(True, True, 0), (True, False, 0), (False, True, 1 << 30), (False, True, 0), (False, False, 1 << 30)],
)
def test_a_file_that_becomes_shorter_is_refused_by_whoever_reads_it(
    tmp_path: Path, raw: bytes, monkeypatch: pytest.MonkeyPatch, judged: bool, beside: bool, ahead: int
) -> None:
    monkeypatch.setattr("treg_gating.fcs.data.READ_FIRST_BYTES", ahead)
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 4000)
    monkeypatch.setattr("treg_gating.fcs.digest.ALONE", 0 if beside else 1 << 30)
    path, fill, readers = tmp_path / "x.fcs", Data.fill, set()
    path.write_bytes(raw)

    def cut(data: Data, first: int, last: int, view: memoryview, inspection: Inspection) -> None:
        readers.add(threading.current_thread() is threading.main_thread())
        if first > N // 2:
            path.write_bytes(raw[: len(raw) // 2])
        fill(data, first, last, view, inspection)

    monkeypatch.setattr(Data, "fill", cut)
    with open_fcs(path) as file, pytest.raises(FCSError, match="E_CHANGED"):
        file.pass_on(Collected(NAMES, (N, len(NAMES))), judged=judged)
    if not (beside and (judged or ahead)):
        assert readers == {True}, "nobody but this thread"
