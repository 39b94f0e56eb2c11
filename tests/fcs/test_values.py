"""DATA that no instrument wrote: every fault made on a good file and seen."""

from __future__ import annotations

import binascii
import hashlib
import pickle
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from treg_gating import FCSError, Sample
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.plausibility import longest_zero_run, run_limit
from treg_gating.fcs.repeats import Repeats, are_neighbours, fingerprints, telling_words
from treg_gating.fcs.segment import Data

Build, Read = Callable[..., bytes], Callable[..., Sample]


def code_of(read: Read, raw: bytes, **kwargs: object) -> str:
    with pytest.raises(FCSError) as caught:
        read(raw, **kwargs)
    return caught.value.code


def codes(sample: Sample) -> set[str]:
    return {warning.code for warning in sample.warnings}


@pytest.fixture(
    params=[None, 320, 1280],
    ids=["default", "chunks of 16 events", "chunks of 64 events"],
)
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", request.param)


@pytest.mark.usefixtures("_chunks")
class TestWhateverTheChunks:
    """Faults are seen across the borders of chunks too, and whichever channels are asked for."""

    @pytest.mark.parametrize("first", [0, 7, 100, 184])
    @pytest.mark.parametrize("channels", [None, ["FL1-A"]])
    def test_zero_run(self, read: Read, build: Build, floats: np.ndarray, first: int, channels: list[str]) -> None:
        floats[first : first + 15] = 0
        floats[:, 4] = np.where(floats[:, 0] == 0, 0, np.arange(200))
        assert read(build(floats), channels=channels).n_events == 200
        floats[first : first + 16] = 0
        assert code_of(read, build(floats), channels=channels) == "E_ZERO_RUN"

    @pytest.mark.parametrize("channels", [None, ["FL1-A"], ["Time", "FSC-A"]])
    def test_repeated_block(self, read: Read, build: Build, floats: np.ndarray, channels: list[str]) -> None:
        floats[:, 4] = 7  # without a clock that would show it
        floats[120:180] = floats[20:80]
        assert code_of(read, build(floats), channels=channels) == "E_REPEATED"

    def test_same_bytes_whatever_is_asked_for(self, read: Read, build: Build, floats: np.ndarray) -> None:
        whole = read(build(floats))
        some = read(build(floats), channels=["Time", "FL2-A"])
        np.testing.assert_array_equal(some.events, whole.events[:, [4, 3]])
        assert some.channel_names == ("Time", "FL2-A")
        assert some.sha256 == whole.sha256

    def test_all_channels_in_another_order(self, read: Read, build: Build, floats: np.ndarray) -> None:
        names = ["Time", "SSC-A", "FL2-A", "FSC-A", "FL1-A"]
        np.testing.assert_array_equal(
            read(build(floats), channels=names).events, read(build(floats)).events[:, [4, 1, 3, 0, 2]]
        )

    def test_time_backwards(self, read: Read, build: Build, floats: np.ndarray) -> None:
        floats[:, 4] = np.arange(200)
        floats[64:, 4] -= 60
        assert codes(read(build(floats))) == {"W_TIME"}
        assert codes(read(build(floats), channels=["FSC-A"])) == {"W_TIME"}
        floats[:, 4] = floats[::-1, 4]
        assert code_of(read, build(floats), channels=["FSC-A"]) == "E_TIME"


@pytest.mark.parametrize("shift", [1, 2, 3, 4, 20, 400])
@pytest.mark.parametrize("padding", [b"", b"        "])
def test_shifted_window(read: Read, build: Build, floats: np.ndarray, shift: int, padding: bytes) -> None:
    """HEADER and TEXT agree, the size is right, the window lies `shift` bytes late or early."""
    raw = build(floats, tail=b"\0" * 400)
    at = raw.rindex(b"$BEGINDATA/") + 11
    begin = int(raw[at : at + 8])
    late = b"%8d" % (begin + len(padding) + shift), b"%8d" % (begin + len(padding) + shift + 3999)
    moved = raw[:26] + late[0] + late[1] + raw[42:at] + late[0] + b"/$ENDDATA/" + late[1] + raw[at + 26 : begin]
    assert code_of(read, moved + padding + raw[begin:]) in {"E_OFFSETS", "E_VALUES", "E_TIME"}


