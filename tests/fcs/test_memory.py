"""Memory that serves one file after the other: only what nobody holds any more is used again."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from treg_gating import read_fcs, write_fcs
from treg_gating.fcs import memory
from treg_gating.fcs.memory import give_back, leased_empty
from treg_gating.sample import Channel

SHAPE = (memory.SMALLEST // 8 + 100, 2)  # float32: a little more than the smallest block


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> deque[np.ndarray]:
    """No block from tests before."""
    blocks: deque[np.ndarray] = deque(maxlen=2)
    monkeypatch.setattr(memory, "_free", blocks)
    return blocks


def place(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_a_block_is_used_again_when_the_last_view_is_gone(free: deque[np.ndarray]) -> None:
    events = leased_empty(SHAPE, "f4")
    first, column, raw = place(events), events[5:, 1].view(np.uint32), memoryview(events[:7])
    del events
    assert not free
    assert place(leased_empty(SHAPE, "f4")) != first
    free.clear()
    del column
    assert not free
    del raw
    assert place(leased_empty((SHAPE[0] - 3, 2), "f4")) == first


def test_what_is_too_small_or_too_large_is_not_kept(free: deque[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    leased_empty((4, 2), "f4")
    assert not free
    monkeypatch.setattr(memory, "LARGEST", 8 * SHAPE[0])
    leased_empty((SHAPE[0] + 1, 2), "f4")
    assert not free
    assert leased_empty(SHAPE, "f4").shape == SHAPE
    assert len(free) == 1
    assert leased_empty((2 * SHAPE[0], 2), "f8").nbytes == 32 * SHAPE[0]


def test_events_and_columns_have_a_block_each(free: deque[np.ndarray]) -> None:
    large, small = leased_empty((3 * SHAPE[0], 2), "f4"), leased_empty(SHAPE, "f4")
    places = place(large), place(small)
    del small, large
    for first, second in ((SHAPE, (3 * SHAPE[0], 2)), ((3 * SHAPE[0], 2), SHAPE), (SHAPE, SHAPE)):
        one, two = leased_empty(first, "f4"), leased_empty(second, "f4")
        assert {place(one), place(two)} == set(places), "none is new"
        assert first == (3 * SHAPE[0], 2) or place(one) == places[1], "the smaller one is enough"
        assert not free
        del one, two
    assert len(free) == 2


def test_blocks_that_are_too_small_are_let_go(free: deque[np.ndarray]) -> None:
    events, columns = leased_empty(SHAPE, "f4"), leased_empty(SHAPE, "f4")
    del events, columns
    larger = leased_empty((2 * SHAPE[0], 2), "f4")
    assert not free
    del larger
    assert [len(block) for block in free] == [16 * SHAPE[0]]


def test_both_blocks_together_are_not_too_large(free: deque[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGEST", 24 * SHAPE[0])
    one, two = leased_empty((2 * SHAPE[0], 2), "f4"), leased_empty((2 * SHAPE[0], 2), "f4")
    del one, two
    assert len(free) == 1
    small = leased_empty(SHAPE, "f4")
    assert small.nbytes == 8 * SHAPE[0]
    assert not free


def test_a_large_free_block_can_be_given_back(free: deque[np.ndarray]) -> None:
    give_back(0)
    leased_empty(SHAPE, "f4")
    give_back(16 * SHAPE[0])
    assert len(free) == 1, "it is not large"
    give_back(memory.SMALLEST // 2)
    assert not free


def test_samples_that_live_keep_their_events(tmp_path: Path, rng: np.random.Generator) -> None:
    """Eight files of one size read again and again by two threads, every second sample kept."""
    truth = [rng.lognormal(6, 1, (memory.SMALLEST // 8 + 5, 2)).astype("f4") for _ in range(8)]
    for i, events in enumerate(truth):
        write_fcs(tmp_path / f"{i}.fcs", events, [Channel("FL1-A"), Channel("FL2-A")])
    kept = []

    def look(turn: int) -> bool:
        sample = read_fcs(tmp_path / f"{turn % 8}.fcs", digest=turn % 3 == 0)
        if turn % 2:
            kept.append((turn, sample.events[:, 1]))  # the sample goes, a column of it stays
        return bool((sample.events == truth[turn % 8]).all())

    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(look, range(24)))
    assert all((column == truth[turn % 8][:, 1]).all() for turn, column in kept)
