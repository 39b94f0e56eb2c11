"""Repeats within a tick of the clock, where Time never runs backwards."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tests.fcs.test_values import Build, Read, code_of
from treg_gating.fcs.ticks import FARTHEST, Ticks, ticking_words

NAMES = ("FSC-A", "FL1-A", "FL2-A", "Time")


def ticking(rng: np.random.Generator, n: int, shared: int) -> np.ndarray:
    """Events of which so many share a tick."""
    events = rng.lognormal(6, 1, (n, len(NAMES))).astype("f4")
    events[:, -1] = np.arange(n) // shared
    return events


def candidates(
    events: np.ndarray, in_turn: int = 992, seeks: np.random.Generator | None = None
) -> list[tuple[int, int]] | None:
    """Of events that come `in_turn`; or in any order, looked through between while more are missing, for `seeks`."""
    rows = events.view(np.uint8)
    words = ticking_words(rows[:256], 3, 16)
    assert words is not None
    ticks = Ticks(len(events), 16, *words)
    time = np.empty(len(events), "f4")
    starts = np.arange(0, len(events), in_turn)
    for at in starts if seeks is None else seeks.permutation(starts):
        telling = ticks.take(int(at), rows[at : at + in_turn], time[at : at + in_turn])
        assert telling.all()
        if seeks is not None:
            ticks.seek()
    np.testing.assert_array_equal(time, events[:, -1])
    return ticks.candidates(time)


@pytest.mark.parametrize("shared", [40, 60])
def test_every_repeat_of_sixteen_events_within_a_tick_is_found(rng: np.random.Generator, shared: int) -> None:
    for _ in range(100):
        events = ticking(rng, 3000, shared)
        begin = shared * int(rng.integers(0, 3000 // shared))
        first = begin + int(rng.integers(0, shared - 32 + 1))
        second = int(rng.integers(first + 16, begin + shared - 16 + 1))
        assert candidates(events) == []
        events[second : second + 16] = events[first : first + 16]
        found = candidates(events)
        assert found is not None
        assert (first, second) in found


def test_nothing_is_overlooked_however_many_look_and_in_whatever_order(rng: np.random.Generator) -> None:
    for _ in range(60):
        events = ticking(rng, 3000, 50)
        begin = 50 * int(rng.integers(0, 60))
        first = begin + int(rng.integers(0, 18))
        second = int(rng.integers(first + 16, begin + 34 + 1))
        assert candidates(events, 208, rng) == []
        events[second : second + 16] = events[first : first + 16]
        found = candidates(events, 208, rng)
        assert found is not None
        assert (first, second) in found


def test_of_two_repeats_the_first_is_named_whoever_found_it(rng: np.random.Generator) -> None:
    events = ticking(rng, 3000, 60)
    events[2480 : 2480 + 16] = events[2463 : 2463 + 16]  # nearer to each other, and so found by the first comparison
    events[160:176] = events[121:137]
    for seeks in (None, rng, rng, rng):
        found = candidates(events, 208, seeks)
        assert found is not None
        assert found == candidates(events)
        alike = [(i, j) for i, j in found if np.array_equal(events[i : i + 16], events[j : j + 16])]
        assert alike[0] == (121, 160)


def test_marks_that_are_all_alike_take_no_memory_before_they_are_given_up(rng: np.random.Generator) -> None:
    events = ticking(rng, 300_000, 60)
    rows = events.view(np.uint8)
    words = ticking_words(rows[:256], 3, 16)
    assert words is not None
    events[256:, 2] = 1
    ticks = Ticks(len(events), 16, *words)
    time = np.empty(len(events), "f4")
    ticks.take(0, rows, time)
    tracemalloc.start()
    assert ticks.candidates(time) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(events)


def test_pieces_that_would_let_repeats_be_overlooked_are_not_taken(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="no multiple of 16"):
        candidates(ticking(rng, 3000, 40), 1000)


@pytest.mark.parametrize("shared", [1, 16])
def test_no_two_runs_fit_into_a_short_tick(rng: np.random.Generator, shared: int) -> None:
    assert candidates(ticking(rng, 3000, shared)) == []


def test_long_ticks_and_marks_that_are_alike_are_left_to_fingerprints(rng: np.random.Generator) -> None:
    events = ticking(rng, 3000, 30)
    events[1000 : 1020 + FARTHEST, -1] = events[1000, -1]
    events[1020 + FARTHEST :, -1] += 1e6
    assert candidates(events) is None
    events = ticking(rng, 20_000, 60)
    events[256:, 2] = 1
    assert candidates(events) is None
    events[:, [2, 3]] = 1
    assert ticking_words(events.view(np.uint8)[:256], 3, 16) is None


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("shared", [1, 40, 1000])
def test_a_repeat_is_refused_however_time_goes(
    read: Read,
    build: Build,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    shared: int,
    backwards: bool,
    digest: bool,
) -> None:
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 4000)
    events = ticking(rng, 8000, shared)
    if backwards:
        events[4000:, -1] -= 1000
    sample = read(build(events, NAMES), digest=digest)
    assert [warning.code for warning in sample.warnings] == ["W_TIME"] * backwards
    if backwards or shared == 1:
        events[6000:6064] = events[100:164]
    else:
        events[2020:2036] = events[2002:2018]
    assert code_of(read, build(events, NAMES), digest=digest) == "E_REPEATED"