@pytest.mark.parametrize("order", ["1,2,3,4", "4,3,2,1"])
def test_wrong_byte_order(read: Read, build: Build, floats: np.ndarray, order: str) -> None:
    other = {"1,2,3,4": "4,3,2,1", "4,3,2,1": "1,2,3,4"}[order]
    assert read(build(floats, BYTEORD=order)).warnings == ()
    assert code_of(read, build(floats, BYTEORD=order).replace(order.encode(), other.encode())) == "E_VALUES"
    whole = np.round(floats)
    assert code_of(read, build(whole, BYTEORD=order).replace(order.encode(), other.encode())) == "E_VALUES"


@pytest.mark.parametrize(("value", "code"), [(np.nan, "W_NONFINITE"), (np.inf, "W_NONFINITE"), (3e38, "W_MAGNITUDE")])
def test_single_odd_value(read: Read, build: Build, floats: np.ndarray, value: float, code: str) -> None:
    floats[9, 2] = value
    sample = read(build(floats))
    assert codes(sample) == {code}
    np.testing.assert_array_equal(sample.events[:, :4], floats[:, :4])


@pytest.mark.parametrize("event", [0, 1, 40_001, 65_535, 65_539])
@pytest.mark.parametrize(
    ("value", "code"), [(np.nan, "W_NONFINITE"), (-np.inf, "W_NONFINITE"), (-2e15, "W_MAGNITUDE"), (9e14, None)]
)
def test_an_odd_value_that_no_sample_holds(
    read: Read, build: Build, rng: np.random.Generator, event: int, value: float, code: str | None
) -> None:
    events = rng.lognormal(6, 1, (65_540, 5)).astype("f4")
    events[:, 4] = np.arange(len(events))
    events[event, 2] = value
    assert codes(read(build(events))) == ({code} if code else set())


@pytest.mark.parametrize("event", [None, 1, 40_001, 65_539])
def test_one_value_that_differs_and_no_sample_holds(
    read: Read, build: Build, rng: np.random.Generator, event: int | None
) -> None:
    events = rng.lognormal(6, 1, (65_540, 5)).astype("f4")
    events[:, 4] = np.arange(len(events))
    events[:, 2] = 0
    if event is not None:
        events[event, 2] = 1
    assert codes(read(build(events))) == (set() if event is not None else {"W_CONSTANT"})


def test_channel_of_nan(read: Read, build: Build, floats: np.ndarray) -> None:
    floats[:, 3] = np.nan
    assert code_of(read, build(floats)) == "E_VALUES"
    assert code_of(read, build(floats), channels=["FL2-A"]) == "E_VALUES"


def test_dead_channel_and_dead_file(read: Read, build: Build, floats: np.ndarray) -> None:
    floats[:, 2] = 7
    assert codes(read(build(floats))) == {"W_CONSTANT"}
    floats[:] = floats[0]
    assert code_of(read, build(floats)) == "E_REPEATED"


def test_events_alike_but_for_time_are_no_repeat(read: Read, build: Build, floats: np.ndarray) -> None:
    floats[100:, :4] = floats[:100, :4]
    floats[:, 4] = np.arange(200)
    assert read(build(floats)).warnings == ()


@pytest.mark.parametrize("cut", [1, 8, 20, 3999])
def test_missing_end(read: Read, build: Build, floats: np.ndarray, cut: int) -> None:
    assert code_of(read, build(floats)[:-cut]) == "E_TRUNCATED"


def test_checksum(read: Read, build: Build, floats: np.ndarray) -> None:
    raw = build(floats)
    right = raw + b"%08d" % binascii.crc_hqx(raw, 0)
    assert read(right).warnings == ()
    for bit in (20, 400, 30_000):
        broken = bytearray(right)
        broken[-9 - bit // 8] ^= 1 << bit % 8
        assert code_of(read, bytes(broken), digest=False) == "E_CRC"
    assert code_of(read, right[:-1] + b"%d" % ((right[-1] - 47) % 10)) == "E_CRC"
    assert codes(read(raw + b"99999999")) == {"W_CRC"}


def test_bytes_behind_the_end_are_named(read: Read, build: Build, floats: np.ndarray) -> None:
    assert codes(read(build(floats, tail=b"rubbish, rubbish"))) == {"W_GAP"}
    assert codes(read(build(floats, tail=b"00000000" + b"\0" * 5000))) == set()


def test_no_events_but_data(read: Read, build: Build, floats: np.ndarray) -> None:
    empty = build(floats[:0])
    assert read(empty).n_events == 0
    assert read(empty + b"00000000").n_events == 0
    assert code_of(read, empty + floats.tobytes()) == "E_COUNT"


@pytest.mark.parametrize(
    ("ones", "carried", "expected"),
    [
        ("", 0, (0, 0)), ("0110", 0, (2, 0)), ("011", 0, (2, 2)), ("110", 3, (5, 0)), ("111", 2, (5, 5)),
        ("0", 4, (4, 0)),
    ],
)  # fmt: skip
def test_longest_zero_run(ones: str, carried: int, expected: tuple[int, int]) -> None:
    assert longest_zero_run(np.array([c == "1" for c in ones], bool), carried) == expected


@pytest.mark.parametrize("event_bytes", [4, 72, 240, 300, 1000, 4000])
def test_a_lost_page_is_always_long_enough(event_bytes: int) -> None:
    """However 4 KiB of zeros fall onto events, they blank as many as are refused (two, where events are wide)."""
    blank = min((4096 - offset) // event_bytes for offset in range(event_bytes))
    assert run_limit(event_bytes) <= max(blank, 2)


def with_repeat(rng: np.random.Generator, length: int) -> np.ndarray:
    """Fingerprints of 2,000 events, `length` of them written twice somewhere."""
    prints = rng.integers(0, 2**64, 2000, dtype=np.uint64)
    first = rng.integers(0, 2001 - 2 * length)
    second = rng.integers(first + length, 2001 - length)
    prints[second : second + length] = prints[first : first + length]
    return prints


@pytest.mark.parametrize("length", [15, 16, 17, 40, 64, 200])
def test_repeats_are_found_wherever_they_lie(rng: np.random.Generator, length: int) -> None:
    """One event in eight is an anchor, and one anchor is enough, at whatever end of the repeat."""
    found = 0
    for _ in range(200):
        prints = with_repeat(rng, length)
        repeats = Repeats(2000, 16)
        for at in (500, 0, 1500, 1000):
            repeats.add(at, prints[at : at + 500])
        pairs = repeats.candidates()
        assert all((prints[i : i + 16] == prints[j : j + 16]).all() for i, j in pairs)
        found += bool(pairs)
    share = 0 if length < 16 else 1 - (7 / 8) ** length
    assert abs(found - 200 * share) <= 4 * np.sqrt(200 * share * (1 - share)) + 1e-9


@pytest.mark.parametrize("channels", [1, 2, 5, 18, 19])
@pytest.mark.parametrize("alike", [False, True])
def test_equal_fingerprints_of_equal_events_and_none_of_an_empty_one(
    rng: np.random.Generator, channels: int, alike: bool
) -> None:
    events = rng.lognormal(6, 1, (1000, channels)).astype("f4")
    if alike:
        events = np.round(events / 200)
    events[600:900] = events[100:400]
    events[950] = 0
    rows = events.view(np.uint8)
    words = telling_words(rows)
    assert are_neighbours(words) == (channels > 1 and not alike) or channels == 2
    prints = fingerprints(rows, words)
    np.testing.assert_array_equal(prints[600:900], prints[100:400])
    assert prints[950] == 0
    assert len(np.unique(prints)) == len(np.unique(events[:, list(words)], axis=0))


@pytest.mark.parametrize("clock", [0, 1, 2, 4])
def test_time_is_kept_from_the_words_that_are_read_for_the_fingerprint(rng: np.random.Generator, clock: int) -> None:
    events = rng.lognormal(6, 1, (1000, 5)).astype("f4")
    rows = events.view(np.uint8)
    words = telling_words(rows, clock)
    assert clock in words
    assert are_neighbours(words)
    kept = np.empty(1000, "f4")
    prints = fingerprints(rows, words, (words.index(clock), kept))
    np.testing.assert_array_equal(kept, events[:, clock])
    np.testing.assert_array_equal(prints, fingerprints(rows, words))
    coarse = events.copy()
    coarse[:, clock] = 1  # it tells nothing: two others do
    assert clock not in telling_words(coarse.view(np.uint8), clock)
    coarse[100:, clock] = 2  # ticks that many events share are enough beside a word that is another in each
    words = telling_words(coarse.view(np.uint8), clock)
    assert clock in words
    assert are_neighbours(words)


@pytest.mark.parametrize("ticks", ["shared", "apart"])
@pytest.mark.parametrize("names", [("FSC-A", "FL1-A", "FL2-A", "Time"), ("Time", "FL1-A", "FL2-A", "FSC-A")])
def test_scaled_in_its_place_as_by_hand(
    read: Read,
    build: Build,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    ticks: str,
    names: tuple[str, ...],
) -> None:
    """Time and gain, with the hash and without, whatever words the fingerprint is made of."""
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 1 << 18)
    n = 80_000  # several chunks, and a thread for the hash
    events = rng.lognormal(6, 1, (n, len(names))).astype("f4")
    events[:, names.index("Time")] = np.arange(n) if ticks == "apart" else np.arange(n) // 30
    raw = build(events, names=names, P2G="3", TIMESTEP="0.013")
    wanted = events.astype("f8")
    wanted[:, names.index("Time")] *= 0.013
    wanted[:, 1] /= 3
    for digest in (True, False):
        sample = read(raw, digest=digest)
        np.testing.assert_array_equal(sample.events, wanted.astype("f4"))
    assert read(raw).sha256 == hashlib.sha256(raw).hexdigest()
    assert read(raw, digest=False, checksum=True).crc32 == f"{binascii.crc32(raw):08x}"


@pytest.mark.parametrize("thread", [True, False])
def test_bytes_that_were_judged_are_read_as_before_and_not_warned_of(
    read: Read, build: Build, floats: np.ndarray, monkeypatch: pytest.MonkeyPatch, thread: bool
) -> None:
    """The checksum is of the file although Time is scaled in its place; the header is looked at all the same."""
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 400)
    monkeypatch.setattr("treg_gating.fcs.digest.ALONE", 0 if thread else 1 << 30)
    floats[50:100, -1] = floats[:50, -1]
    raw = build(floats, tail=b"rubbish, rubbish")
    first, again = (read(raw, digest=False, checksum=True, judged=judged) for judged in (False, True))
    assert (codes(first), codes(again)) == ({"W_TIME", "W_GAP"}, {"W_GAP"})
    assert again.crc32 == first.crc32 == f"{binascii.crc32(raw):08x}"
    np.testing.assert_array_equal(again.events, first.events)


def test_no_repeat_in_random_events(rng: np.random.Generator) -> None:
    repeats = Repeats(300_000, 16)
    repeats.add(0, rng.integers(0, 2**64, 300_000, dtype=np.uint64))
    assert repeats.candidates() == []


def test_repeat_among_dead_channels(read: Read, build: Build, floats: np.ndarray) -> None:
    floats[:, [0, 2, 4]] = 5
    assert codes(read(build(floats))) == {"W_CONSTANT"}
    floats[100:, [1, 3]] = floats[:100, [1, 3]]
    assert code_of(read, build(floats)) == "E_REPEATED"


def test_looking_alike_is_no_repeat(read: Read, build: Build, rng: np.random.Generator) -> None:
    """Fingerprints look at three channels; what they take for a repeat is compared in full."""
    names = tuple(f"c{i}" for i in range(8))
    events = rng.normal(500, 50, (2000, 8))
    events[1000:, :4] = events[:1000, :4]
    events[1000:, 4:] = np.where(rng.random((1000, 4)) < 0.01, 7, events[:1000, 4:])
    events[::7, 7] = np.arange(286)
    assert read(build(events, names=names)).n_events == 2000


def test_floats_stay_as_stored_a_choice_of_them_is_columns_and_both_are_read_only(
    read: Read, build: Build, floats: np.ndarray
) -> None:
    raw = build(floats)
    events = read(raw).events
    assert events.flags.c_contiguous
    assert read(raw, channels=["Time", "FSC-A"]).events.flags.f_contiguous
    with pytest.raises(ValueError, match="read-only"):
        events[0, 0] = 1


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("order", ["1,2,3,4", "4,3,2,1"])
def test_columns_of_a_large_file_whether_in_threads_or_beside_the_hash(
    read: Read, build: Build, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, digest: bool, order: str
) -> None:
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 4000)
    monkeypatch.setattr("treg_gating.fcs.digest.ALONE", 0)
    events = rng.lognormal(6, 1, (20_011, 5)).astype("f4")
    events[:, 4] = np.arange(len(events))
    raw = build(events, BYTEORD=order)
    for names, at in ((["FL2-A", "FSC-A"], [3, 0]), (["Time"], [4])):
        sample = read(raw, channels=names, digest=digest)
        expected = events[:, at].astype("f8") * (0.01 if at == [4] else 1)
        np.testing.assert_array_equal(sample.events, expected.astype("f4"))
        assert sample.sha256 == (hashlib.sha256(raw).hexdigest() if digest else "")
    events[15_000:15_016] = 0
    assert code_of(read, build(events, BYTEORD=order), channels=["FSC-A"], digest=digest) == "E_ZERO_RUN"


@pytest.mark.parametrize("clock", [0, 4])
def test_time_that_tells_events_apart_is_looked_at_like_any_other(
    read: Read, build: Build, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, clock: int
) -> None:
    """It is taken from the fingerprints then, whatever the threads."""
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 4000)
    names = ("FSC-A", "FL1-A", "FL2-A", "FL3-A")
    names = (*names[:clock], "Time", *names[clock:])
    events = rng.lognormal(6, 1, (20_000, 5)).astype("f4")
    events[:, clock] = np.arange(len(events))
    sample = read(build(events, names), digest=False)
    assert not sample.warnings
    np.testing.assert_array_equal(sample.events[:, clock], (events[:, clock].astype("f8") * 0.01).astype("f4"))
    events[[100, 5000, 12_799, 12_800, 19_999], clock] -= 60
    sample = read(build(events, names), digest=False)
    assert [warning.code for warning in sample.warnings] == ["W_TIME"]
    assert "backwards 4 times" in str(sample.warnings[0])
    events[8000:8064] = events[3000:3064]
    assert code_of(read, build(events, names), digest=False) == "E_REPEATED"
    events[3000:10_000, clock] = np.arange(7000)[::-1]
    assert code_of(read, build(events, names), digest=False) == "E_TIME"


def test_an_error_in_a_thread_ends_the_other_and_is_told(
    read: Read, build: Build, floats: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 320)
    monkeypatch.setattr("treg_gating.threads.THREADS", 2)
    read(build(floats), digest=False)  # the second thread is kept
    taken = []

    def fill(data: Data, first: int, last: int, view: memoryview, inspection: Inspection) -> None:
        taken.append(first)
        if threading.current_thread() is not threading.main_thread():
            inspection.refuse("E_CHANGED", "the file became shorter while it was read")
        time.sleep(0.02)  # so that the other has its turn

    monkeypatch.setattr(Data, "fill", fill)
    before = threading.active_count()
    assert code_of(read, build(floats), digest=False) == "E_CHANGED"
    assert len(taken) < len(floats) // 16
    assert threading.active_count() <= before


def test_a_kept_error_keeps_no_thread(
    read: Read, build: Build, floats: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 320)
    before = threading.active_count()
    floats[40:80] = 0
    with pytest.raises(FCSError, match="E_ZERO_RUN") as caught:
        read(build(floats))
    assert threading.active_count() <= before  # a hash of the test before may have ended meanwhile
    assert caught.value.__traceback__ is not None


def test_the_hash_beside_is_that_of_the_file_although_time_is_scaled_in_its_place(
    read: Read, build: Build, floats: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 400)
    monkeypatch.setattr("treg_gating.fcs.digest.ALONE", 0)
    raw = build(floats, tail=b"00000000" + b"\0" * 5000)
    sample = read(raw)
    assert sample.sha256 == hashlib.sha256(raw).hexdigest()
    np.testing.assert_array_equal(sample.events[:, :-1], floats[:, :-1])
    np.testing.assert_array_equal(sample.events[:, -1], (floats[:, -1].astype("f8") * 0.01).astype("f4"))
    assert pickle.loads(pickle.dumps(sample)).sha256 == sample.sha256
